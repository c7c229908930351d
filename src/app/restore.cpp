#include "app/restore.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "app/open.h"
#include "app/server_commands.h"
#include "app/stand_ins.h"
#include "postgres/local_server.h"
#include "restore/recovery_plan.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

bool has_target(const RecoveryTarget& target) {
  return target.kind != RecoveryTarget::Kind::kLatest;
}

// Whether the server that the configuration names runs, elsewhere than in the target.
bool source_lives(const Config& config, const fs::path& target) {
  if (config.postgres.data_directory.empty()) return false;
  std::error_code error;
  if (fs::equivalent(config.postgres.data_directory, target, error)) return false;
  return running_server(config.postgres.data_directory).has_value();
}

RecoveryPlan make_plan(const Config& config, const Repository& repository,
                       const RestoreRequest& request, const RecoveryTarget& target,
                       Progress& progress, const std::stop_token& stop) {
  RecoveryPlanRequest wanted{.target = target, .progress = progress};
  if (!request.backup.empty()) wanted.backup = request.backup;
  if (!request.history.empty()) {
    wanted.history = parse_history_name(request.history);
    if (!wanted.history) {
      throw Error(ErrorKind::kUsage, "--history wants a name such as 0001-7340123456789012345",
                  {.object = request.history, .hint = "'holdfast window' lists them."});
    }
  }
  return plan_recovery(repository, config.cluster, wanted, stop);
}

HistoryName followed_history(const RestoreRequest& request,
                             const std::vector<HistoryRecord>& histories,
                             const CatalogueEntry& backup) {
  if (!request.history.empty()) {
    if (const auto asked = parse_history_name(request.history)) return *asked;
  }
  HistoryName newest = backup.name.history;
  for (const HistoryRecord& record : histories) {
    const bool goes_on = std::ranges::any_of(
        line_of(histories, record.name),
        [&](const LineStep& step) { return step.history == backup.name.history; });
    if (goes_on && record.name.number > newest.number) newest = record.name;
  }
  return newest;
}

ColdObjects cold_wal_behind(const Config& config, const Repository& repository,
                            const RestoreRequest& request, const CatalogueEntry& backup,
                            const std::stop_token& stop) {
  const auto histories = list_histories(repository, config.cluster, stop);
  const WalLine line =
      wal_line(config.cluster, histories, followed_history(request, histories, backup));
  return cold_wal(repository, line, backup.outcome.info, stop);
}

// Planning reads indexes that lie in the archived WAL. When that is frozen, everything that the
// named backup and its WAL need is brought back first.
std::optional<Thawed> thaw_for_plan(const Config& config, const Repository& repository,
                                    const RestoreRequest& request, Progress& progress,
                                    const std::stop_token& stop) {
  const CatalogueEntry backup = find_backup(repository, config.cluster, request.backup, stop);
  ColdObjects cold = cold_objects(repository, {backup}, stop);
  append(cold, cold_wal_behind(config, repository, request, backup, stop));
  return bring_back(repository, std::move(cold), request.thaw, progress, stop);
}

struct ThawedPlan {
  RecoveryPlan plan;
  std::optional<Thawed> thawed = {};
};

ThawedPlan plan_or_thaw(const Config& config, const Repository& repository,
                        const RestoreRequest& request, const RecoveryTarget& target,
                        Progress& progress, const std::stop_token& stop) {
  RestoreRequest named = request;
  try {
    RecoveryPlan plan = make_plan(config, repository, request, target, progress, stop);
    // Apart from the server nothing is replayed of which it is not known what it makes.
    if (!request.apart || !plan.frozen_for_tablespaces) return {std::move(plan)};
    named.backup = plan.backup.name.id.text;
  } catch (const Error& error) {
    if (!is_about_frozen(repository, error, stop)) throw;
    if (request.backup.empty()) {
      throw Error(ErrorKind::kRefused, error.message(),
                  {.object = error.object(),
                   .hint = "Archived WAL is frozen, and without it no backup can be chosen. Name "
                           "one ('holdfast list'), and --thaw SPEED --yes brings back what it "
                           "needs."});
    }
  }
  const auto thawed = thaw_for_plan(config, repository, named, progress, stop);
  return {make_plan(config, repository, named, target, progress, stop), thawed};
}

// Nothing is thawed for a look.
ThawedPlan plan_or_refuse(const Config& config, const Repository& repository,
                          const RestoreRequest& request, const RecoveryTarget& target,
                          const std::stop_token& stop) {
  try {
    return {make_plan(config, repository, request, target, null_progress(), stop)};
  } catch (const Error& error) {
    if (!is_about_frozen(repository, error, stop)) throw;
    throw Error(ErrorKind::kRefused,
                "archived WAL is frozen, and without it nothing can be planned",
                {.object = error.object(),
                 .hint = "'holdfast restore ID' and 'holdfast recover start ID' bring it back: "
                         "--thaw SPEED --yes."});
  }
}

RecoverySettings::Archiving plan_archiving(const Config& config, const RestoreRequest& request,
                                           const RecoveryTarget& target) {
  using Archiving = RecoverySettings::Archiving;
  const bool off = request.mode != RestoreMode::kStandby &&
                   (has_target(target) || source_lives(config, request.target.data_directory));
  return request.archiving.value_or(off ? Archiving::kOff : Archiving::kKeep);
}

std::optional<RecoverySettings> plan_settings(const Config& config, const RestoreRequest& request,
                                              const RecoveryPlan& plan, RecoveryTarget target,
                                              RecoverySettings::Archiving archiving) {
  const BackupInfo& backup = plan.backup.outcome.info;
  const bool standby = request.mode == RestoreMode::kStandby;
  if (!plan.needs_archive && !standby) return std::nullopt;  // it carries all that it needs
  // What was planned is what is recovered to, also when a newer timeline appears meanwhile.
  if (!standby) target.timeline = {RecoveryTimeline::Kind::kNumber, plan.timeline};
  return RecoverySettings{
      .major_version = backup.postgres_version_num / 10000,
      .restore_command = restore_command(config, plan.history),
      .target = target,
      .mode = standby ? RecoverySettings::Mode::kStandby : RecoverySettings::Mode::kRecovery,
      .primary_conninfo = standby ? config.postgres.primary_connection : "",
      .archiving = archiving};
}

// What the restore and the recovery behind it are going to read, and cannot read now.
ColdObjects cold_for(const Config& config, const RepositoryConfig& from,
                     const Repository& repository, const RecoveryPlan& plan,
                     const std::stop_token& stop) {
  ColdObjects cold = cold_objects(repository, {plan.backup}, stop);
  if (plan.needs_archive && from.wal) {
    const auto histories = list_histories(repository, config.cluster, stop);
    append(cold, cold_wal(repository, wal_line(config.cluster, histories, plan.history),
                          plan.backup.outcome.info, stop));
  }
  return cold;
}

std::string marker_text(const std::optional<RecoverySettings>& settings) {
  if (!settings) return "";
  if (settings->mode == RecoverySettings::Mode::kStandby) return "standby";
  return to_string(settings->target);
}

[[noreturn]] void refuse_tablespace(const std::string& location, std::string message,
                                    std::string hint) {
  throw Error(
      ErrorKind::kRefused, std::move(message),
      {.object = location,
       .hint = "Take a new backup: a copy of it has this tablespace too. Or " + std::move(hint)});
}

// Replay makes a tablespace where WAL says, whatever moved the backup's own elsewhere. PostgreSQL
// takes a directory that is there for its own and overwrites what is in it, whoever uses it: a
// server that is stopped now may be started again.
void judge_new_tablespaces(const RestoreRequest& request, RecoveryPlan& plan) {
  // What is frozen is looked into before anything is restored (plan_or_thaw()).
  if (request.apart && plan.unchecked_for_tablespaces > 0 && !plan.frozen_for_tablespaces) {
    if (plan.damage_for_tablespaces) throw Error(*plan.damage_for_tablespaces);
    throw Error(
        ErrorKind::kRefused,
        fmt::format("of {} WAL segments behind the backup it is not known whether they make "
                    "a tablespace, which would be outside of the copy",
                    plan.unchecked_for_tablespaces),
        {.object = plan.backup.name.id.text,
         .hint = "Take a new backup and recover from that, choose an earlier target, or "
                 "'holdfast restore' on a machine that has no files of this cluster."});
  }
  for (const std::string& location : plan.new_tablespaces) {
    if (request.apart) {
      if (places_in(*request.apart).has_tablespace_in(location)) continue;
      refuse_tablespace(
          location,
          "the WAL behind the backup makes a tablespace, which would be outside of the copy",
          "choose a target from before it was made.");
    }
    std::error_code none;
    if (!fs::exists(location, none)) {
      plan.warnings.push_back(
          fmt::format("make the directory {} before the server starts, empty and its owner's: the "
                      "WAL behind the backup makes a tablespace there",
                      location));
    } else if (!fs::is_empty(location, none)) {
      refuse_tablespace(
          location, "the WAL behind the backup makes a tablespace in a directory that has files",
          "restore on another machine, or to a target from before it was made. If no "
          "server will ever need these files, set the directory aside.");
    }
  }
}

std::optional<RestorePreview::Wal> replayed_wal(const RecoveryPlan& plan) {
  if (!plan.needs_archive) return std::nullopt;
  const BackupInfo& backup = plan.backup.outcome.info;
  const Lsn to = std::max(plan.point ? plan.point->lsn : plan.interval.to.lsn, backup.stop_lsn);
  const std::uint64_t size = backup.wal_segment_size.bytes;
  return RestorePreview::Wal{backup.start_lsn, to,
                             (to.value - 1) / size - backup.start_lsn.value / size + 1};
}

// What is decided before anything is written; `request.target` is completed.
struct Prepared {
  std::unique_ptr<Repository> repository;
  RecoveryPlan plan;
  std::optional<RecoverySettings> settings;
  RecoverySettings::Archiving archiving = RecoverySettings::Archiving::kKeep;
  std::optional<Thawed> thawed;  // for the plan
};
template <class Plan>
Prepared prepare(const Config& config, const RepositoryConfig& repository, RestoreRequest& request,
                 const std::stop_token& stop, Plan plan) {
  const RecoveryTarget target = parse_target(config, request.point);
  if (request.mode == RestoreMode::kStandby && has_target(target)) {
    throw Error(ErrorKind::kUsage, "a standby follows its primary and has no target",
                {.object = "--standby"});
  }
  Prepared prepared{.repository = open_repository(repository, {.rate = config.backup.rate}, stop)};
  ThawedPlan planned = plan(*prepared.repository, target);
  prepared.plan = std::move(planned.plan);
  prepared.thawed = planned.thawed;
  if (request.mode == RestoreMode::kStandby && prepared.plan.backup.outcome.info.recovered) {
    throw Error(ErrorKind::kRefused,
                "a safety backup of a recovered copy ends at its target, and a standby goes on",
                {.object = prepared.plan.backup.name.id.text,
                 .hint = "Make the standby from another backup: leave the id out."});
  }
  judge_new_tablespaces(request, prepared.plan);
  if (request.planned) request.planned(prepared.plan.backup.outcome.info);
  prepared.archiving = plan_archiving(config, request, target);
  prepared.settings = plan_settings(config, request, prepared.plan, target, prepared.archiving);
  request.target.live_data_directory = config.postgres.data_directory;
  request.target.recovery = marker_text(prepared.settings);
  if (const auto wal = replayed_wal(prepared.plan)) {
    request.target.wal_to_replay =
        wal->segments * prepared.plan.backup.outcome.info.wal_segment_size.bytes;
  }
  if (prepared.settings) request.target.history = prepared.plan.history;
  return prepared;
}

}  // namespace

RecoveryTarget parse_target(const Config& config, TargetRequest request) {
  const auto zone = TimeZone::find(config.timezone);
  if (!zone) {
    throw Error(ErrorKind::kConfiguration, "no such time zone", {.object = "timezone"});
  }
  request.zone = *zone;
  request.now = system_clock().now();
  return parse_recovery_target(request);
}

namespace {

template <class Plan>
RestorePreview preview_by(const Config& config, const RepositoryConfig& repository,
                          RestoreRequest& request, const std::stop_token& stop, Plan plan) {
  Prepared prepared = prepare(config, repository, request, stop, plan);
  RestorePreview preview{.backup = prepared.plan.backup.outcome.info,
                         .history = prepared.plan.history,
                         .recovery = std::move(prepared.settings),
                         .archiving = prepared.archiving,
                         .wal = replayed_wal(prepared.plan),
                         .warnings = std::move(prepared.plan.warnings)};
  if (request.target.data_directory.empty()) return preview;
  preview.target = examine_target(preview.backup, request.target);
  if (preview.target.state == TargetState::kFresh) {
    preview.space = space_needed(preview.target, preview.backup);
    std::ranges::move(growth_warnings(preview.space, preview.target.wal_to_replay),
                      std::back_inserter(preview.warnings));
  }
  return preview;
}

}  // namespace

RestorePreview preview_restore(const Config& config, const RepositoryConfig& repository,
                               RestoreRequest request, const std::stop_token& stop) {
  return preview_by(config, repository, request, stop,
                    [&](const Repository& opened, const RecoveryTarget& target) {
                      return plan_or_refuse(config, opened, request, target, stop);
                    });
}

RestorePreview plan_restore(const Config& config, const RepositoryConfig& repository,
                            RestoreRequest request, Progress& progress,
                            const std::stop_token& stop) {
  return preview_by(config, repository, request, stop,
                    [&](const Repository& opened, const RecoveryTarget& target) {
                      return plan_or_thaw(config, opened, request, target, progress, stop);
                    });
}

std::optional<Thawed> bring_back_wal(const Config& config, const RepositoryConfig& repository,
                                     const RestoreRequest& request, Progress& progress,
                                     const std::stop_token& stop) {
  if (!repository.wal) return std::nullopt;
  const auto opened = open_repository(repository, {.rate = config.backup.rate}, stop);
  const CatalogueEntry backup = find_backup(*opened, config.cluster, request.backup, stop);
  return bring_back(*opened, cold_wal_behind(config, *opened, request, backup, stop), request.thaw,
                    progress, stop);
}

RestoreAnswer restore(const Config& config, const RepositoryConfig& repository,
                      RestoreRequest request, Progress& progress, const std::stop_token& stop) {
  const Prepared prepared =
      prepare(config, repository, request, stop,
              [&](const Repository& opened, const RecoveryTarget& target) {
                return plan_or_thaw(config, opened, request, target, progress, stop);
              });
  const BackupInfo& chosen = prepared.plan.backup.outcome.info;
  const RestoreTarget target = examine_target(chosen, request.target);  // before anything is paid
  std::vector<std::string> warnings = prepared.plan.warnings;
  if (target.state == TargetState::kFresh) {
    std::ranges::move(growth_warnings(space_needed(target, chosen), target.wal_to_replay),
                      std::back_inserter(warnings));
  }
  auto thawed = bring_back(*prepared.repository,
                           cold_for(config, repository, *prepared.repository, prepared.plan, stop),
                           request.thaw, progress, stop);
  if (!thawed) thawed = prepared.thawed;
  const auto stand_ins = stand_ins_for(config, repository);
  RestoreAnswer answer{.restored = restore_backup(*prepared.repository, prepared.plan.backup,
                                                  {.target = request.target,
                                                   .recovery = prepared.settings,
                                                   .archiving = prepared.archiving,
                                                   .stand_ins = stand_ins.get(),
                                                   .repository_name = repository.name,
                                                   .jobs = effective_jobs(config.backup.jobs),
                                                   .memory_bytes = config.memory_bytes},
                                                  progress, stop),
                       .recovery = prepared.settings,
                       .archiving = prepared.archiving,
                       .thawed = thawed};
  answer.restored.warnings.insert(answer.restored.warnings.begin(), warnings.begin(),
                                  warnings.end());
  return answer;
}

}  // namespace holdfast
