#include "app/operations.h"

#include "app/clock.h"
#include "app/open.h"
#include "app/version.h"
#include "postgres/session.h"

namespace holdfast {

namespace {

// A backup is worth having whatever the clocks say, so that is a warning here and fails only
// `check`.
std::optional<std::string> clocks_differ(const Config& config, const Repository& repository,
                                         const std::stop_token& stop) {
  Session session = Session::connect(config.postgres.connection, stop);
  return clock_warning({read_clock(session), read_clock(repository.store(), stop)});
}

}  // namespace

BackupResult backup(const Config& config, const RepositoryConfig& repository,
                    const BackupRequest& request, Progress& progress, const std::stop_token& stop) {
  prepare_state_directory(config);
  const auto opened = open_repository(repository, stop);
  const std::optional<std::string> clocks = clocks_differ(config, *opened, stop);
  const BackupOptions options{.cluster = config.cluster,
                              .label = request.label,
                              .reason = request.reason,
                              .annotations = request.annotations,
                              .connection = config.postgres.connection,
                              .primary_connection = config.postgres.primary_connection,
                              .data_directory = config.postgres.data_directory,
                              .state_directory = config.state_directory,
                              .compression = config.backup.compression,
                              .checkpoint = config.backup.checkpoint == CheckpointMode::kFast
                                                ? Session::Checkpoint::kFast
                                                : Session::Checkpoint::kSpread,
                              .jobs = effective_jobs(config.backup.jobs),
                              .rate = config.backup.rate,
                              .memory_bytes = config.memory_bytes,
                              .host = host_name(),
                              .holdfast_version = holdfast_version()};
  BackupResult result = take_backup(*opened, options, progress, stop);
  if (clocks) result.warnings.insert(result.warnings.begin(), *clocks);
  return result;
}

RestoreResult restore(const Config& config, const RepositoryConfig& repository,
                      const RestoreRequest& request, Progress& progress,
                      const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  const CatalogueEntry backup = find_backup(*opened, config.cluster, request.backup, stop);
  return restore_backup(*opened, backup,
                        {.target = request.target,
                         .jobs = effective_jobs(config.backup.jobs),
                         .memory_bytes = config.memory_bytes},
                        progress, stop);
}

std::vector<CatalogueEntry> list(const Config& config, const RepositoryConfig& repository,
                                 const std::stop_token& stop) {
  return list_backups(*open_repository(repository, stop), config.cluster, stop);
}

CatalogueEntry show(const Config& config, const RepositoryConfig& repository,
                    const std::string& wanted, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  CatalogueEntry entry = find_backup(*opened, config.cluster, wanted, stop);
  entry.proof = last_proof(*opened, entry.name, stop);
  return entry;
}

}  // namespace holdfast
