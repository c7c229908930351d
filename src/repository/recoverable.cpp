#include "repository/recoverable.h"

#include <algorithm>
#include <set>

#include "core/counted.h"
#include "core/error.h"
#include "core/parallel.h"
#include "repository/wal_summaries.h"

namespace holdfast {
namespace {

using Interval = RecoverableInterval;

UsableBackup usable_of(const BackupInfo& info) {
  return {.name = info.name,
          .timeline = info.timeline,
          .start_lsn = info.start_lsn,
          .stop_lsn = info.stop_lsn,
          .start_time = info.start_time,
          .stop_time = info.stop_time,
          .standalone = info.standalone,
          .bounded = info.recovered.has_value()};
}

// Whether all of the backup, to its stop, is part of the path.
bool is_on_path(const WalPath& path, const BackupInfo& info) {
  const auto step = std::ranges::find(path.line.steps, info.name.history, &LineStep::history);
  if (step == path.line.steps.end() || !step->has_timeline(info.timeline)) return false;
  if (step->until && info.stop_lsn > step->until->lsn) return false;
  return contains_up_to(path.timelines, info.timeline, info.stop_lsn);
}

SegmentRange segments_of(const UsableBackup& backup, WalSegmentSize size) {
  return {backup.start_lsn.value / size.bytes, (backup.stop_lsn.value - 1) / size.bytes};
}

Interval own_end(const UsableBackup& backup, SegmentRange needed) {
  return {.from = {backup.stop_lsn, backup.stop_time},
          .to = {backup.stop_lsn, backup.stop_time},
          .reach = Interval::Reach::kOwnEnd,
          .last_commit = Interval::LastCommit::kKnown,
          .last_record = {},
          .segments = needed,
          .backups = {backup}};
}

void add_backup(RecoverableLine& line, const UsableBackup& backup) {
  const WalSegmentSize size = line.path.segment_size();
  const SegmentRange needed = segments_of(backup, size);
  if (backup.bounded) {
    line.intervals.push_back(own_end(backup, needed));
    return;
  }
  const SegmentRange* run = find_run(line.path, needed.first);
  if (run == nullptr || !run->has(needed.last)) {
    if (backup.standalone) {
      line.intervals.push_back(own_end(backup, needed));
      return;
    }
    const auto missing = missing_segments(line.path, needed, 1);
    const SegmentName first{timeline_of_segment(line.path, missing.at(0).first),
                            missing.at(0).first};
    line.unusable.push_back(
        {backup.name, fmt::format("WAL that it needs is not stored: {} of {}, the first {}",
                                  count_missing(line.path, needed),
                                  counted(needed.count(), "segment"), to_string(first, size))});
    return;
  }
  const auto same = std::ranges::find_if(line.intervals, [&](const Interval& interval) {
    return interval.reach == Interval::Reach::kArchive && interval.segments == *run;
  });
  if (same != line.intervals.end()) {
    same->backups.push_back(backup);
    return;
  }
  line.intervals.push_back({.from = {backup.stop_lsn, backup.stop_time},
                            .to = {Lsn{(run->last + 1) * size.bytes}, std::nullopt},
                            .last_record = {},
                            .segments = *run,
                            .backups = {backup}});
}

// Looks for the last commit of an interval, from its end backwards to the first backup's stop.
class LastCommitSearch {
 public:
  LastCommitSearch(const SummaryReader& reader, Interval& interval, WalSegmentSize size)
      : reader_(reader), interval_(interval), size_(size) {}

  void run(std::uint64_t max_heads, const std::stop_token& stop) {
    const std::uint64_t last = interval_.segments.last;
    const std::uint64_t floor =
        std::max(interval_.segments.first, interval_.from.lsn.value / size_.bytes);
    std::uint64_t next = last + 1;  // everything from here on has been looked at
    for (std::uint64_t batch = 1; next > floor && last + 1 - next < max_heads; batch *= 4) {
      const std::uint64_t first = next - std::min({batch, next - floor, kSummaryBatch});
      const auto facts = reader_.read({first, next - 1}, stop);
      while (next > first) {
        --next;
        if (next == last) take_end(facts[next - first]);
        if (has_last_commit(next, facts[next - first], stop)) return;
      }
    }
    interval_.last_commit =
        next == floor && all_known_ ? Interval::LastCommit::kNone : Interval::LastCommit::kUnknown;
  }

 private:
  void take_end(const SegmentFacts& facts) {
    if (!facts.summary || !facts.summary->end.valid()) return;
    interval_.to.lsn = facts.summary->end;
    interval_.last_record = facts.summary->last_record;
  }

  bool has_last_commit(std::uint64_t number, const SegmentFacts& facts,
                       const std::stop_token& stop) {
    std::optional<SegmentSummary> summary = facts.summary;
    if (summary && summary->finished_count == 0 && !facts.joined && may_go_on(*summary)) {
      if (auto joined = reader_.read_joined(number, stop)) {
        summary = std::move(joined->index.summary);
      }
    }
    all_known_ = all_known_ && summary && knows_transactions(*summary);
    if (!summary || summary->finished_count == 0 || summary->latest < *interval_.from.time) {
      return false;
    }
    interval_.to.time = summary->latest;
    interval_.last_commit =
        all_known_ ? Interval::LastCommit::kKnown : Interval::LastCommit::kUnknown;
    return true;
  }

  // Whether a record from the segment before may end in it: the first one of its own is not at its
  // front.
  bool may_go_on(const SegmentSummary& summary) const {
    constexpr std::uint64_t kFirstPageHeader = 40;
    return summary.first_record.value % size_.bytes != kFirstPageHeader;
  }

  const SummaryReader& reader_;
  Interval& interval_;
  const WalSegmentSize size_;
  bool all_known_ = true;
};

RecoveryGap gap_behind(const WalPath& path, const Interval& before, const Interval* after) {
  RecoveryGap gap{.from = before.to, .to = {}, .missing = {}};
  // Without any archived WAL only standalone backups are left, each with an end of its own.
  SegmentRange between{before.segments.last + 1,
                       path.runs.empty() ? before.segments.last : path.runs.back().last};
  if (before.reach == Interval::Reach::kOwnEnd) between.first = before.segments.first;
  if (after != nullptr) {
    gap.to = after->from;
    between.last = after->segments.first - 1;
    if (after->reach == Interval::Reach::kOwnEnd) between.last = after->segments.last;
  }
  gap.missing = missing_segments(path, between, kMaxListedMissing);
  gap.missing_segments = count_missing(path, between);
  if (between.first <= between.last) {
    gap.unreachable_segments = between.count() - gap.missing_segments;
  }
  return gap;
}

std::vector<RecoveryGap> gaps_of(const RecoverableLine& line) {
  std::vector<RecoveryGap> gaps;
  for (std::size_t i = 0; i < line.intervals.size(); ++i) {
    const Interval& interval = line.intervals[i];
    if (i + 1 < line.intervals.size()) {
      gaps.push_back(gap_behind(line.path, interval, &line.intervals[i + 1]));
    } else if (!line.path.runs.empty() && line.path.runs.back().last > interval.segments.last) {
      gaps.push_back(gap_behind(line.path, interval, nullptr));
    }
  }
  return gaps;
}

// What a committed backup says of the history that it is in.
std::optional<HistoryRecord> history_by_backup(const ArchiveSurvey& survey,
                                               const HistoryName& name) {
  for (const CatalogueEntry& entry : survey.backups) {
    if (entry.state != BackupState::kCommitted || entry.name.history != name) continue;
    const BackupInfo& info = entry.outcome.info;
    return HistoryRecord{.name = name,
                         .postgres_version_num = info.postgres_version_num,
                         .wal_segment_size = info.wal_segment_size};
  }
  return std::nullopt;
}

void survey_histories(const Repository& repository, ArchiveSurvey& survey,
                      const std::stop_token& stop) {
  for (const HistoryName& name : list_history_names(repository, survey.cluster, stop)) {
    try {
      survey.histories.push_back(read_history(repository, survey.cluster, name, stop));
    } catch (const Error& error) {
      const auto substitute = history_by_backup(survey, name);
      if (!condemns_one_object(error.kind()) || !substitute) throw;
      survey.histories.push_back(*substitute);
      survey.damaged_histories.push_back(fmt::format("the record of history {} cannot be read: {}",
                                                     to_string(name), error.message()));
    }
  }
}

}  // namespace

ArchiveSurvey survey_archive(const Repository& repository, const std::string& cluster,
                             const std::stop_token& stop) {
  ArchiveSurvey survey{.cluster = cluster,
                       .histories = {},
                       .listings = {},
                       .backups = list_backups(repository, cluster, stop)};
  survey_histories(repository, survey, stop);
  for (const HistoryRecord& record : survey.histories) {
    survey.listings.push_back(
        list_wal(repository, {cluster, record.name}, record.wal_segment_size, stop));
  }
  return survey;
}

std::vector<TimelineId> timelines_of_line(const ArchiveSurvey& survey, const WalLine& line) {
  std::set<TimelineId> found;
  for (const LineStep& step : line.steps) {
    for (const WalListing& listing : survey.listings) {
      if (!(listing.place.history == step.history)) continue;
      for (const TimelineListing& timeline : listing.timelines) {
        const bool any = timeline.has_history_file || !timeline.runs.empty();
        if (any && step.has_timeline(timeline.timeline)) found.insert(timeline.timeline);
      }
    }
    for (const CatalogueEntry& entry : survey.backups) {
      if (entry.state != BackupState::kCommitted || !(entry.name.history == step.history)) continue;
      if (step.has_timeline(entry.outcome.info.timeline)) found.insert(entry.outcome.info.timeline);
    }
  }
  return {found.begin(), found.end()};
}

namespace {

std::optional<TimelineHistory> stored_timelines(const Repository& repository, const WalLine& line,
                                                TimelineId timeline, const std::stop_token& stop) {
  if (timeline == TimelineId{1}) return TimelineHistory{.timeline = timeline, .switches = {}};
  const auto text = read_timeline_history(repository, line, timeline, stop);
  if (!text) return std::nullopt;
  return parse_timeline_history(timeline, *text, history_file_of(timeline).text);
}

// Without the history file nothing is known of the timelines before. A backup that carries its own
// WAL brings that file for PostgreSQL, and lies on its timeline from start to end.
bool has_standalone_backup(const ArchiveSurvey& survey, const WalLine& line, TimelineId timeline) {
  return std::ranges::any_of(survey.backups, [&](const CatalogueEntry& entry) {
    const BackupInfo& info = entry.outcome.info;
    return entry.state == BackupState::kCommitted && info.standalone && info.timeline == timeline &&
           std::ranges::find(line.steps, entry.name.history, &LineStep::history) !=
               line.steps.end();
  });
}

[[noreturn]] void refuse_without_history(TimelineId timeline) {
  throw Error(ErrorKind::kNotFound,
              fmt::format("the history file of timeline {} is not stored", timeline.value),
              {.object = history_file_of(timeline).text,
               .hint = "PostgreSQL cannot recover to a timeline without it. If a server still "
                       "has it in pg_wal, archive it with 'holdfast archive-push'."});
}

WalPath path_along(WalLine line, TimelineHistory timelines, const ArchiveSurvey& survey) {
  std::vector<const WalListing*> listings;
  for (const LineStep& step : line.steps) {
    const auto found = std::ranges::find_if(survey.listings, [&](const WalListing& listing) {
      return listing.place.history == step.history;
    });
    HF_INVARIANT(found != survey.listings.end());
    listings.push_back(&*found);
  }
  return make_wal_path(std::move(line), std::move(timelines), listings);
}

WalPath path_to_recover_along(const Repository& repository, const ArchiveSurvey& survey,
                              const HistoryName& history, TimelineId timeline,
                              const std::stop_token& stop) {
  WalLine line = wal_line(survey.cluster, survey.histories, history);
  auto timelines = stored_timelines(repository, line, timeline, stop);
  if (!timelines && has_standalone_backup(survey, line, timeline)) {
    timelines = TimelineHistory{.timeline = timeline, .switches = {}};
  }
  if (!timelines) refuse_without_history(timeline);
  return path_along(std::move(line), std::move(*timelines), survey);
}

}  // namespace

WalPath wal_path_of(const Repository& repository, const ArchiveSurvey& survey,
                    const HistoryName& history, TimelineId timeline, const std::stop_token& stop) {
  WalLine line = wal_line(survey.cluster, survey.histories, history);
  auto timelines = stored_timelines(repository, line, timeline, stop);
  if (!timelines) refuse_without_history(timeline);
  return path_along(std::move(line), std::move(*timelines), survey);
}

void reach_of_backups(const ArchiveSurvey& survey, RecoverableLine& line) {
  std::vector<UsableBackup> backups;
  for (const CatalogueEntry& entry : survey.backups) {
    if (entry.state == BackupState::kDamaged) {
      const auto in_line =
          std::ranges::find(line.path.line.steps, entry.name.history, &LineStep::history);
      if (in_line != line.path.line.steps.end()) {
        line.unusable.push_back({entry.name, "damaged: " + entry.damage});
      }
    } else if (entry.state == BackupState::kCommitted &&
               is_on_path(line.path, entry.outcome.info)) {
      backups.push_back(usable_of(entry.outcome.info));
    }
  }
  std::ranges::stable_sort(backups, {}, &UsableBackup::stop_lsn);
  for (const UsableBackup& backup : backups) add_backup(line, backup);
  std::ranges::stable_sort(line.intervals, {}, [](const Interval& i) { return i.from.lsn; });
}

RecoverableLine recoverable_line(const Repository& repository, const ArchiveSurvey& survey,
                                 const HistoryName& history, TimelineId timeline,
                                 const RecoverableOptions& options, const std::stop_token& stop) {
  RecoverableLine line{.path = path_to_recover_along(repository, survey, history, timeline, stop),
                       .intervals = {},
                       .gaps = {},
                       .unusable = {}};
  reach_of_backups(survey, line);
  const SummaryReader reader(repository, line.path);
  for (Interval& interval : line.intervals) {
    if (interval.reach == Interval::Reach::kOwnEnd) continue;
    LastCommitSearch(reader, interval, line.path.segment_size()).run(options.max_heads, stop);
  }
  line.gaps = gaps_of(line);
  return line;
}

}  // namespace holdfast
