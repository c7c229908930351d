#pragma once
// The moments that a recovery by time reaches for certain, and one of them by chance.
//
// A moment is in a range when a committed backup had ended by then, the WAL from there on is stored
// without a gap, and a transaction that is known to be stored finished later: what plan_recovery()
// takes without a doubt. Ranges do not overlap. Where no index says when the last transaction
// finished, there is no range.
// Errors: those of choose_recovery_line() and of the store. Threads: any. Reads only.

#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "restore/recovery_plan.h"

namespace holdfast {

struct MomentRange {
  Timestamp from, to;  // every t with from <= t < to
  bool operator==(const MomentRange&) const = default;
};

// Of the backup, history and timeline that `request` asks for, as plan_recovery() understands it;
// its target's kind does not matter. Ascending; empty: there is none.
std::vector<MomentRange> reachable_times(const Repository& repository, const std::string& cluster,
                                         const RecoveryPlanRequest& request,
                                         const std::stop_token& stop);

// What chance is made of: the same on every machine for one seed.
using Chance = std::mt19937_64;
// Uniform over 0 … end - 1; `end` is not 0.
std::uint64_t draw_below(Chance& chance, std::uint64_t end);
// Uniform over all microseconds of the ranges, of which there is at least one.
Timestamp draw_moment(Chance& chance, const std::vector<MomentRange>& ranges);

}  // namespace holdfast
