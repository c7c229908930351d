#pragma once
// Which line of histories a recovery follows, and in which order its timelines are tried: what a
// plan (recovery_plan.h) and a point that is left to chance (reachable_times.h) decide alike.
//
// Errors: kRefused for a timeline that is not stored; kNotFound for a backup or history that does
// not exist; those of the store. Threads: any. Reads only.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "restore/recovery_plan.h"

namespace holdfast {

// A plan may look far for the last commit: a wrong refusal costs more than requests.
inline constexpr std::uint64_t kMaxHeadsForPlan = 4096;

struct RecoveryLine {
  HistoryName history;
  std::vector<TimelineId> timelines;     // in the order of trying; empty: nothing is stored
  std::optional<CatalogueEntry> wanted;  // the backup that was asked for
  std::vector<std::string> warnings;
};
// The survey holds at least one history.
RecoveryLine choose_recovery_line(const Repository& repository, const ArchiveSurvey& survey,
                                  const RecoveryPlanRequest& request, const std::stop_token& stop);

// Whether a committed backup lies, to its stop, on the line of `history`.
bool line_has(const ArchiveSurvey& survey, const HistoryName& history,
              const CatalogueEntry& backup);

}  // namespace holdfast
