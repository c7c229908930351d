#pragma once
// Takes a backup of a running PostgreSQL cluster.
//
// Consistency: backup mode is held in one session from before the first file is read until after
//   global/pg_control was read, last of all. Every WAL byte from its start to its stop is in the
//   repository before it is committed: archived there as segments, or, of a standalone backup,
//   carried inside it.
// An incremental backup is complete in itself: its manifest names every pack that it needs, also
//   those that older backups wrote (backup/choose_base.h says what it may build on).
// Publish order: packs, maps, manifest, then the commit record (`outcome`); every object was
//   accepted by the store before the next is written. Nothing is listed before the commit.
// Crashes, cancellation: whatever was stored stays unlisted and is swept by a later backup, which
//   first wins `aborted`. The end of the session ends backup mode and drops the replication slot.
// Exclusion: an flock in the state directory and an advisory lock in the session's database. They
//   keep two backups from doing the same work twice; correctness does not rest on them.
// Errors: see core/error.h. Damaged pages in the cluster are findings, not errors.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/data_source.h"
#include "backup/recovered_copy.h"
#include "core/progress.h"
#include "postgres/session.h"
#include "repository/backup_info.h"
#include "repository/repository.h"

namespace holdfast {

enum class BackupType {
  kFull,         // stores everything
  kIncremental,  // stores what changed since an older backup; full where there is none
};

struct BackupOptions {
  std::string cluster;
  BackupType type = BackupType::kFull;
  bool reread = false;                  // of an incremental one: read and compare everything
  std::chrono::milliseconds refresh{};  // no block lies in a pack older than this; 0: no limit
  std::string label;                    // --name
  std::string reason;
  std::map<std::string, std::string> annotations;

  std::optional<RecoveredCopy> copy = {};  // a safety backup of this one; always standalone
  bool standalone = true;                  // carry the WAL; false: wait until it is archived
  std::chrono::milliseconds archive_patience{std::chrono::minutes(1)};  // without any progress

  std::string connection;          // libpq
  std::string primary_connection;  // of a standby: where to switch WAL; may be empty
  std::filesystem::path data_directory;
  std::filesystem::path state_directory;  // exists

  CompressionChoice compression;
  Session::Checkpoint checkpoint = Session::Checkpoint::kFast;
  std::size_t jobs = 1;
  std::uint64_t rate = 0;  // bytes read per second; 0: no limit
  std::uint64_t memory_bytes = std::uint64_t{256} << 20U;

  std::string host;
  std::string holdfast_version;
  // When all of the backup is stored and it does not exist yet: for what it must never be without.
  // What this throws fails the backup.
  std::function<void(const BackupName&)> before_commit = {};
  // Tests put their own file access around the real one here.
  std::function<std::unique_ptr<DataSource>(std::unique_ptr<DataSource>)> wrap_source = {};
};

struct BackupResult {
  BackupInfo info;
  std::vector<std::string> swept;  // ids of dead backups whose leftovers were removed
  std::vector<std::string> warnings;
};

BackupResult take_backup(const Repository& repository, const BackupOptions& options,
                         Progress& progress, const std::stop_token& stop);

}  // namespace holdfast
