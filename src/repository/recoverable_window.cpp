#include "repository/recoverable_window.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "repository/wal_summaries.h"

namespace holdfast {
namespace {

const WalListing& listing_of(const ArchiveSurvey& survey, const HistoryName& history) {
  const auto found = std::ranges::find_if(
      survey.listings, [&](const WalListing& listing) { return listing.place.history == history; });
  HF_INVARIANT(found != survey.listings.end());
  return *found;
}

// Those of which the history itself has something.
std::set<TimelineId> own_timelines(const ArchiveSurvey& survey, const HistoryName& history) {
  std::set<TimelineId> found;
  for (const TimelineListing& timeline : listing_of(survey, history).timelines) {
    if (timeline.has_history_file || !timeline.runs.empty()) found.insert(timeline.timeline);
  }
  for (const CatalogueEntry& entry : survey.backups) {
    if (entry.state == BackupState::kCommitted && entry.name.history == history) {
      found.insert(entry.outcome.info.timeline);
    }
  }
  return found;
}

// Where the part of the path begins that this timeline of this history adds.
Lsn floor_of(const HistoryRecord& record, const TimelineHistory& timelines) {
  Lsn floor = fork_lsn(timelines);
  if (record.fork && timelines.timeline <= record.fork->timeline) {
    floor = std::max(floor, record.fork->lsn);
  }
  return floor;
}

// Segments behind the fork that are looked at for a time.
constexpr std::uint64_t kLookedForTime = 32;

// When the timeline began, from its first segment; else when the first transaction behind the fork
// finished: from then on, at the latest, a target by time is behind it.
std::optional<Timestamp> time_at(const Repository& repository, const WalPath& path, Lsn floor,
                                 const std::stop_token& stop) {
  const std::uint64_t number = floor.value / path.segment_size().bytes;
  const SegmentRange* const run = find_run(path, number);
  if (run == nullptr) return std::nullopt;
  const SegmentRange looked{number, std::min(run->last, number + kLookedForTime - 1)};
  for (const SegmentFacts& facts : SummaryReader(repository, path).read(looked, stop)) {
    const auto& summary = facts.summary;
    if (!summary) return std::nullopt;
    for (const WalRecoveryEnd& end : summary->recovery_ends) {
      if (end.timeline == path.timelines.timeline) return end.time;
    }
    if (summary->first_finished && summary->first_finished->start >= floor) {
      return summary->first_finished->time;
    }
  }
  return std::nullopt;
}

void clip(TimelineWindow& window, const WalPoint& floor) {
  std::erase_if(window.intervals,
                [&](const RecoverableInterval& interval) { return interval.to.lsn <= floor.lsn; });
  for (RecoverableInterval& interval : window.intervals) {
    if (interval.from.lsn < floor.lsn) interval.from = floor;
  }
  std::erase_if(window.gaps,
                [&](const RecoveryGap& gap) { return gap.to && gap.to->lsn <= floor.lsn; });
  const std::uint64_t first = floor.lsn.value / window.path.segment_size().bytes;
  for (RecoveryGap& gap : window.gaps) {
    if (gap.from.lsn >= floor.lsn) continue;
    gap.from = floor;
    std::erase_if(gap.missing, [&](const SegmentRange& range) { return range.last < first; });
    gap.missing_segments = 0;
    for (SegmentRange& range : gap.missing) {
      range.first = std::max(range.first, first);
      gap.missing_segments += range.count();
    }
  }
}

// A backup of another timeline or history is told of there.
void keep_own(std::vector<UnusableBackup>& unusable, const ArchiveSurvey& survey,
              const HistoryName& history, TimelineId timeline) {
  std::erase_if(unusable, [&](const UnusableBackup& backup) {
    if (!(backup.name.history == history)) return true;
    const auto entry = std::ranges::find(survey.backups, backup.name, &CatalogueEntry::name);
    return entry != survey.backups.end() && entry->state == BackupState::kCommitted &&
           entry->outcome.info.timeline != timeline;
  });
}

TimelineWindow window_of(const Repository& repository, const ArchiveSurvey& survey,
                         const HistoryRecord& record, TimelineId timeline,
                         const std::stop_token& stop) {
  TimelineWindow window{.timeline = timeline, .parent = {}, .stored = {}};
  const TimelineListing* listed = find_timeline(listing_of(survey, record.name), timeline);
  if (listed != nullptr && !listed->runs.empty()) {
    window.stored_segments = listed->segments();
    window.stored = SegmentRange{listed->runs.front().first, listed->runs.back().last};
  }
  try {
    RecoverableLine line = recoverable_line(repository, survey, record.name, timeline, {}, stop);
    window.path = std::move(line.path);
    window.intervals = std::move(line.intervals);
    window.gaps = std::move(line.gaps);
    window.unusable = std::move(line.unusable);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind()) && error.kind() != ErrorKind::kNotFound) throw;
    window.problem = error.message();
    return window;
  }
  const auto& switches = window.path.timelines.switches;
  if (!switches.empty()) window.parent = switches.back();
  if (const Lsn floor = floor_of(record, window.path.timelines); floor.valid()) {
    clip(window, {floor, time_at(repository, window.path, floor, stop)});
  }
  keep_own(window.unusable, survey, record.name, timeline);
  return window;
}

}  // namespace

std::vector<HistoryWindow> recoverable_window(const Repository& repository,
                                              const std::string& cluster,
                                              const std::stop_token& stop) {
  const ArchiveSurvey survey = survey_archive(repository, cluster, stop);
  std::vector<HistoryWindow> histories;
  for (const HistoryRecord& record : survey.histories) {
    HistoryWindow history{.record = record, .timelines = {}};
    for (const TimelineId timeline : own_timelines(survey, record.name)) {
      history.timelines.push_back(window_of(repository, survey, record, timeline, stop));
    }
    histories.push_back(std::move(history));
  }
  return histories;
}

std::string segment_text(const WalPath& path, std::uint64_t number) {
  return to_string(SegmentName{timeline_of_segment(path, number), number}, path.segment_size());
}

}  // namespace holdfast
