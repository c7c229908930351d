#pragma once
// `restore` from the configuration: which backup, to which point, and what the restored server does
// when it starts.
//
// Without a target a server recovers to the end of the archive; a standalone backup of a cluster
// whose WAL is not archived becomes consistent with the WAL that it carries, and starts.
// Archiving of the restored server is switched off where another server may still be the cluster:
// when a target was given, or while the source runs. Until `init --take-over` its WAL would be
// refused anyway (repository/history.h).
// What lies in a frozen storage class is brought back before anything is written (app/thaw.h).
// Errors: those of restore/restore.h, restore/recovery_plan.h and restore/recovery_target.h.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/thaw.h"
#include "core/progress.h"
#include "restore/recovery_target.h"
#include "restore/restore.h"

namespace holdfast {

enum class RestoreMode { kRecovery, kStandby };

struct RestoreRequest {
  std::string backup;    // id, name, latest, oldest; empty: the one that suits the target
  std::string history;   // whose line of WAL is followed; empty: the newest
  TargetOptions target;  // where to; a preview without a data directory is of the plan alone
  TargetRequest point;   // when; `now` and `zone` are set here
  RestoreMode mode = RestoreMode::kRecovery;
  std::optional<RecoverySettings::Archiving> archiving = {};  // --archive
  // A copy that nobody but Holdfast reaches, beside whatever runs here (or nothing): its data
  // directory. Replay may then make no tablespace outside of it.
  std::optional<std::filesystem::path> apart = {};
  ThawChoice thaw = {};
  std::function<void(const BackupInfo&)> planned = {};  // called before anything is written
};

struct RestoreAnswer {
  RestoreResult restored;
  std::optional<RecoverySettings> recovery;  // none: it replays what the backup carries
  RecoverySettings::Archiving archiving = RecoverySettings::Archiving::kKeep;
  std::optional<Thawed> thawed = {};  // from a frozen storage class
};

// What restore() would do now: everything is looked at and refused as there, nothing is written.
struct RestorePreview {
  BackupInfo backup;
  HistoryName history;  // whose line of WAL is followed
  RestoreTarget target;
  std::vector<SpaceNeed> space;  // of a fresh target
  std::optional<RecoverySettings> recovery;
  RecoverySettings::Archiving archiving = RecoverySettings::Archiving::kKeep;
  // Archived WAL that is replayed, at most: to the target, as far as it is known where that lies,
  // else to the end of what can be recovered. nullopt: the backup's own.
  struct Wal {
    Lsn from, to;
    std::uint64_t segments = 0;
  };
  std::optional<Wal> wal;
  std::vector<std::string> warnings;
};
RestorePreview preview_restore(const Config& config, const RepositoryConfig& repository,
                               RestoreRequest request, const std::stop_token& stop);
// The same before a restore that is wanted: archived WAL that the plan has to read is brought back
// where it is frozen, as restore() does it; a look is refused then.
RestorePreview plan_restore(const Config& config, const RepositoryConfig& repository,
                            RestoreRequest request, Progress& progress,
                            const std::stop_token& stop);

RestoreAnswer restore(const Config& config, const RepositoryConfig& repository,
                      RestoreRequest request, Progress& progress, const std::stop_token& stop);

// Archived WAL behind the backup `request.backup`, of the line of `request.history`, brought back
// where it is frozen, as `request.thaw` says: before a recovered copy goes on. nullopt: none was.
std::optional<Thawed> bring_back_wal(const Config& config, const RepositoryConfig& repository,
                                     const RestoreRequest& request, Progress& progress,
                                     const std::stop_token& stop);

// With the zone of the configuration and the present moment.
RecoveryTarget parse_target(const Config& config, TargetRequest request);

}  // namespace holdfast
