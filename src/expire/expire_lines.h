#pragma once
// The lines of a cluster as repository/retention.h wants them: from histories, stored timelines and
// backups.
//
// A line is a history with those it came from, to one of its timelines. It is live when nothing
// left it: no take-over or upgrade its history, and no stored timeline of that history its
// timeline. A side line (repository/history.h) never is: it ended with its last backup. When a line
// was left is told by the record of the history that did, or by the store's time of the timeline's
// history file, which are both later than it was.
// A timeline that another one left stays live while it goes on: while something behind the fork,
// its newest segment or backup, was stored after the other one's history file and is at most
// kSilentMax older than the newest that the other one has. So a standby that was promoted by
// mistake does not make production's line an abandoned one, and a segment that an old primary
// archives late does not make its line a live one for ever. All these times are the store's.
// Errors: those of the store. Threads: any; plain data.

#include <chrono>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/recoverable.h"
#include "repository/retention.h"

namespace holdfast {

inline constexpr std::chrono::days kSilentMax{30};

struct ClusterLine {
  HistoryName history;
  TimelineId timeline;
  std::vector<LineStep> steps;      // youngest history first
  std::vector<BackupName> backups;  // in the order of the WAL
  bool live = true;
  std::optional<Timestamp> left = {};  // of an abandoned one
};

struct ClusterLines {
  std::vector<ClusterLine> lines;
  std::vector<BackupName> unusable;   // WAL that they need is not stored
  std::vector<std::string> problems;  // timelines of which nothing can be said
};

// `archive`: with the backups that stay, all of which are kCommitted or kDamaged.
ClusterLines lines_of_cluster(const Repository& repository, const ArchiveSurvey& archive,
                              const std::stop_token& stop);

}  // namespace holdfast
