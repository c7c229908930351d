#pragma once
// Finding WAL along a line of histories, and telling "the archive ends here" from "a file is
// missing" (invariant 5).
//
// A segment may lie in its own history or, before a fork, in one that the history came from. What
// is absent is the end of the archive only when nothing that continues it is stored:
//   segment   a later one of its timeline, or a timeline that left this one behind it, is a gap
//             and so is a backup that needs it, of a timeline of which no WAL is stored at all
//   history   any stored WAL of this timeline or of a newer one is a gap
// The first segment of a timeline holds the older one's up to the fork, so the older one's own copy
// of that segment may rightly be absent.
// Errors: those of the store; what it did not answer is never taken for absence. Threads: any.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/history.h"
#include "repository/repository.h"
#include "repository/wal_file.h"

namespace holdfast {

struct WalLine {
  std::string cluster;
  WalSegmentSize segment_size;
  std::vector<LineStep> steps;  // the history that is read first, then those it came from
};
// kNotFound when the cluster has no such history.
WalLine wal_line(const std::string& cluster, const std::vector<HistoryRecord>& histories,
                 const HistoryName& history);

// Objects that may hold `file`, in the order in which to try them. One listing for files whose
// objects carry a hash, none for others.
struct WalCandidate {
  WalPlace place;
  std::string object;
};
std::vector<WalCandidate> find_candidates(const Repository& repository, const WalLine& line,
                                          const WalFileName& file, const std::stop_token& stop);

// What is stored that could not be there if the archive ended before `file`: an object's name, for
// the message; nullopt when it does end there.
struct StoredBehind {
  const WalLine& line;
  const WalFileName& file;
  // It asks every few seconds: backups, which are many requests, are looked at only when no WAL of
  // the timeline is stored.
  bool is_standby = false;
};
std::optional<std::string> stored_behind(const Repository& repository, const StoredBehind& asked,
                                         const std::stop_token& stop);

// Timelines that have any object in this place, ascending.
std::vector<TimelineId> list_timelines(const Repository& repository, const WalPlace& place,
                                       const std::stop_token& stop);

// The stored history file of a timeline, looked for along the line; nullopt when there is none, as
// for timeline 1.
std::optional<std::string> read_timeline_history(const Repository& repository, const WalLine& line,
                                                 TimelineId timeline, const std::stop_token& stop);

}  // namespace holdfast
