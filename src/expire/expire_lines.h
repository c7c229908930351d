#pragma once
// The lines of a cluster as repository/retention.h wants them: from histories, stored timelines and
// backups.
//
// A line is a history with those it came from, to one of its timelines. It is live when nothing
// left it: no take-over or upgrade its history, and no stored timeline of that history its
// timeline. A side line (repository/history.h) never is: it ended with its last backup. When a line
// was left is told by the record of the history that did, or by the store's time of the timeline's
// history file, which are both later than it was. Errors: those of the store. Threads: any; plain
// data.

#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/recoverable.h"
#include "repository/retention.h"

namespace holdfast {

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
