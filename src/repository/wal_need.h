#pragma once
// Which segments of each history a set of kept backups needs: a pure function.
//
//   reach      from the backup from which a line's WAL must be unbroken, all WAL along the line's
//              histories: in the backup's own history from its start on (to where the line leaves
//              it), in the younger ones everything
//   own        start to stop of every other kept backup that does not carry its WAL itself
//   new        all of a history that nobody left and that has no kept backup yet
// Segment numbers count for every timeline of a history: a timeline that was left behind keeps what
// is as new as what is needed.
// Threads: any; plain data.

#include <vector>

#include "repository/history.h"
#include "repository/segment_ranges.h"

namespace holdfast {

struct WalNeedBackup {
  HistoryName history;
  Lsn start_lsn, stop_lsn;
  bool standalone = false;
};
struct WalNeedReach {
  WalNeedBackup from;
  std::vector<LineStep> line;  // youngest history first
};
struct HistoryNeed {
  HistoryName history;
  SegmentRanges needed;
};

// Of each of `histories`, in their order.
std::vector<HistoryNeed> wal_need(const std::vector<HistoryRecord>& histories,
                                  const std::vector<WalNeedBackup>& kept,
                                  const std::vector<WalNeedReach>& reaches);

}  // namespace holdfast
