#pragma once
// `recover backup`: a safety backup of a recovered copy as it stands at its target, so that what
// was recovered and checked is not on one disk alone while it waits to be promoted or looked at.
//
// It goes into a side line (repository/history.h), one for each recovery, so that neither the
// source's WAL and backups nor what is recovered from them know of it: nothing of the copy's is
// archived, nobody is fenced, `latest` means another one. It carries its WAL and ends exactly where
// the copy stands (backup/recovered_copy.h); that is its upper bound, and restoring it ends there,
// whatever is archived. It is held for kSafetyBackupHeld (repository/hold.h): it is the end of its
// line, and a policy that counts would let it expire at once. After that it is judged as the
// backups of a line that was left are.
//
// Crashes: nothing is listed before its commit. The line is opened first and found again by the
//   next call; one without a backup is an empty folder to everybody. The hold is placed before the
//   commit: of a backup that is never committed it means nothing to anybody.
// The copy goes on standing where it stands: its verdict and approvals stay.
// Errors: kRefused where the recovery does not stand at its target, and for a copy of which no
//   consistent backup can be had; those of backup/backup.h. Threads: app/recovery_record.h.

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/recovery_record.h"
#include "backup/backup.h"
#include "core/progress.h"

namespace holdfast {

inline constexpr std::chrono::days kSafetyBackupHeld{30};

struct SafetyBackupRequest {
  std::string name;   // of the recovery; empty: the only one
  std::string label;  // of the backup
  std::string reason;
};

struct SafetyBackupAnswer {
  RecoveryRecord record;
  BackupResult backup;
  std::optional<Timestamp> held_until;  // nullopt: it could not be held, and a warning says why
};
SafetyBackupAnswer back_up_recovery(const Config& config, const SafetyBackupRequest& request,
                                    Progress& progress, const std::stop_token& stop);

}  // namespace holdfast
