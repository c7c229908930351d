#pragma once
// What a run of `expire` does with each backup, and which WAL stays: the policy
// (repository/retention.h) applied to what was surveyed. Reads proofs and timeline histories;
// writes nothing.
//
// Backups whose deletion was asked for do not count for the policy. Where no other good backup of
// their live line remains, the newest of them is kept all the same.
// WAL: nothing goes without a policy, and nothing while a record of a history, a timeline's history
// file or what is needed by a backup cannot be read.
// Errors: those of the store; kDamage for a history record. Threads: any; plain data.

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "expire/expire_lines.h"
#include "expire/expire_survey.h"
#include "repository/wal_need.h"

namespace holdfast {

enum class ExpireAction {
  kKeep,      // untouched
  kMark,      // expires: it gets its mark now
  kWithdraw,  // was marked, and is kept after all
  kWait,      // marked; the grace period lasts, or something else still needs it
  kDelete,    // its grace period is over: its deletion begins, or began in an earlier run
};
std::string_view to_string(ExpireAction action);  // "keep", as in the JSON form

struct PlannedBackup {
  BackupName name;
  ExpireAction action = ExpireAction::kKeep;
  std::vector<KeepReason> reasons;  // why it is kept
  bool requested = false;           // somebody asked for its deletion
  std::string waits_for;            // of kWait
  std::optional<Timestamp> due;     // of kMark and kWait: the end of the grace period
  BackupInfo info;                  // empty of a damaged one
};

// From when on each live line can be recovered without a gap, if its WAL is there.
struct WindowLeft {
  HistoryName history;
  TimelineId timeline;
  BackupName from;
  Timestamp time;  // the backup's end
};

struct WalPlanned {
  std::string kept_because;           // not empty: no WAL goes in this run
  std::uint64_t marked_segments = 0;  // that nothing needs, and that stay for the grace period
  std::uint64_t removed_segments = 0;
};

struct ExpirePlan {
  std::vector<PlannedBackup> backups;  // oldest first; those that still have a commit record
  std::vector<WindowLeft> window;
  std::vector<WalNeedReach> reaches;
  std::vector<HistoryName> needed_whole;  // histories of which all WAL stays
  std::string wal_kept_because;
  std::vector<std::string> problems;
};

struct PlanOptions {
  RetentionPolicy policy;
  TimeZone zone = TimeZone::utc();
  std::chrono::milliseconds grace{};
};

ExpirePlan plan_expire(const Repository& repository, const ExpireSurvey& survey,
                       const ArchiveSurvey& archive, const PlanOptions& options,
                       const std::stop_token& stop);

}  // namespace holdfast
