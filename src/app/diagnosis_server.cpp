// Diagnosis: PostgreSQL, its archiver, and how fast WAL is replayed.
#include <algorithm>

#include <fmt/format.h>

#include "app/diagnosis_parts.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast {
namespace {

// A standby that would need longer than this is slow, however fast it replays.
constexpr std::chrono::minutes kReplayMayTake{5};

bool any_holds_wal(const Evidence& evidence) {
  return std::ranges::any_of(evidence.repositories, &RepositoryEvidence::wal);
}

// How bad it is that WAL is not archived.
ProblemSeverity severity_of_waiting(const Config& config, const Evidence& evidence) {
  const WalRisk risk = wal_risk(evidence);
  std::chrono::microseconds limit = kWalAtRiskLong;
  if (config.objectives.recovery_point.count() > 0) limit = config.objectives.recovery_point;
  const bool too_old = risk.age && *risk.age > limit;
  const bool full_soon = risk.disk_full_in && *risk.disk_full_in < kDiskFullSoon;
  return too_old || full_soon ? ProblemSeverity::kCritical : ProblemSeverity::kWarning;
}

std::string backlog_text(const Evidence& evidence) {
  const BacklogEvidence& backlog = *evidence.server.backlog;
  const WalRisk risk = wal_risk(evidence);
  std::string text =
      fmt::format("{} ({}) {} in pg_wal", counted(backlog.segments, "segment"),
                  human_bytes(backlog.bytes), backlog.segments == 1 ? "waits" : "wait");
  if (backlog.oldest) text += ", the oldest since " + to_rfc3339_seconds(*backlog.oldest);
  if (risk.bytes_per_second) {
    text += fmt::format("; they grow by {} an hour, so that the disk, with {} free, is full in {}",
                        human_bytes(static_cast<std::uint64_t>(*risk.bytes_per_second * 3600)),
                        human_bytes(backlog.free_bytes), human_duration(*risk.disk_full_in));
  }
  return text;
}

void judge_backlog(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  const auto& backlog = evidence.server.backlog;
  if (!backlog || backlog->segments == 0) return;
  const WalRisk risk = wal_risk(evidence);
  const bool long_waiting = risk.age && *risk.age > kWalWaitsLong;
  if (!long_waiting && !evidence.server.archiver.failing()) return;
  diagnosing.add({.code = "wal_backlog",
                  .severity = severity_of_waiting(diagnosing.config, evidence),
                  .title = backlog_text(evidence),
                  .consequence = "What waits is lost with this server, and when the disk is full, "
                                 "PostgreSQL stops.",
                  .remedy =
                      "If nothing fails, archiving is too slow: raise wal.jobs. See which "
                      "program hangs: 'ps -C holdfast'; 'holdfast check' times one segment."});
}

void judge_failing(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  const ArchiverEvidence& archiver = evidence.server.archiver;
  if (!archiver.failing()) return;
  const auto& backlog = evidence.server.backlog;
  // PostgreSQL knows when it failed last, not since when. The first file that waits does.
  std::string since = archiver.last_archived ? "nothing was archived since " +
                                                   to_rfc3339_seconds(*archiver.last_archived)
                                             : "nothing was ever archived";
  if (backlog && backlog->oldest) {
    since += fmt::format("; the first file that waits was ready at {}",
                         to_rfc3339_seconds(*backlog->oldest));
  }
  Finding finding{
      .code = "archiving_failing",
      .severity = severity_of_waiting(diagnosing.config, evidence),
      .title = fmt::format("archive_command fails: {}", since),
      .evidence = {fmt::format("PostgreSQL failed on {} at {}", archiver.last_failed_file,
                               to_rfc3339_seconds(*archiver.last_failed))},
      .consequence = "What was written since then is lost with this server.",
      .remedy =
          "PostgreSQL's log shows what archive_command says; it tries again by "
          "itself. 'holdfast check' tries every part.",
      .causes = {"wal_backlog"}};
  if (archiver.said) {
    finding.evidence.push_back(fmt::format("archive-push said at {}: {}",
                                           to_rfc3339_seconds(archiver.said->time),
                                           archiver.said->message));
    if (!archiver.said->hint.empty()) finding.remedy = archiver.said->hint;
  }
  diagnosing.add(std::move(finding));
}

void judge_off(const Diagnosing& diagnosing) {
  diagnosing.add(
      {.code = "archiving_off",
       .severity = ProblemSeverity::kCritical,
       .title = "PostgreSQL archives no WAL",
       .evidence = {"archive_mode is off, or there is no archive_command"},
       .consequence = "Each backup can be restored to its own end, and nothing behind it.",
       .remedy = "'holdfast init --apply', then restart PostgreSQL.",
       .causes = {"archiving_failing", "wal_backlog", "archive_setting", "wal_gap"}});
}

void judge_archive_settings(const Diagnosing& diagnosing) {
  for (const PostgresSetting& setting : diagnosing.evidence.server.archiver.unfit) {
    const bool timeout = setting.name == "archive_timeout";
    diagnosing.add(
        {.code = timeout ? "archive_timeout" : "archive_setting",
         .severity = timeout ? ProblemSeverity::kWarning : ProblemSeverity::kCritical,
         .title = fmt::format("{} is {}", setting.name,
                              setting.current.empty() ? "not set" : setting.current),
         .evidence = {"wanted is: " + setting.wanted},
         .consequence = timeout ? "What is written in a quiet time may stay on this server alone "
                                  "for as long as it is quiet."
                                : "WAL does not come into the repository: " + setting.without + ".",
         .remedy = setting.restart_pending ? "It is set already: restart PostgreSQL."
                                           : "'holdfast init --apply' sets it.",
         .causes = timeout ? std::vector<std::string_view>{}
                           : std::vector<std::string_view>{"archiving_failing", "wal_backlog"}});
  }
}

void judge_canary(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  if (!evidence.server.canary) return;
  const auto interval = diagnosing.config.canary.interval;
  const auto& last = evidence.server.canary->last;
  if (last && evidence.now - *last <= std::max<Seconds>(3 * interval, kCanarySilent)) return;
  diagnosing.add(
      {.code = "canary_silent",
       .title = last ? fmt::format("the canary wrote its last row {}", ago(evidence.now, *last))
                     : std::string("there is no row of a canary"),
       .evidence = {fmt::format("canary.interval is {}{}", human_duration(interval),
                                last ? ", its last row is of " + to_rfc3339_seconds(*last) : "")},
       .consequence = "A drill cannot tell from it how much a recovery would lose.",
       .remedy = "'holdfast canary --once' writes a row, or says why it cannot. Then look at what "
                 "runs it: the canary's unit ('holdfast units', 'systemctl status'). If there "
                 "is to be none: canary.interval 0."});
}

}  // namespace

void judge_server(const Diagnosing& diagnosing) {
  const ServerEvidence& server = diagnosing.evidence.server;
  if (server.trouble) {
    diagnosing.add({.code = "postgres_unreachable",
                    .severity = ProblemSeverity::kCritical,
                    .title = "PostgreSQL cannot be asked",
                    .evidence = {server.trouble->message},
                    .consequence = "No backup can be taken, and nothing is known of its archiver.",
                    .remedy = server.trouble->hint.empty()
                                  ? "Start it, or correct postgres.connection."
                                  : server.trouble->hint,
                    .causes = {"setting"}});
    return;
  }
  judge_canary(diagnosing);
  if (!server.restored) return;
  const bool archives = server.archiver.on;
  diagnosing.add(
      {.code = "restored_copy",
       .severity = ProblemSeverity::kCritical,
       .title = "this server was restored from a backup and was not taken over",
       .evidence = {fmt::format("the data directory carries the marker of a restore; archiving is "
                                "{}",
                                archives ? "on" : "off")},
       .consequence = "What it writes is archived nowhere, and no backup of it is taken.",
       .remedy = "If it is the cluster now: 'holdfast init --take-over', archive_mode = on, and a "
                 "restart. If it is a copy to look at, all is well.",
       .causes = {"archiving_off", "archiving_failing", "wal_backlog", "archive_setting",
                  "archive_timeout", "two_writers", "backup_overdue"}});
}

void judge_archiving(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  // On a standby the primary archives.
  if (evidence.server.trouble || evidence.server.standby || !any_holds_wal(evidence)) return;
  if (!evidence.server.archiver.on) {
    judge_off(diagnosing);
  }
  judge_archive_settings(diagnosing);
  judge_failing(diagnosing);
  judge_backlog(diagnosing);
}

void judge_replay(const Diagnosing& diagnosing, const ReplayEvidence& replay) {
  if (!replay.bytes_per_second || (replay.paused && replay.whose.starts_with("recovery"))) return;
  const double left = static_cast<double>(replay.behind);
  const bool stands = *replay.bytes_per_second < 1;
  const Seconds needed(stands ? 0 : left / *replay.bytes_per_second);
  if (!stands && needed < kReplayMayTake) return;
  Finding finding{
      .code = "slow_replay",
      .severity = ProblemSeverity::kWarning,
      .title = fmt::format("{} is {} behind", replay.whose, human_bytes(replay.behind)),
      .evidence = {stands ? "it replays nothing now"
                          : fmt::format(
                                "it replays {} a second: {} to go",
                                human_bytes(static_cast<std::uint64_t>(*replay.bytes_per_second)),
                                human_duration(needed))},
      .consequence = "A failover or a recovery takes that much longer.",
      .remedy =
          "The wait says what limits it: IO: the disk; IPC, Extension: archive-get and its "
          "repository; Lock, RecoveryConflict: queries on the standby "
          "(max_standby_streaming_delay); no wait: one processor core, which WAL replay "
          "does not go beyond."};
  if (replay.paused) {
    finding.evidence.emplace_back("replay is paused");
    finding.remedy = "'select pg_wal_replay_resume()' lets it go on.";
  }
  for (const auto& [wait, seen] : replay.waits) {
    finding.evidence.push_back(fmt::format("it waited for \"{}\" in {} of the looks", wait, seen));
  }
  diagnosing.add(std::move(finding));
}

}  // namespace holdfast
