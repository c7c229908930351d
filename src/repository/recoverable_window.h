#pragma once
// The window of a cluster: for each history and each of its timelines, what can be recovered and
// what cannot (repository/recoverable.h), each point once: a timeline shows what is behind its
// fork, a history what is behind the point where it took over.
//
// Cost: the listings of the WAL, a commit record for each backup, and a few heads of segments.
// Errors: those of the store; what is wrong with one timeline is told of that timeline.
// Threads: any; plain data. Reads only.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/dropped_wal.h"
#include "repository/recoverable.h"

namespace holdfast {

struct TimelineWindow {
  TimelineId timeline;
  std::optional<TimelineSwitch> parent;  // nullopt: it has none, or that is not known
  std::string problem;                   // not empty: why nothing can be said of this timeline
  std::uint64_t stored_segments = 0;     // in this history
  std::optional<SegmentRange> stored;    // the first and the last of them
  std::vector<RecoverableInterval> intervals;
  std::vector<RecoveryGap> gaps;
  std::vector<UnusableBackup> unusable;
  WalPath path = {};  // names the segments
};

struct HistoryWindow {
  HistoryRecord record;
  std::vector<TimelineWindow> timelines;  // ascending
  // Why some of the WAL of its gaps is missing: it was dropped to protect a server's disk.
  std::vector<DroppedWal> dropped = {};
};

std::vector<HistoryWindow> recoverable_window(const Repository& repository,
                                              const std::string& cluster,
                                              const std::stop_token& stop);

// For people and for JSON: the name of a segment of the path.
std::string segment_text(const WalPath& path, std::uint64_t number);

}  // namespace holdfast
