#pragma once
// Which segments recovery will ask for next: the same timeline's, and, from the segment in which a
// newer timeline of the archive leaves it, that timeline's.
//
// It is a guess, for prefetching alone. PostgreSQL asks for a segment on the newest timeline of the
// line that it recovers along which begins in that segment or before; which line that is, is told
// by what it asked for last, and where several fit, the one that leads to the newest timeline is
// taken. Source: PostgreSQL's access/transam/xlogrecovery.c (XLogFileReadAnyTLI). Threads: values
// only.

#include <vector>

#include "core/wal_position.h"
#include "postgres/timeline_history.h"

namespace holdfast {

class TimelineRoute {
 public:
  // Of the timelines that are stored, in any order.
  TimelineRoute(std::vector<TimelineHistory> histories, WalSegmentSize size);

  // What is asked for after `segment`: the next `count` of them.
  std::vector<SegmentName> following(SegmentName segment, std::size_t count) const;

 private:
  const TimelineHistory* line_of(SegmentName segment) const;
  TimelineId timeline_at(const TimelineHistory& history, std::uint64_t number) const;

  std::vector<TimelineHistory> histories_;  // newest first
  WalSegmentSize size_;
};

}  // namespace holdfast
