#include "app/operations.h"

#include "app/open.h"
#include "app/version.h"
#include "postgres/session.h"
#include "storage/open_store.h"

namespace holdfast {

InitResult init(const Config& config, const RepositoryConfig& repository,
                const std::stop_token& stop) {
  // The server first: nothing is created for a cluster that cannot be reached.
  const Session session = Session::connect(config.postgres.connection, stop);
  InitResult result{.repository = repository.url, .encrypted = repository.encryption.configured()};
  const StoreOptions options = store_options(repository);
  create_store(options);
  const auto key = key_source(repository.encryption);
  {
    const auto store = open_store(options);
    result.repository_created = Repository::create(
        *store, {.key = key, .key_label = "first key", .holdfast_version = holdfast_version()},
        stop);
  }
  const auto opened = Repository::open(open_store(options), key, stop);
  const ServerInfo& server = session.server();
  result.registration = register_cluster(*opened, config.cluster,
                                         {.system_identifier = server.system_identifier,
                                          .postgres_version_num = server.version_num,
                                          .wal_segment_size = server.wal_segment_size,
                                          .host = host_name()},
                                         stop);
  if (!result.encrypted) {
    result.warnings.push_back("the repository is not encrypted");
  }
  return result;
}

BackupResult backup(const Config& config, const RepositoryConfig& repository,
                    const BackupRequest& request, Progress& progress, const std::stop_token& stop) {
  prepare_state_directory(config);
  const auto opened = open_repository(repository, stop);
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
  return take_backup(*opened, options, progress, stop);
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
  return find_backup(*open_repository(repository, stop), config.cluster, wanted, stop);
}

}  // namespace holdfast
