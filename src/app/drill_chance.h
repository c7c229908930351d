#pragma once
// What a drill leaves to chance: the backup, the moment, or both; and how to do it again.
//
// Uniform: a backup over all committed ones of the followed history from which the target can be
//   reached, whatever their age; a moment over every microsecond that can be reached
//   (restore/reachable_times.h), of the drawn or named backup, else of the whole window. What is in
//   a gap, or behind the last transaction, is never drawn.
// Exact: the answer names backup, history, timeline and moment, so that what is archived or taken
//   later changes nothing. The same seed draws the same only while the repository is the same.
// Errors: kRefused when nothing can be reached; kNotFound without a backup; kUsage; those of
//   plan_recovery(). Threads: any. Reads only.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "restore/recovery_target.h"

namespace holdfast {

struct DrillChance {
  enum class Moment {
    kGiven,  // nothing is left to chance
    kAny,    // else kRefused
    // Behind the latest backup, unless one is named; else of the window; else the end of the
    // archive, with a note that says so.
    kWhereThereIsOne,
  };
  bool backup = false;
  Moment moment = Moment::kGiven;
  std::optional<std::uint64_t> seed = {};  // nullopt: another one each time

  bool any() const { return backup || moment != Moment::kGiven; }
};

struct ChanceRequest {
  DrillChance chance;
  std::string backup, history;  // as RestoreRequest has these three
  TargetRequest point;          // without a time, when the moment is drawn
  std::string options = {};     // of `drill`, that doing it again takes as well
};

struct DrawnDrill {
  std::vector<std::string> what;  // "backup", "moment"; empty: there was no moment to draw
  std::uint64_t seed = 0;
  std::string backup, history;
  TargetRequest point;
  bool needs_archive = true;
  std::string repeat;  // the command that does it again
  std::string note;    // for people; may be empty
};
DrawnDrill draw_drill(const Config& config, const RepositoryConfig& repository,
                      const ChanceRequest& request, const std::stop_token& stop);

}  // namespace holdfast
