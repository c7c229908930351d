#include "expire/expire_lines.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

// A timeline of a history with its path.
struct PathOfLine {
  TimelineId timeline;
  WalPath path;
};

// Timelines that the history itself has something of; of one that has nothing yet, the one at
// which it left its parent.
std::vector<TimelineId> own_timelines(const ArchiveSurvey& archive, const HistoryRecord& history) {
  std::set<TimelineId> own;
  for (const WalListing& listing : archive.listings) {
    if (!(listing.place.history == history.name)) continue;
    for (const TimelineListing& timeline : listing.timelines) own.insert(timeline.timeline);
  }
  for (const CatalogueEntry& entry : archive.backups) {
    if (entry.state == BackupState::kCommitted && entry.name.history == history.name) {
      own.insert(entry.outcome.info.timeline);
    }
  }
  if (own.empty()) own.insert(history.fork ? history.fork->timeline : TimelineId{1});
  return {own.begin(), own.end()};
}

class LineFinder {
 public:
  LineFinder(const Repository& repository, const ArchiveSurvey& archive,
             const std::stop_token& stop)
      : repository_(repository), archive_(archive), stop_(stop) {}

  ClusterLines find() {
    for (const HistoryRecord& history : archive_.histories) add_history(history);
    return std::move(found_);
  }

 private:
  void add_history(const HistoryRecord& history);
  std::vector<PathOfLine> paths_of(const HistoryRecord& history);
  ClusterLine line_on(const HistoryRecord& history, PathOfLine& of);
  void leave(ClusterLine& line, std::optional<Timestamp> when) const;
  void note_histories_that_left(const HistoryRecord& history, ClusterLine& line) const;
  std::optional<Timestamp> last_stop_in(const HistoryName& history) const;
  void note_timelines_that_left(const std::vector<PathOfLine>& paths, ClusterLine& line) const;
  std::optional<Timestamp> stored_at(const std::string& object) const;
  std::optional<Timestamp> last_sign(const HistoryName& history, TimelineId timeline,
                                     Lsn behind) const;
  bool goes_on(const ClusterLine& line, const TimelineSwitch& fork, TimelineId other,
               Timestamp left) const;

  const Repository& repository_;
  const ArchiveSurvey& archive_;
  const std::stop_token& stop_;
  ClusterLines found_;
};

std::vector<PathOfLine> LineFinder::paths_of(const HistoryRecord& history) {
  std::vector<PathOfLine> paths;
  for (const TimelineId timeline : own_timelines(archive_, history)) {
    try {
      paths.push_back(
          {timeline, wal_path_of(repository_, archive_, history.name, timeline, stop_)});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNotFound && !condemns_one_object(error.kind())) throw;
      found_.problems.push_back(fmt::format("timeline {} of history {}: {}", timeline.value,
                                            to_string(history.name), error.message()));
    }
  }
  return paths;
}

ClusterLine LineFinder::line_on(const HistoryRecord& history, PathOfLine& of) {
  RecoverableLine reach{.path = of.path, .intervals = {}, .gaps = {}, .unusable = {}};
  reach_of_backups(archive_, reach);
  std::vector<BackupName> on_line;
  for (const RecoverableInterval& interval : reach.intervals) {
    for (const UsableBackup& backup : interval.backups) on_line.push_back(backup.name);
  }
  ClusterLine line{
      .history = history.name, .timeline = of.timeline, .steps = of.path.line.steps, .backups = {}};
  std::vector<std::pair<Lsn, BackupName>> ordered;
  for (const CatalogueEntry& entry : archive_.backups) {
    if (entry.state != BackupState::kCommitted) continue;
    const bool bad = std::ranges::find(reach.unusable, entry.name, &UnusableBackup::name) !=
                     reach.unusable.end();
    if (bad) found_.unusable.push_back(entry.name);
    if (bad || std::ranges::find(on_line, entry.name) != on_line.end()) {
      ordered.emplace_back(entry.outcome.info.stop_lsn, entry.name);
    }
  }
  std::ranges::stable_sort(ordered, {}, [](const auto& one) { return one.first; });
  for (auto& [lsn, name] : ordered) line.backups.push_back(std::move(name));
  return line;
}

void LineFinder::leave(ClusterLine& line, std::optional<Timestamp> when) const {
  const bool earlier = when && (!line.left || *when < *line.left);
  if (line.live || earlier) line.left = when;
  line.live = false;
}

// Nobody goes on with a side line: it ended with its last backup.
std::optional<Timestamp> LineFinder::last_stop_in(const HistoryName& history) const {
  std::optional<Timestamp> last;
  for (const CatalogueEntry& entry : archive_.backups) {
    if (entry.state != BackupState::kCommitted || !(entry.name.history == history)) continue;
    last = std::max(last.value_or(Timestamp::min()), entry.outcome.info.stop_time);
  }
  return last;
}

void LineFinder::note_histories_that_left(const HistoryRecord& history, ClusterLine& line) const {
  if (const HistoryRecord* other = taken_over_by(archive_.histories, history.name)) {
    leave(line, parse_rfc3339(other->opened));
  }
  for (const HistoryRecord& other : archive_.histories) {
    const bool took_over = other.fork && other.fork->parent == history.name.number;
    const bool upgraded =
        other.reason == HistoryReason::kUpgrade && other.name.number > history.name.number;
    if (took_over || upgraded) leave(line, parse_rfc3339(other.opened));
  }
  if (history.side) leave(line, last_stop_in(history.name));
}

std::optional<Timestamp> LineFinder::stored_at(const std::string& object) const {
  const auto info = repository_.store().head(object, stop_);
  return info ? std::optional(info->modified) : std::nullopt;
}

// When the newest segment and the newest backup that a history itself has of a timeline were
// stored, as far as they reach behind a position.
std::optional<Timestamp> LineFinder::last_sign(const HistoryName& history, TimelineId timeline,
                                               Lsn behind) const {
  std::optional<Timestamp> last;
  for (const WalListing& listing : archive_.listings) {
    if (!(listing.place.history == history)) continue;
    const TimelineListing* const stored = find_timeline(listing, timeline);
    if (stored == nullptr || stored->runs.empty()) continue;
    const SegmentName newest{timeline, stored->runs.back().last};
    if (newest.number < behind.value / listing.segment_size.bytes) continue;
    last =
        std::max(last, stored_at(names::wal_segment(listing.place, newest, listing.segment_size)));
  }
  const CatalogueEntry* newest = nullptr;
  for (const CatalogueEntry& entry : archive_.backups) {
    const BackupInfo& info = entry.outcome.info;
    if (entry.state != BackupState::kCommitted || !(entry.name.history == history)) continue;
    if (info.timeline != timeline || info.stop_lsn <= behind) continue;
    behind = info.stop_lsn;
    newest = &entry;
  }
  if (newest != nullptr) last = std::max(last, stored_at(names::outcome(newest->name)));
  return last;
}

// Whether somebody still writes the line's timeline although `other` left it.
bool LineFinder::goes_on(const ClusterLine& line, const TimelineSwitch& fork, TimelineId other,
                         Timestamp left) const {
  const auto here = last_sign(line.history, line.timeline, fork.at);
  if (!here || *here <= left) return false;
  const auto there = last_sign(line.history, other, Lsn{});
  return *here + kSilentMax > std::max(left, there.value_or(left));
}

void LineFinder::note_timelines_that_left(const std::vector<PathOfLine>& paths,
                                          ClusterLine& line) const {
  for (const PathOfLine& other : paths) {
    const auto& switches = other.path.timelines.switches;
    const auto fork = std::ranges::find(switches, line.timeline, &TimelineSwitch::timeline);
    if (fork == switches.end()) continue;
    const auto left =
        stored_at(names::timeline_history({archive_.cluster, line.history}, other.timeline));
    if (left && goes_on(line, *fork, other.timeline, *left)) continue;
    leave(line, left);
  }
}

void LineFinder::add_history(const HistoryRecord& history) {
  std::vector<PathOfLine> paths = paths_of(history);
  for (PathOfLine& path : paths) {
    ClusterLine line = line_on(history, path);
    note_histories_that_left(history, line);
    note_timelines_that_left(paths, line);
    found_.lines.push_back(std::move(line));
  }
}

}  // namespace

ClusterLines lines_of_cluster(const Repository& repository, const ArchiveSurvey& archive,
                              const std::stop_token& stop) {
  return LineFinder(repository, archive, stop).find();
}

}  // namespace holdfast
