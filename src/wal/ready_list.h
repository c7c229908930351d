#pragma once
// What PostgreSQL wants archived, in the order in which it will ask: the names of
// pg_wal/archive_status/*.ready, timeline histories first, then by name.
// Source: PostgreSQL's postmaster/pgarch.c (pgarch_readyXlog, ready_file_comparator).
// Errors: kHost where the folder cannot be read. Threads: any. Memory: `limit` names.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

bool is_asked_before(std::string_view left, std::string_view right);

// The first `limit` of them. Names that PostgreSQL archives nothing under are passed over.
std::vector<std::string> files_waiting(const std::filesystem::path& data_directory,
                                       std::size_t limit);
// How many segments wait.
std::uint64_t segments_waiting(const std::filesystem::path& data_directory);
// Whether any file but `file` waits; cheap, however many do.
bool others_wait(const std::filesystem::path& data_directory, std::string_view file);

}  // namespace holdfast
