#pragma once
// Restores a backup into a data directory that is ready to start.
//
// Order: the marker; folders and files at their sizes; content, window by window, chunk by chunk
//   with scattered writes; the recovery settings; one sync of every file system touched; and last
//   of all, durably, global/pg_control. A directory without it does not start, so a restore that
//   was interrupted anywhere cannot be taken for a database (invariant 7), and the next run goes on
//   with it.
// Integrity: every chunk is authenticated, and every block is compared with its keyed hash in the
//   manifest, before it is written. What is damaged or missing is taken from another repository
//   that has the same backup (repository/stand_in.h); a backup whose manifest is damaged is
//   restored from there as a whole. Where none has it, the restore ends with kDamage, naming pack
//   and file.
// Memory: windows of kWindowBytes of data are planned at a time; see repository/chunk_fetcher.h.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/progress.h"
#include "repository/catalogue.h"
#include "repository/stand_in.h"
#include "restore/recovery_settings.h"
#include "restore/target.h"

namespace holdfast {

struct RestoreOptions {
  TargetOptions target;
  // What the server does when it starts: recover along the archive, or follow a primary. Without
  // it, the server becomes consistent with the WAL that the backup carries, and that is all.
  std::optional<RecoverySettings> recovery = {};
  RecoverySettings::Archiving archiving = RecoverySettings::Archiving::kKeep;  // without it
  // Other repositories that may have this backup; null: none. `repository_name` is what this one is
  // called where it stands in itself, for another one's.
  StandIns* stand_ins = nullptr;
  std::string repository_name = {};
  std::size_t jobs = 1;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20U;
};

struct RestoreResult {
  BackupInfo backup;
  RestoreTarget target;
  std::uint64_t files = 0;
  std::uint64_t bytes_written = 0;  // content; zeros are not written
  std::uint64_t bytes_kept = 0;     // found in place by a resumed or a delta restore
  std::uint64_t files_removed = 0;  // by --delta: what the backup does not have
  std::filesystem::path saved_wal;  // by --delta: where the old directory's WAL is now
  double duration_seconds = 0;
  std::vector<StoodIn> stood_in;  // what was damaged or missing, and taken from elsewhere
  std::vector<std::string> warnings;
};

RestoreResult restore_backup(const Repository& repository, const CatalogueEntry& backup,
                             const RestoreOptions& options, Progress& progress,
                             const std::stop_token& stop);

}  // namespace holdfast
