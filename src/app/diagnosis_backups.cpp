// Diagnosis: backups, drills, recoveries, and what was left behind.
#include <algorithm>

#include <fmt/format.h>

#include "app/diagnosis_parts.h"
#include "app/drill_preset.h"
#include "app/evidence_parts.h"
#include "core/text.h"
#include "system/cron.h"
#include "system/time_zone.h"

namespace holdfast {
namespace {

bool backup_runs(const Evidence& evidence) {
  return evidence.server.backup_runs.value_or(false) ||
         std::ranges::any_of(evidence.machine.running,
                             [](const RunningOperation& each) { return each.what == "backup"; });
}

std::chrono::local_time<std::chrono::minutes> wall_clock(const Config& config, Timestamp time) {
  auto offset = ZoneOffset::zero();
  try {
    if (const auto zone = TimeZone::find(config.timezone)) offset = zone->offset_at(time);
  } catch (const Error&) {  // no zone files here: UTC, which may be off by a day of the schedule
    offset = ZoneOffset::zero();
  }
  return std::chrono::local_time<std::chrono::minutes>(
      std::chrono::floor<std::chrono::minutes>(time.time_since_epoch() + offset));
}

void judge_age(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  const Evidence& evidence = diagnosing.evidence;
  if (!repository.last_good) {
    diagnosing.add({.code = "no_backup",
                    .severity = ProblemSeverity::kCritical,
                    .repository = repository.name,
                    .title = fmt::format("repository {} has no good backup", repository.name),
                    .evidence = {repository.bad.empty()
                                     ? "none is complete"
                                     : fmt::format("{} damaged", fmt::join(repository.bad, ", "))},
                    .consequence = "Nothing can be recovered.",
                    .remedy = "'holdfast backup --type full' now."});
    return;
  }
  const BackupInfo& info = repository.last_good->outcome.info;
  const auto age = evidence.now - info.stop_time;
  const BackupLimits limits = backup_limits(diagnosing.config, info.stop_time);
  if (age > limits.overdue && !backup_runs(evidence)) {
    const std::string& schedule = diagnosing.config.backup.schedule;
    diagnosing.add(
        {.code = "backup_overdue",
         .severity =
             age > limits.long_overdue ? ProblemSeverity::kCritical : ProblemSeverity::kWarning,
         .repository = repository.name,
         .title = fmt::format("the last good backup ended {}", ago(evidence.now, info.stop_time)),
         .evidence = {fmt::format(
             "{} ended at {}; {}", info.name.id.text, to_rfc3339_seconds(info.stop_time),
             schedule.empty() ? "one a day is expected"
                              : fmt::format("backup.schedule is '{}'", schedule))},
         .consequence = "Recovery has all WAL since then to replay, and takes that much longer.",
         .remedy = "'holdfast backup' now; then look at what should start it: 'systemctl "
                   "list-timers', cron."});
  }
}

void judge_bad(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  if (repository.bad.empty() || !repository.last_good) return;
  diagnosing.add({.code = "backup_damaged",
                  .severity = ProblemSeverity::kCritical,
                  .repository = repository.name,
                  .title = fmt::format("damaged backups in {}: {}", repository.name,
                                       fmt::join(repository.bad, ", ")),
                  .evidence = {"the last verification or drill of each failed, or its commit "
                               "record cannot be read"},
                  .consequence = "They cannot be restored as they are, and blocks that newer "
                                 "backups share with them may be damaged too.",
                  .remedy = "'holdfast backup --type full', then 'holdfast verify --all'."});
}

// It runs, and has for long. A backup that goes on stores something every now and then.
void judge_long(const Diagnosing& diagnosing, const RepositoryEvidence& repository,
                const std::string& what) {
  const Evidence& evidence = diagnosing.evidence;
  const UnfinishedBackup& backup = repository.unfinished.back();
  const auto running = evidence.now - parse_rfc3339(backup.started).value_or(evidence.now);
  const auto& stored = backup.last_stored;
  const bool goes_on = stored && evidence.now - *stored <= kBackupQuiet;
  Finding finding{.code = goes_on ? "backup_long" : "backup_stuck",
                  .severity = goes_on ? ProblemSeverity::kNotice : ProblemSeverity::kWarning,
                  .repository = repository.name,
                  .title = fmt::format("a backup has been running for {}{}",
                                       human_duration(running), goes_on ? ", and goes on" : ""),
                  .evidence = {what},
                  .consequence =
                      "No other backup can be taken meanwhile, and PostgreSQL keeps the WAL since "
                      "its start.",
                  .remedy = "'holdfast list' has the durations of others.",
                  .causes = {"backup_overdue"}};
  if (stored) {
    finding.evidence.push_back(
        fmt::format("the last of it was stored {}", ago(evidence.now, *stored)));
  }
  if (!goes_on) {
    finding.remedy =
        "An incremental that finds nothing changed stores nothing while it reads. 'holdfast list' "
        "has the durations of others, its process and its log tell whether this one goes on. "
        "SIGTERM ends it cleanly.";
  }
  diagnosing.add(std::move(finding));
}

void judge_unfinished(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  const Evidence& evidence = diagnosing.evidence;
  if (repository.unfinished.empty()) return;
  const UnfinishedBackup& newest = repository.unfinished.back();
  const auto started = parse_rfc3339(newest.started);
  const bool superseded =
      repository.last_good && started && repository.last_good->outcome.info.start_time > *started;
  const std::string what =
      fmt::format("{}, begun {} on {}, process {}", newest.id,
                  started ? to_rfc3339_seconds(*started) : "at an unknown time",
                  newest.host.empty() ? "an unknown host" : newest.host, newest.pid);
  const bool too_long = started && evidence.now - *started > kBackupTooLong;
  if (backup_runs(evidence) || (!evidence.server.backup_runs && !superseded)) {
    if (too_long && !superseded) judge_long(diagnosing, repository, what);
    return;
  }
  if (superseded) return;
  diagnosing.add({.code = "backup_failed",
                  .repository = repository.name,
                  .title = "the last backup died before it was complete",
                  .evidence = {what},
                  .consequence = "It does not count, and what it stored takes room.",
                  .remedy =
                      "'holdfast log --since 2d' and the journal of what started it may say why. "
                      "'holdfast backup' takes the next, and removes what it left.",
                  .causes = {"backup_overdue", "no_backup"}});
}

void judge_drills(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  if (evidence.machine.drills.empty()) {
    const bool any_backup = std::ranges::any_of(
        evidence.repositories,
        [](const RepositoryEvidence& repository) { return repository.last_good.has_value(); });
    if (!any_backup) return;
    bool old = false;
    for (const RepositoryEvidence& repository : evidence.repositories) {
      for (const CatalogueEntry& backup : repository.backups) {
        old = old || (backup.state == BackupState::kCommitted &&
                      evidence.now - backup.outcome.info.stop_time > kDrillOverdue);
      }
    }
    diagnosing.add({.code = "drill_overdue",
                    .severity = old ? ProblemSeverity::kWarning : ProblemSeverity::kNotice,
                    .title = "no backup was ever restored by a drill",
                    .evidence = {"neither a report here nor a proof in a repository"},
                    .consequence = "Nobody knows whether recovery works, and how long it takes.",
                    .remedy = "'holdfast drill', and then every month."});
    return;
  }
  const DrillEvidence& last = evidence.machine.drills.back();
  if (!last.passed) {
    diagnosing.add(
        {.code = last.proven ? "objective_missed" : "drill_failed",
         .severity = last.proven ? ProblemSeverity::kWarning : ProblemSeverity::kCritical,
         .title = fmt::format("the last drill failed, {}", ago(evidence.now, last.time)),
         .evidence = {fmt::format("of {}: {}", last.backup.empty() ? "no backup" : last.backup,
                                  last.failed)},
         .consequence = last.proven ? "The backup came back, but not as it should: too late, too "
                                      "old, or with other content."
                                    : "The backup could not be brought back.",
         .remedy = last.proven
                       ? "The report in the state directory says which objective or question "
                         "it was; docs/drills.md says what each means."
                       : "The report in the state directory says more. 'holdfast backup "
                         "--type full', then 'holdfast drill'."});
  } else if (evidence.now - last.time > kDrillOverdue) {
    diagnosing.add({.code = "drill_overdue",
                    .title = fmt::format("the last drill was {}", ago(evidence.now, last.time)),
                    .evidence = {"one a month is expected"},
                    .consequence = "Nobody knows whether recovery still works.",
                    .remedy = "'holdfast drill'."});
  }
}

struct RareDrill {
  std::string_view preset;
  const char* code;
  std::chrono::days overdue;
  const char* consequence;
};
constexpr RareDrill kQuarterly{"quarterly", "quarterly_drill_overdue", kQuarterlyDrillOverdue,
                               "Nobody knows whether the repositories are enough without what "
                               "this machine keeps."};
constexpr RareDrill kYearly{"yearly", "yearly_drill_overdue", kYearlyDrillOverdue,
                            "Nobody knows whether the cold repository brings the cluster back by "
                            "itself."};

void judge_rare_drill(const Diagnosing& diagnosing, const RareDrill& rare) {
  const Evidence& evidence = diagnosing.evidence;
  const DrillEvidence* const last = last_proven(diagnosing.config, evidence, rare.preset);
  std::optional<Timestamp> since;
  if (last != nullptr) {
    since = last->time;
  } else {
    for (const RepositoryEvidence& repository : evidence.repositories) {
      if (!repository.known_since) continue;
      since = std::min(since.value_or(*repository.known_since), *repository.known_since);
    }
  }
  if (!since || evidence.now - *since <= rare.overdue) return;
  diagnosing.add(
      {.code = rare.code,
       .title = last == nullptr ? fmt::format("no {} drill ever brought a backup back", rare.preset)
                                : fmt::format("the last {} drill that brought a backup back was {}",
                                              rare.preset, ago(evidence.now, last->time)),
       .evidence = {last == nullptr
                        ? "neither a report here nor a proof in a repository; the cluster is known "
                          "since " +
                              to_rfc3339_seconds(*since)
                        : fmt::format("of {}, at {}", last->backup, to_rfc3339_seconds(*since))},
       .consequence = rare.consequence,
       .remedy = fmt::format("'holdfast drill --preset {}'; 'holdfast units' has a timer for it.",
                             rare.preset)});
}

void judge_rare_drills(const Diagnosing& diagnosing) {
  if (!diagnosing.evidence.machine.knows_rare_drills) return;
  judge_rare_drill(diagnosing, kQuarterly);
  if (cold_repository(diagnosing.config) != nullptr) judge_rare_drill(diagnosing, kYearly);
}

// Whoever began it may not know that it ended.
Finding stopped_promotion(const RecoveryView& view) {
  const RecoveryStep& last = view.record.steps.back();
  return {.code = "promotion_stopped",
          .severity = ProblemSeverity::kCritical,
          .title = fmt::format("the promotion of recovery {} stopped at '{}'", view.record.name,
                               last.name),
          .evidence = {last.result == RecoveryStep::Result::kFailed
                           ? fmt::format("failed at {}: {}", last.ended, last.detail)
                           : fmt::format("interrupted, begun at {}", last.began)},
          .consequence = "The cluster may be down, or nobody can write to it.",
          .remedy = view.next};
}

void judge_recoveries(const Diagnosing& diagnosing) {
  using State = RecoveryView::State;
  const Evidence& evidence = diagnosing.evidence;
  for (const RecoveryView& view : evidence.machine.recoveries) {
    const RecoveryRecord& record = view.record;
    const auto began = parse_rfc3339(record.began);
    const bool stands_long = began && evidence.now - *began > kRecoveryStandsLong;
    const bool broken = view.state == State::kInterrupted || view.state == State::kFailed;
    if (broken && record.promotion && !record.is_being_abandoned()) {
      diagnosing.add(stopped_promotion(view));
      continue;
    }
    diagnosing.add(
        {.code = broken ? "recovery_broken" : "recovery_stands",
         .severity = broken || stands_long ? ProblemSeverity::kWarning : ProblemSeverity::kNotice,
         .title = fmt::format("recovery {} is {}, begun {}", record.name, to_string(view.state),
                              record.began),
         .evidence = {record.folder.string()},
         .consequence = "The copy takes the room of a whole cluster.",
         .remedy = view.next});
  }
  for (const ReplayEvidence& replay : evidence.machine.replays) judge_replay(diagnosing, replay);
}

void judge_checks(const Diagnosing& diagnosing) {
  for (const CheckFinding& check : diagnosing.evidence.machine.checks) {
    const bool failed = check.level == FindingLevel::kFailed;
    diagnosing.add({.code = "setting",
                    .severity = failed ? ProblemSeverity::kCritical : ProblemSeverity::kNotice,
                    .title = fmt::format("{}: {}", check.name, check.detail),
                    .consequence = failed ? "Backups fail, or will." : "",
                    .remedy = check.hint});
  }
}

Timestamp ended(const CatalogueEntry& entry) {
  return entry.outcome.info.stop_time;
}

// Of those behind `after`, the first that could have been copied.
const CatalogueEntry* first_behind(const RepositoryEvidence& repository, Timestamp after) {
  const CatalogueEntry* first = nullptr;
  for (const CatalogueEntry& entry : repository.backups) {
    const bool counts = entry.state == BackupState::kCommitted && !entry.outcome.info.recovered;
    if (!counts || ended(entry) <= after) continue;
    if (first == nullptr || ended(entry) < ended(*first)) first = &entry;
  }
  return first;
}

std::optional<Timestamp> end_of_newest(const RepositoryEvidence& repository) {
  std::optional<Timestamp> newest;
  for (const CatalogueEntry& entry : repository.backups) {
    if (entry.state != BackupState::kCommitted) continue;
    newest = std::max(newest.value_or(ended(entry)), ended(entry));
  }
  return newest;
}

// Waited for is the first backup that is newer than whatever was copied.
void judge_copies(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  const Evidence& evidence = diagnosing.evidence;
  const auto& all = diagnosing.config.repositories;
  const auto own = std::ranges::find(all, repository.name, &RepositoryConfig::name);
  const RepositoryEvidence& source = evidence.repositories.front();
  if (own == all.end() || own->copy.schedule.empty() || repository.trouble) return;
  if (!source.first || source.trouble) return;
  const auto copied = end_of_newest(repository);
  const CatalogueEntry* const waits = first_behind(source, copied.value_or(Timestamp{}));
  if (waits == nullptr) return;
  const auto apart =
      interval_around(parse_cron(own->copy.schedule), wall_clock(diagnosing.config, ended(*waits)));
  if (evidence.now - ended(*waits) <= apart + kCopyMayTake) return;
  diagnosing.add(
      {.code = "copy_overdue",
       .repository = repository.name,
       .title = fmt::format("no backup was copied to {} since {}", repository.name,
                            to_rfc3339_seconds(ended(*waits))),
       .evidence = {fmt::format(
           "{} waits; the newest copy is of {}; copy.schedule is '{}'", waits->name.id.text,
           copied ? to_rfc3339_seconds(*copied) : std::string("no time"), own->copy.schedule)},
       .consequence =
           fmt::format("Without {}, what was backed up since then is lost.", source.name),
       .remedy = fmt::format("'holdfast copy latest --to {}{}' now; then look at what should start "
                             "it: 'systemctl list-timers', cron.",
                             repository.name, own->copy.standalone ? " --standalone" : "")});
}

}  // namespace

BackupLimits backup_limits(const Config& config, Timestamp end) {
  std::chrono::minutes apart = kBackupsApart;
  if (!config.backup.schedule.empty()) {
    apart = interval_around(parse_cron(config.backup.schedule), wall_clock(config, end));
  }
  return {.overdue = apart + kBackupMayTake, .long_overdue = 2 * apart + kBackupMayTake};
}

void judge_backups(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  if (!repository.opened) return;
  // Backups go to the first; others have copies.
  if (repository.first && repository.registered && !repository.trouble) {
    judge_unfinished(diagnosing, repository);
    judge_age(diagnosing, repository);
  }
  judge_bad(diagnosing, repository);
  judge_copies(diagnosing, repository);
}

const DrillEvidence* last_proven(const Config& config, const Evidence& evidence,
                                 std::string_view preset) {
  const RepositoryConfig* const cold =
      preset == to_string(DrillPreset::kYearly) ? cold_repository(config) : nullptr;
  const auto& drills = evidence.machine.drills;
  const auto last = std::ranges::find_if(drills.rbegin(), drills.rend(), [&](const auto& drill) {
    return drill.proven && drill.preset == preset &&
           (cold == nullptr || drill.repository == cold->name);
  });
  return last == drills.rend() ? nullptr : &*last;
}

void judge_machine(const Diagnosing& diagnosing) {
  const MachineEvidence& machine = diagnosing.evidence.machine;
  for (const Trouble& trouble : machine.troubles) {
    if (trouble.message.starts_with(kNotSeenInTime)) {
      diagnosing.add({.code = "recoveries_unknown",
                      .title = "how recoveries on this machine stand could not be seen",
                      .evidence = {trouble.message},
                      .remedy = "'holdfast recover status' asks them one by one."});
      continue;
    }
    diagnosing.add({.code = "state_directory",
                    .severity = ProblemSeverity::kCritical,
                    .title = "the state directory cannot be used",
                    .evidence = {trouble.message},
                    .consequence = "Neither backups nor recoveries can be run from here.",
                    .remedy = trouble.hint.empty() ? "Run this as the owner of the data directory."
                                                   : trouble.hint,
                    .causes = {"archiving_failing", "wal_backlog"}});
  }
  judge_checks(diagnosing);
  judge_drills(diagnosing);
  judge_rare_drills(diagnosing);
  judge_recoveries(diagnosing);
  if (machine.leftovers.empty()) return;
  diagnosing.add({.code = "leftovers",
                  .severity = ProblemSeverity::kNotice,
                  .title = "something was left behind",
                  .evidence = machine.leftovers,
                  .consequence = "It takes room.",
                  .remedy = "Remove what nobody needs."});
}

}  // namespace holdfast
