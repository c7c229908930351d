#pragma once
// What `log` shows: the actions of the audit log (app/audit_log.h), here or in a repository, and
// whether it is whole.
// Errors: those of the store. Lines that cannot be read are findings, not errors. Threads: any.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "core/error.h"
#include "core/time.h"

namespace holdfast {

struct ActionView {
  std::string id, command, reason, host, user, login;
  std::vector<std::string> arguments;
  std::uint64_t pid = 0;
  Timestamp began{};
  std::optional<Timestamp> ended;  // none: it runs, or was killed
  int exit = 0;                    // of one that has ended, as the next five
  int signal = 0;
  std::string error_kind, error, error_object;
  std::string subject;
  double duration_seconds = 0;
};

struct AuditView {
  std::vector<ActionView> actions;  // by begin
  std::uint64_t lines = 0;
  std::vector<std::string> findings;  // with verification: what is wrong
  std::vector<std::string> notes;     // what is odd, and may be well
  // With verification of the log here: why it was not compared with the repository's copy.
  std::optional<Error> not_compared;
};

enum class AuditVerify { kNo, kYes };
struct AuditQuery {
  std::optional<Timestamp> since;
  AuditVerify verify = AuditVerify::kNo;
};

// "2026-11-22", a time as --target-time takes it, or a duration back from now ("7d"). kUsage.
Timestamp parse_since(const Config& config, const std::string& text);

// The log in the state directory. Verified, it is compared with the first repository's copy.
AuditView show_audit_log(const Config& config, const AuditQuery& query,
                         const std::stop_token& stop);
// Everything that any machine copied to this repository.
AuditView show_audit_copies(const Config& config, const RepositoryConfig& repository,
                            const AuditQuery& query, const std::stop_token& stop);

}  // namespace holdfast
