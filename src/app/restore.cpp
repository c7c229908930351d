#include "app/restore.h"

#include <filesystem>

#include "app/open.h"
#include "app/server_commands.h"
#include "core/text.h"
#include "postgres/local_server.h"
#include "repository/catalogue.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

RecoveryTarget parse_target(const Config& config, TargetRequest request) {
  const auto zone = TimeZone::find(config.timezone);
  if (!zone) {
    throw Error(ErrorKind::kConfiguration, "no such time zone", {.object = "timezone"});
  }
  request.zone = *zone;
  request.now = system_clock().now();
  return parse_recovery_target(request);
}

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

bool wal_is_archived(const Repository& repository, const WalPlace& place,
                     const std::stop_token& stop) {
  const ListPage page =
      repository.store().list({.prefix = names::wal_prefix(place), .limit = 1}, stop);
  return !page.objects.empty();
}

std::optional<RecoverySettings> plan_settings(const Config& config, const Repository& repository,
                                              const BackupInfo& backup,
                                              const RestoreRequest& request,
                                              const RecoveryTarget& target,
                                              const std::stop_token& stop) {
  const bool standby = request.mode == RestoreMode::kStandby;
  const bool archived = wal_is_archived(repository, {config.cluster, backup.name.history}, stop);
  if (!archived && !standby) {
    if (has_target(target) && target.kind != RecoveryTarget::Kind::kImmediate) {
      throw Error(ErrorKind::kRefused,
                  "no WAL of this cluster is in the repository: only the end of a backup can be "
                  "recovered to",
                  {.object = repository.store().describe(),
                   .hint = "Leave the target out, or bring back the repository that has the "
                           "WAL."});
    }
    if (backup.standalone) return std::nullopt;  // it carries all that it needs
  }
  const bool off = has_target(target) || source_lives(config, request.target.data_directory);
  using Archiving = RecoverySettings::Archiving;
  return RecoverySettings{
      .major_version = backup.postgres_version_num / 10000,
      .restore_command = restore_command(config, backup.name.history),
      .target = target,
      .mode = standby ? RecoverySettings::Mode::kStandby : RecoverySettings::Mode::kRecovery,
      .primary_conninfo = standby ? config.postgres.primary_connection : "",
      .archiving =
          request.archiving.value_or(off && !standby ? Archiving::kOff : Archiving::kKeep)};
}

std::string marker_text(const std::optional<RecoverySettings>& settings) {
  if (!settings) return "";
  if (settings->mode == RecoverySettings::Mode::kStandby) return "standby";
  return to_string(settings->target);
}

}  // namespace

RestoreAnswer restore(const Config& config, const RepositoryConfig& repository,
                      RestoreRequest request, Progress& progress, const std::stop_token& stop) {
  const RecoveryTarget target = parse_target(config, request.point);
  const auto opened = open_repository(repository, {.rate = config.backup.rate}, stop);
  const CatalogueEntry backup = find_backup(
      *opened, config.cluster, request.backup.empty() ? "latest" : request.backup, stop);
  const auto settings = plan_settings(config, *opened, backup.outcome.info, request, target, stop);
  request.target.recovery = marker_text(settings);
  return {.restored = restore_backup(*opened, backup,
                                     {.target = request.target,
                                      .recovery = settings,
                                      .jobs = effective_jobs(config.backup.jobs),
                                      .memory_bytes = config.memory_bytes},
                                     progress, stop),
          .recovery = settings};
}

}  // namespace holdfast
