#pragma once
// The WAL segments that a recovery reads: along a line of histories to one timeline, and which of
// them are stored where.
//
// A path has one segment for each number. At a fork it is the newer timeline's: its first segment
// holds the older one's WAL up to the fork. Where several histories of the line store a segment,
// the youngest one's counts, as archive-get takes it.
// Source of the rule: PostgreSQL's XLogFileReadAnyTLI (access/transam/xlogrecovery.c).
// Guarantees: pure functions of what was listed. Threads: any; plain data.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postgres/timeline_history.h"
#include "repository/wal_listing.h"
#include "repository/wal_search.h"

namespace holdfast {

// Consecutive segment numbers, both included.
struct SegmentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool has(std::uint64_t number) const { return first <= number && number <= last; }
  std::uint64_t count() const { return last - first + 1; }
  bool operator==(const SegmentRange&) const = default;
};

struct WalPath {
  WalLine line;
  TimelineHistory timelines;
  // Disjoint, ascending: from where each stored segment of the path is read.
  struct Source {
    SegmentRange segments;
    TimelineId timeline;
    std::size_t step = 0;  // of line.steps
  };
  std::vector<Source> sources;
  std::vector<SegmentRange> runs;  // the stored segments, joined

  WalSegmentSize segment_size() const { return line.segment_size; }
};

// `listings`: of each of line.steps, in its order.
WalPath make_wal_path(WalLine line, TimelineHistory timelines,
                      const std::vector<const WalListing*>& listings);

// The run that has this segment, or nullptr.
const SegmentRange* find_run(const WalPath& path, std::uint64_t number);
// The object that holds this segment; nullopt when it is not stored.
struct StoredSegment {
  WalPlace place;
  SegmentName segment;
  std::string object;
};
std::optional<StoredSegment> find_segment(const WalPath& path, std::uint64_t number);
// The timeline whose segment of this number the path has.
TimelineId timeline_of_segment(const WalPath& path, std::uint64_t number);
// The segments of `within` that are not stored. More than `limit` ranges are not returned.
std::vector<SegmentRange> missing_segments(const WalPath& path, SegmentRange within,
                                           std::size_t limit);
std::uint64_t count_missing(const WalPath& path, SegmentRange within);

}  // namespace holdfast
