#pragma once
// Summaries of many stored segments of a path: from roll-ups where there are any, else from the
// heads of the segments, in parallel.
//
// Trust: what cannot be read because one object is damaged counts as "no summary"; a store that
//   fails is an error. A segment that the path's listing does not show has no summary, whatever a
//   roll-up says.
// Memory: what one call returns, and a roll-up for each request in flight.
// Threads: any; nothing is kept between calls.

#include <stop_token>
#include <vector>

#include "repository/repository.h"
#include "repository/wal_path.h"
#include "repository/wal_rollup.h"

namespace holdfast {

// The most that one call reads.
inline constexpr std::uint64_t kSummaryBatch = 4096;

// An index with the record that lies across the border in front of its segment, if one ends there.
struct JoinedIndex {
  SegmentIndex index;
  bool complete = false;  // nothing that finished in the segment or across its border is unknown
};

class SummaryReader {
 public:
  SummaryReader(const Repository& repository, const WalPath& path)
      : repository_(repository), path_(path) {}

  // One for each number of `range`; without a summary: not stored, or stored without a readable
  // one.
  std::vector<SegmentFacts> read(SegmentRange range, const std::stop_token& stop) const;
  // The index of a stored segment; nullopt when it is not stored or has no readable one.
  std::optional<SegmentIndex> read_index(std::uint64_t number, const std::stop_token& stop) const;
  // The same, joined with the segment before it where that is stored.
  std::optional<JoinedIndex> read_joined(std::uint64_t number, const std::stop_token& stop) const;

 private:
  struct Part {
    SegmentRange segments;  // of one group in one place
    SegmentName first;
    WalPlace place;
  };
  std::vector<Part> parts_of(SegmentRange range) const;
  bool read_rolled_up(const Part& part, SegmentRange range, std::vector<SegmentFacts>& facts,
                      const std::stop_token& stop) const;

  const Repository& repository_;
  const WalPath& path_;
};

}  // namespace holdfast
