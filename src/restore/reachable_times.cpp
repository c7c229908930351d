#include "restore/reachable_times.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "restore/recovery_line.h"

namespace holdfast {
namespace {

std::vector<MomentRange> ranges_of(const RecoverableLine& line,
                                   const std::optional<CatalogueEntry>& wanted) {
  std::vector<MomentRange> ranges;
  for (const RecoverableInterval& interval : line.intervals) {
    std::optional<Timestamp> from = interval.from.time;
    if (wanted) {
      const auto found = std::ranges::find(interval.backups, wanted->name, &UsableBackup::name);
      if (found == interval.backups.end()) continue;
      from = found->stop_time;
    }
    if (interval.reach != RecoverableInterval::Reach::kArchive || !from || !interval.to.time) {
      continue;
    }
    // A clock that was set back must not count a moment twice: the later interval is the one that
    // a recovery takes.
    if (!ranges.empty()) ranges.back().to = std::min(ranges.back().to, *from);
    if (*from < *interval.to.time) ranges.push_back({*from, *interval.to.time});
  }
  std::erase_if(ranges, [](const MomentRange& range) { return range.from >= range.to; });
  return ranges;
}

}  // namespace

std::vector<MomentRange> reachable_times(const Repository& repository, const std::string& cluster,
                                         const RecoveryPlanRequest& request,
                                         const std::stop_token& stop) {
  const ArchiveSurvey survey = survey_archive(repository, cluster, stop);
  if (survey.histories.empty()) return {};
  const RecoveryLine chosen = choose_recovery_line(repository, survey, request, stop);
  for (const TimelineId timeline : chosen.timelines) {
    const RecoverableLine line = recoverable_line(repository, survey, chosen.history, timeline,
                                                  {.max_heads = kMaxHeadsForPlan}, stop);
    if (auto ranges = ranges_of(line, chosen.wanted); !ranges.empty()) return ranges;
  }
  return {};
}

std::uint64_t draw_below(Chance& chance, std::uint64_t end) {
  HF_INVARIANT(end > 0);
  // The rest that does not divide evenly is drawn again.
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t excess = (kMost % end + 1) % end;
  for (;;) {
    const std::uint64_t drawn = chance();
    if (drawn <= kMost - excess) return drawn % end;
  }
}

Timestamp draw_moment(Chance& chance, const std::vector<MomentRange>& ranges) {
  const auto length = [](const MomentRange& range) {
    return static_cast<std::uint64_t>((range.to - range.from).count());
  };
  std::uint64_t all = 0;
  for (const MomentRange& range : ranges) all += length(range);
  std::uint64_t left = draw_below(chance, all);
  auto range = ranges.begin();
  for (; left >= length(*range); ++range) left -= length(*range);
  return range->from + std::chrono::microseconds(left);
}

}  // namespace holdfast
