// `check`, other writers of this server's history. Nobody is kept out of a history by guessing
// (invariant 6), so what looks like two servers that go on with one is told here.
#include <algorithm>

#include <fmt/format.h>

#include "app/check_parts.h"
#include "postgres/timeline_history.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

// WAL of another timeline that was stored so long ago says that its server went on then, and no
// longer that it does.
constexpr std::chrono::hours kStillWrites{24};
// Of WAL behind the fork of one timeline.
constexpr std::size_t kPagesMax = 64;

struct LastStored {
  std::string object;
  Timestamp at = {};
};

// The newest segment of `timeline` from `first` on, by the time at which it was stored.
LastStored last_stored(const Repository& repository, const WalPlace& place, SegmentName first,
                       WalSegmentSize size, const std::stop_token& stop) {
  LastStored last;
  ListRequest request{.prefix = names::wal_timeline_prefix(place, first.timeline)};
  if (first.number > 0) {
    const SegmentName before{first.timeline, first.number - 1};
    request.after = names::wal_segment(place, before, size);
  }
  for (std::size_t page_number = 0; page_number < kPagesMax; ++page_number) {
    const ListPage page = repository.store().list(request, stop);
    for (const ObjectInfo& object : page.objects) {
      const auto segment = names::parse_wal_segment(object.name, size);
      if (segment && segment->number >= first.number && object.modified > last.at) {
        last = {object.name, object.modified};
      }
    }
    if (!page.next) break;
    request.after = *page.next;
  }
  return last;
}

// Where the WAL of `timeline` that is not this server's begins.
SegmentName first_not_ours(const TimelineHistory& ours, TimelineId timeline, WalSegmentSize size) {
  const auto range = range_of(ours, timeline);
  if (!range || !range->end) return {timeline, 0};
  return segment_of(timeline, *range->end, size);
}

// A primary that was given up by a failover, but lives: the timeline that this server left goes on
// growing after this server's own had begun.
void check_left_timelines(CheckFindings& findings, const WritersCheck& check, const WalLine& line,
                          TimelineId ours, const std::stop_token& stop) {
  const WalPlace place{check.cluster, check.history.name};
  ObjectStore& store = check.repository.store();
  const auto begun = store.head(names::timeline_history(place, ours), stop);
  if (!begun) return;  // nothing of it is archived yet
  const auto text = read_timeline_history(check.repository, line, ours, stop);
  if (!text) return;
  const TimelineHistory history = parse_timeline_history(ours, *text, begun->name);
  for (const TimelineId timeline : list_timelines(check.repository, place, stop)) {
    if (timeline >= ours) continue;
    const SegmentName first = first_not_ours(history, timeline, line.segment_size);
    const LastStored last = last_stored(check.repository, place, first, line.segment_size, stop);
    if (last.at <= begun->modified) continue;
    const bool goes_on = store.now(stop) - last.at < kStillWrites;
    findings.add(
        {"other writers", goes_on ? FindingLevel::kFailed : FindingLevel::kWarning,
         fmt::format("timeline {}, which this server left with its promotion, {}: {} was stored at "
                     "{}",
                     timeline.value, goes_on ? "goes on growing" : "went on after it", last.object,
                     to_rfc3339(last.at)),
         "The old primary was still writing: what it wrote is not in this server. Stop it, or "
         "make it a standby of this one."});
  }
}

}  // namespace

bool check_other_writers(CheckFindings& findings, const WritersCheck& check,
                         const std::stop_token& stop) {
  const WalPlace place{check.cluster, check.history.name};
  const TimelineId ours = check.timeline;
  const auto stored = list_timelines(check.repository, place, stop);
  if (stored.empty()) return true;
  if (stored.back() > ours) {
    findings.add(
        {"other writers", FindingLevel::kFailed,
         fmt::format("this server writes timeline {}, but the archive has WAL of timeline "
                     "{}: another server was promoted and goes on with this cluster",
                     ours.value, stored.back().value),
         "Only one of them can be the cluster. Stop the other, or make it a standby; if this "
         "one is a copy that goes on by itself, run 'holdfast init --take-over' here."});
    return false;
  }
  const WalLine line = wal_line(
      check.cluster, list_histories(check.repository, check.cluster, stop), check.history.name);
  check_left_timelines(findings, check, line, ours, stop);
  return true;
}

}  // namespace holdfast
