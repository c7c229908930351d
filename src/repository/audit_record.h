#pragma once
// Copies of lines of the audit log (app/audit_log.h) in the repository: create-only records, one or
// more lines each, named <cluster>/audit/<YYYYMMDD>/<time>-<xxxx> after the moment of the copying.
// The lines are kept as they stand in the log, byte for byte, so that they can be compared.
// Errors: those of the store; a record that makes no sense is Error(kDamage). Threads: any.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

// A record holds at most this many lines, and so much text unless a single line is longer.
inline constexpr std::size_t kAuditRecordLinesMax = 1000;
inline constexpr std::size_t kAuditRecordBytesMax = std::size_t{1} << 20U;

struct AuditRecord {
  std::string log;    // which log the lines are of
  std::string place;  // where that log is: "host:/var/lib/holdfast/main"
  std::uint64_t first = 0;
  std::vector<std::string> lines;  // without line ends
};

namespace names {
std::string audit_prefix(std::string_view cluster);  // "<cluster>/audit/"
// `id`: of the shape of a backup id.
std::string audit_record(std::string_view cluster, const BackupId& id);
std::optional<BackupId> parse_audit_record(std::string_view cluster, std::string_view name);
}  // namespace names

// Stores the record under a name of `now`, and returns that.
std::string write_audit_record(const Repository& repository, const std::string& cluster,
                               const AuditRecord& record, Timestamp now,
                               const std::stop_token& stop);
// Names, by time. `since` leaves out the days before it.
std::vector<std::string> list_audit_records(const Repository& repository,
                                            const std::string& cluster,
                                            std::optional<Timestamp> since,
                                            const std::stop_token& stop);
// kDamage when it is missing.
AuditRecord read_audit_record(const Repository& repository, const std::string& name,
                              const std::stop_token& stop);
AuditRecord parse_audit_record_json(ByteView plain, std::string_view name);

}  // namespace holdfast
