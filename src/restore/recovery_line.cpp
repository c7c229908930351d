#include "restore/recovery_line.h"

#include <algorithm>

#include "core/error.h"

namespace holdfast {
namespace {

HistoryName choose_history(const ArchiveSurvey& survey, const RecoveryPlanRequest& request,
                           RecoveryLine& line) {
  if (request.history) {
    wal_line(survey.cluster, survey.histories, *request.history);  // kNotFound
    return *request.history;
  }
  const HistoryName newest = newest_history(survey.histories).name;
  if (!line.wanted || line_has(survey, newest, *line.wanted)) return newest;
  const BackupName& wanted = line.wanted->name;
  line.warnings.push_back(
      fmt::format("backup {} is of history {}, which {} does not go on from: recovering along "
                  "the older one",
                  wanted.id.text, to_string(wanted.history), to_string(newest)));
  return wanted.history;
}

// Of the newest backup first.
std::vector<TimelineId> timelines_of_backups(const ArchiveSurvey& survey,
                                             const RecoveryLine& line) {
  if (line.wanted) return {line.wanted->outcome.info.timeline};
  std::vector<TimelineId> timelines;
  for (auto entry = survey.backups.rbegin(); entry != survey.backups.rend(); ++entry) {
    if (entry->state != BackupState::kCommitted || !line_has(survey, line.history, *entry)) {
      continue;
    }
    const TimelineId timeline = entry->outcome.info.timeline;
    if (std::ranges::find(timelines, timeline) == timelines.end()) timelines.push_back(timeline);
  }
  return timelines;
}

std::vector<TimelineId> choose_timelines(const ArchiveSurvey& survey, const RecoveryLine& line,
                                         const RecoveryTarget& target) {
  const std::vector<TimelineId> stored =
      timelines_of_line(survey, wal_line(survey.cluster, survey.histories, line.history));
  const RecoveryTimeline& asked = target.timeline;
  if (asked.kind == RecoveryTimeline::Kind::kCurrent) return timelines_of_backups(survey, line);
  if (stored.empty()) return {};
  if (asked.kind == RecoveryTimeline::Kind::kLatest) return {stored.back()};
  if (std::ranges::find(stored, asked.number) != stored.end()) return {asked.number};
  std::string known;
  for (const TimelineId timeline : stored) {
    known += (known.empty() ? "" : ", ") + std::to_string(timeline.value);
  }
  throw Error(
      ErrorKind::kRefused,
      fmt::format("history {} has no timeline {}", to_string(line.history), asked.number.value),
      {.object = to_string(target), .hint = fmt::format("Stored timelines: {}.", known)});
}

}  // namespace

RecoveryLine choose_recovery_line(const Repository& repository, const ArchiveSurvey& survey,
                                  const RecoveryPlanRequest& request, const std::stop_token& stop) {
  RecoveryLine line;
  if (request.backup) {
    line.wanted = find_backup(repository, survey.cluster, *request.backup, stop);
  }
  line.history = choose_history(survey, request, line);
  line.timelines = choose_timelines(survey, line, request.target);
  return line;
}

bool line_has(const ArchiveSurvey& survey, const HistoryName& history,
              const CatalogueEntry& backup) {
  const BackupInfo& info = backup.outcome.info;
  return std::ranges::any_of(line_of(survey.histories, history), [&](const LineStep& step) {
    return step.history == backup.name.history && step.has_timeline(info.timeline) &&
           (!step.until || info.stop_lsn <= step.until->lsn);
  });
}

}  // namespace holdfast
