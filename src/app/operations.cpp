#include "app/operations.h"

#include "app/clock.h"
#include "app/dropped.h"
#include "app/open.h"
#include "app/version.h"
#include "backup/archived_wal.h"
#include "core/log.h"
#include "expire/freed_bytes.h"
#include "postgres/session.h"
#include "repository/wal_rollup.h"

namespace holdfast {

namespace {

struct ServerLook {
  std::vector<std::string> warnings;
  bool archives = false;
};

// A backup is worth having whatever the clocks say, so that is a warning here and fails only
// `check`; and one without archived WAL carries its own.
ServerLook look_at_server(const Config& config, const RepositoryConfig& repository,
                          const Repository& opened, const std::stop_token& stop) {
  Session session = Session::connect(config.postgres.connection, stop);
  ServerLook look{.archives = repository.wal && archives_wal(session)};
  if (auto clocks = clock_warning({read_clock(session), read_clock(opened.store(), stop)})) {
    look.warnings.push_back(std::move(*clocks));
  }
  return look;
}

// Roll-ups only save requests later, so a backup does not fail for them.
constexpr std::size_t kRollUpsAtOnce = 64;  // 16,384 segments
void write_roll_ups(const Repository& repository, const BackupInfo& backup,
                    const std::stop_token& stop) {
  try {
    const WalListing listing = list_wal(repository, {backup.name.cluster, backup.name.history},
                                        backup.wal_segment_size, stop);
    write_due_rollups(repository, listing, kRollUpsAtOnce, stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    log_warning("WAL roll-ups were not written", {{"error", error.message()}});
  }
}

// A gap that began before this backup ends with it.
void warn_of_dropped(const Config& config, const Repository& repository, BackupResult& result,
                     const std::stop_token& stop) {
  try {
    const auto dropped = dropped_wal(config, repository, result.info.name.history, stop);
    if (!dropped || dropped->backup_since != result.info.name.id.text) return;
    result.warnings.push_back(
        fmt::format("WAL was dropped without being stored since the last backup: {}. What lies "
                    "between its first segment and the end of this backup cannot be recovered",
                    describe(dropped->last)));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    log_warning("whether WAL was dropped is not known", {{"error", error.message()}});
  }
}

}  // namespace

BackupResult backup(const Config& config, const RepositoryConfig& repository,
                    const BackupRequest& request, Progress& progress, const std::stop_token& stop) {
  prepare_state_directory(config);
  const auto opened = open_repository(repository, stop);
  ServerLook look = look_at_server(config, repository, *opened, stop);
  if (!look.archives && !request.standalone) {
    look.warnings.emplace_back(
        "WAL is not archived to this repository, so the backup carries its own: it can be restored "
        "to its end, and to no later point");
  }
  const BackupOptions options{.cluster = config.cluster,
                              .type = request.type,
                              .reread = request.reread,
                              .refresh = config.backup.refresh,
                              .label = request.label,
                              .reason = request.reason,
                              .annotations = request.annotations,
                              .standalone = request.standalone || !look.archives,
                              .archive_patience = config.wal.timeout,
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
  // From here on there is a backup, and whoever ends the program must learn of it.
  try {
    warn_of_dropped(config, *opened, result, stop);
    if (look.archives) write_roll_ups(*opened, result.info, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCancelled) throw;
    result.warnings.emplace_back(
        "a signal came when the backup was complete: roll-ups of archived WAL are left to the next "
        "one");
  }
  result.warnings.insert(result.warnings.begin(), look.warnings.begin(), look.warnings.end());
  return result;
}

std::vector<CatalogueEntry> list(const Config& config, const RepositoryConfig& repository,
                                 const std::stop_token& stop) {
  return list_backups(*open_repository(repository, stop), config.cluster, stop);
}

BackupDetails show(const Config& config, const RepositoryConfig& repository,
                   const std::string& wanted, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  BackupDetails details{.entry = find_backup(*opened, config.cluster, wanted, stop)};
  details.entry.proof = last_proof(*opened, details.entry.name, stop);
  details.hold = last_hold(*opened, details.entry.name, stop);
  if (details.hold && !details.hold->held) details.hold.reset();
  details.held = details.hold && details.hold->active(opened->store().now(stop));
  try {
    details.freed_bytes = bytes_freed_by_deleting(*opened, details.entry.name, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRefused && !condemns_one_object(error.kind())) throw;
    details.unknown_because = error.message();
  }
  return details;
}

}  // namespace holdfast
