#pragma once
// `drill`: proves by doing it that a backup can be brought back. It restores into a folder of its
// own, starts PostgreSQL there isolated (recover/isolation.h), lets it recover to the target, asks
// whether everything is there and whole (recover/database_checks.h), measures, and clears up.
//
// Guarantees: nothing outside of the drill's folder is written but the report in the state
//   directory, the proof beside the backup, and what archive-get keeps; the source is not asked
//   anything, unless a configured check compares with it, or a recovery point would be missed
//   unless nothing was written there. The server does not outlive this process,
//   however that ends; what a killed drill left on disk is removed by the next one, which knows the
//   folder by its mark. One drill of a cluster at a time on a host.
// With `corrupt` the drill passes when it notices that one object is damaged, which is so in its
//   own view of the repository alone; its report is kept apart from those of other drills.
// A drill in which nobody could look into the data (tell_of_backup()) stores no proof.
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

#include "app/canary.h"
#include "app/config.h"
#include "app/copy_checks.h"
#include "app/drill_chance.h"
#include "app/drill_folder.h"
#include "app/drill_surroundings.h"
#include "app/restore.h"
#include "core/progress.h"
#include "recover/database_checks.h"

namespace holdfast {

enum class DrillPreset { kNone, kMonthly, kQuarterly, kYearly };  // app/drill_preset.h
std::string_view to_string(DrillPreset preset);                   // "monthly"; "" of kNone

struct DrillRequest {
  std::string backup;  // as RestoreRequest has it
  std::string history;
  TargetRequest point;  // the time "now": the end of the archive
  DrillChance chance = {};
  ThawChoice thaw = {};
  std::filesystem::path scratch;  // where the drill's folder is made; empty: the state directory
  DrillRemains remains = DrillRemains::kRemove;
  DrillSource source = DrillSource::kEverything;
  DrillPreset preset = DrillPreset::kNone;
  // One object that the recovery has to read is seen as if it had rotted: the drill is to notice.
  // Nothing is written, no proof is stored, and the other repositories do not help.
  bool corrupt = false;
};

// What came of `corrupt`.
struct DamageReport {
  std::string object;  // that was seen damaged
  bool noticed = false;
  std::string detail;  // for people: how, or what happened instead
};

struct DrillReport {
  DrillPreset preset = DrillPreset::kNone;
  std::string repository;            // its name
  std::optional<Timestamp> as_of;    // it was seen as it was then
  std::optional<BackupInfo> backup;  // none: not even its manifest could be read
  std::string target;                // for people: "the end of the archive"
  std::string by, host;              // who did it, and where
  std::optional<DrawnDrill> drawn;   // something was left to chance
  Timestamp began{};
  double restore_seconds = 0;
  double replay_seconds = 0;  // from the server's start until it answered
  double check_seconds = 0;
  std::uint64_t bytes = 0;                    // restored
  std::optional<Timestamp> last_transaction;  // the newest one that came back from WAL
  std::string recovered_lsn;                  // empty: the server did not open
  // How much of what was written did not come back, in time. By the canary, where it wrote until
  // then: from its last row to the target. Else it is told of a drill to the end of the archive
  // only, until when that began: from the newest transaction from WAL, else from the end of the
  // backup; nothing, where the source has written nothing since. (A moment is reached where a later
  // transaction shows that nothing before it is missing, whatever else may be lost.)
  std::optional<double> recovery_point_seconds;
  enum class Measure { kNone, kCanary, kTransaction, kBackup, kSource };
  Measure measured_by = Measure::kNone;
  std::optional<CanaryRow> canary;              // its last row
  std::vector<CheckResult> checks;              // "recovery" is the first
  std::filesystem::path data_directory;         // kept: where
  std::uint32_t proof = 0;                      // its number beside the backup; 0: none was stored
  std::filesystem::path report;                 // JSON, in the state directory
  std::vector<std::filesystem::path> readable;  // the same for people: Markdown, HTML
  std::vector<std::string> warnings;

  std::optional<DamageReport> damage;  // of `corrupt`; then there are no checks and no proof

  // Of `corrupt`: kPassed where the damage was noticed.
  CopyVerdict verdict() const;
  bool passed() const { return verdict() == CopyVerdict::kPassed; }
  double recovery_seconds() const { return restore_seconds + replay_seconds; }
};

std::string_view to_string(DrillReport::Measure measure);  // "canary"; "" of kNone

DrillReport drill(const Config& config, const RepositoryConfig& repository,
                  const DrillRequest& request, Progress& progress, const std::stop_token& stop);

}  // namespace holdfast
