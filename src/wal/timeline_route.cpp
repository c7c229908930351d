#include "wal/timeline_route.h"

#include <algorithm>

namespace holdfast {

TimelineRoute::TimelineRoute(std::vector<TimelineHistory> histories, WalSegmentSize size)
    : histories_(std::move(histories)), size_(size) {
  std::ranges::sort(histories_, std::ranges::greater{}, &TimelineHistory::timeline);
}

TimelineId TimelineRoute::timeline_at(const TimelineHistory& history, std::uint64_t number) const {
  TimelineId found{};
  for (const TimelineRange& range : ancestry(history)) {
    if (range.empty() || range.begin.value / size_.bytes > number) continue;
    found = range.timeline;
  }
  return found;
}

const TimelineHistory* TimelineRoute::line_of(SegmentName segment) const {
  for (const TimelineHistory& history : histories_) {
    if (timeline_at(history, segment.number) == segment.timeline) return &history;
  }
  return nullptr;
}

std::vector<SegmentName> TimelineRoute::following(SegmentName segment, std::size_t count) const {
  const TimelineHistory* line = line_of(segment);
  std::vector<SegmentName> segments;
  for (std::uint64_t number = segment.number + 1; segments.size() < count; ++number) {
    segments.push_back({line == nullptr ? segment.timeline : timeline_at(*line, number), number});
  }
  return segments;
}

}  // namespace holdfast
