#include "repository/wal_need.h"

#include <algorithm>

namespace holdfast {
namespace {

SegmentRange own_segments(const WalNeedBackup& backup, WalSegmentSize size) {
  return {backup.start_lsn.value / size.bytes, backup.stop_lsn.value / size.bytes};
}

void add_reach(const WalNeedReach& reach, const HistoryRecord& history, SegmentRanges& needed) {
  const std::uint64_t bytes = history.wal_segment_size.bytes;
  const std::uint64_t start = reach.from.start_lsn.value / bytes;
  const auto own = std::ranges::find(reach.line, reach.from.history, &LineStep::history);
  // What came before an upgrade is not a step of the line; all of the line is younger then.
  if (own == reach.line.end() && history.name.number <= reach.line.front().history.number) {
    if (history.name.number < reach.from.history.number) return;
    const bool is_own = history.name == reach.from.history;
    needed.push_back({is_own ? start : 0, kSegmentNumberMax});
    return;
  }
  const auto step = std::ranges::find(reach.line, history.name, &LineStep::history);
  if (step == reach.line.end() || step > own) return;
  const std::uint64_t end = step->until ? step->until->lsn.value / bytes : kSegmentNumberMax;
  needed.push_back({step == own ? start : 0, end});
}

bool was_left(const std::vector<HistoryRecord>& histories, const HistoryRecord& history) {
  return taken_over_by(histories, history.name) != nullptr ||
         std::ranges::any_of(histories, [&](const HistoryRecord& other) {
           return other.reason == HistoryReason::kUpgrade &&
                  other.name.number > history.name.number;
         });
}

}  // namespace

std::vector<HistoryNeed> wal_need(const std::vector<HistoryRecord>& histories,
                                  const std::vector<WalNeedBackup>& kept,
                                  const std::vector<WalNeedReach>& reaches) {
  std::vector<HistoryNeed> needs;
  for (const HistoryRecord& history : histories) {
    SegmentRanges needed;
    bool any = false;
    for (const WalNeedBackup& backup : kept) {
      if (!(backup.history == history.name)) continue;
      any = true;
      if (!backup.standalone) needed.push_back(own_segments(backup, history.wal_segment_size));
    }
    for (const WalNeedReach& reach : reaches) add_reach(reach, history, needed);
    if (!any && !was_left(histories, history)) needed.push_back(kAllSegments);
    needs.push_back({history.name, joined(std::move(needed))});
  }
  return needs;
}

}  // namespace holdfast
