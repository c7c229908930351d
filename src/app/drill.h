#pragma once
// `drill`: proves by doing it that a backup can be brought back. It restores into a folder of its
// own, starts PostgreSQL there isolated (recover/isolation.h), lets it recover to the target, asks
// whether everything is there and whole (recover/database_checks.h), measures, and clears up.
//
// Guarantees: nothing outside of the drill's folder is written but the report in the state
//   directory, the proof beside the backup, and what archive-get keeps; the source is not asked
//   anything, unless a configured check compares with it. The server does not outlive this process,
//   however that ends; what a killed drill left on disk is removed by the next one, which knows the
//   folder by its mark. One drill of a cluster at a time on a host.
// What went wrong with the backup or on the copy is a result, and stored as a failed proof. So is
//   an answer that is not the expected one and an objective that was missed, but the proof of the
//   backup does not fail for these: nothing of it is damaged. What
//   kept the drill from telling (kUsage, kConfiguration, kRefused, kRepository, kHost, kCancelled)
//   is thrown, and no proof is written.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/drill_chance.h"
#include "app/restore.h"
#include "core/progress.h"
#include "recover/database_checks.h"

namespace holdfast {

enum class DrillRemains { kRemove, kKeep };

struct DrillRequest {
  std::string backup;  // as RestoreRequest has it
  std::string history;
  TargetRequest point;
  DrillChance chance = {};
  ThawChoice thaw = {};
  std::filesystem::path scratch;  // where the drill's folder is made; empty: the state directory
  DrillRemains remains = DrillRemains::kRemove;
};

struct DrillReport {
  std::optional<BackupInfo> backup;  // none: not even its manifest could be read
  std::string target;                // for people: "the end of the archive"
  std::optional<DrawnDrill> drawn;   // something was left to chance
  Timestamp began{};
  double restore_seconds = 0;
  double replay_seconds = 0;  // from the server's start until it answered
  double check_seconds = 0;
  std::uint64_t bytes = 0;                    // restored
  std::optional<Timestamp> last_transaction;  // the newest one that came back from WAL
  std::string recovered_lsn;                  // empty: the server did not open
  // How old the newest transaction that came back was when the drill began; only of a drill to the
  // end of the archive. The end of the backup counts where no transaction followed it.
  std::optional<double> recovery_point_seconds;
  std::vector<CheckResult> checks;       // "recovery" is the first
  std::filesystem::path data_directory;  // kept: where
  std::uint32_t proof = 0;               // its number beside the backup; 0: none was stored
  std::filesystem::path report;          // JSON, in the state directory
  std::vector<std::string> warnings;

  bool passed() const;  // no check failed
  double recovery_seconds() const { return restore_seconds + replay_seconds; }
};

DrillReport drill(const Config& config, const RepositoryConfig& repository,
                  const DrillRequest& request, Progress& progress, const std::stop_token& stop);

}  // namespace holdfast
