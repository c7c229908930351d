#pragma once
// The audit log: a file in the state directory, audit.jsonl, to which lines are only ever added.
//
// Format: a line is a JSON object that begins with "number" (1, 2, 3 …), "log" (16 hexadecimal
//   digits, made with the first line) and "previous", and ends with "hash": the SHA-256 of
//   everything in the line that stands before `,"hash":`. "previous" is the hash of the line
//   before, 64 zeros in the first. So a changed, missing, added or moved line breaks the chain;
//   that the end was cut off, or everything rewritten, only the copy in the repository tells.
// Durability: append() returns after fsync(2), of the folder too when the file is new. Writers take
//   turns by flock(2) on the file. A line that could not be written whole is taken back; what a
//   crash left of one is removed by the next append(), which says how much that was.
// Errors: kHost (full disk, permission); kDamage when the last line makes no sense, since nothing
//   can be chained to it. Threads: any.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace holdfast {

using AuditJson = nlohmann::ordered_json;

inline constexpr std::size_t kAuditLogBytesMax = std::size_t{256} << 20U;
inline constexpr std::size_t kAuditLineBytesMax = std::size_t{64} << 10U;

std::filesystem::path audit_log_path(const std::filesystem::path& state_directory);

// Adds a line with `fields`. A line over kAuditLineBytesMax is Error(kBug): whoever makes the
// fields keeps them short.
void append_audit_line(const std::filesystem::path& state_directory, const AuditJson& fields);

struct AuditText {
  std::vector<std::string> lines;  // whole ones, without line ends
  std::size_t torn_bytes = 0;      // behind the last of them: what a crash left of a write
};
// No file: no lines.
AuditText read_audit_log(const std::filesystem::path& state_directory);

struct AuditLine {
  std::uint64_t number = 0;
  std::string log, previous, hash;
  AuditJson fields;  // all of it
};
// Error(kDamage) when it is none. Does not look at the hash.
AuditLine parse_audit_line(std::string_view line);
bool has_its_own_hash(std::string_view line, const AuditLine& parsed);

// What is wrong with lines that follow each other, in words; the first of them should have the
// number `first`. At most kAuditFindingsMax.
inline constexpr std::size_t kAuditFindingsMax = 20;
std::vector<std::string> verify_audit_chain(const std::vector<std::string>& lines,
                                            std::uint64_t first = 1);

}  // namespace holdfast
