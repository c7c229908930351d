#pragma once
// Which WAL segments a history has stored, by timeline, as runs of consecutive segment numbers.
//
// Speed: the logs of a timeline are listed as folders, then ranges of about one page each in
// parallel, so that 100,000 segments cost about a hundred requests.
// Memory: runs, not names; more than kMaxWalRuns in one history are refused.
// Trust: names and sizes alone, which is what a listing says. Nothing is opened.
// Errors: those of the store. Threads: any; a WalListing is plain data.

#include <cstdint>
#include <stop_token>
#include <vector>

#include "repository/repository.h"
#include "repository/wal_file.h"

namespace holdfast {

inline constexpr std::size_t kMaxWalRuns = 500'000;

struct WalRun {
  std::uint64_t first = 0;  // segment numbers, both included
  std::uint64_t last = 0;
  std::uint64_t first_bytes = 0;  // sizes of the objects at the ends
  std::uint64_t last_bytes = 0;
  bool operator==(const WalRun&) const = default;
};

struct TimelineListing {
  TimelineId timeline;
  std::vector<WalRun> runs;       // ascending; between two there is at least one missing segment
  bool has_history_file = false;  // NNNNNNNN.history is stored
  std::uint64_t segments() const;
};

struct WalListing {
  WalPlace place;
  WalSegmentSize segment_size;
  std::vector<TimelineListing> timelines;  // ascending
};

WalListing list_wal(const Repository& repository, const WalPlace& place,
                    WalSegmentSize segment_size, const std::stop_token& stop);

// The timeline's entry, or nullptr.
const TimelineListing* find_timeline(const WalListing& listing, TimelineId timeline);

}  // namespace holdfast
