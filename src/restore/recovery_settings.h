#pragma once
// Makes a restored data directory recover: writes what PostgreSQL 13 to 18 reads when it starts.
//
// postgresql.auto.conf loses every recovery setting that it had, all of them of another recovery
//   (the table in the .cpp file has the reasons); its other lines stay byte for byte. A block of
//   ours is put at its end. PostgreSQL reads this file last, so the block also holds, explicitly,
//   each setting that a stale one in postgresql.conf, or in a file that it includes, could set.
//   PostgreSQL refuses two targets at once and judges that setting by setting, also an empty one
//   behind another target: so the targets that are not ours come first, empty.
// Then recovery.signal or standby.signal is created, the other one removed. A recovery.conf, with
//   which no supported version starts, is renamed to recovery.conf.before-restore.
// Guarantees: each file is written whole and durably, with mode 0600 and its owner. Not all of them
//   at once: after a crash any may be missing or old. So this must be done before global/pg_control
//   is written, without which nothing starts (restore.h). Doing it again gives the same files.
// Source: PostgreSQL's documentation, "Archive Recovery", "Recovery Target", "Standby Servers" and
//   "Setting Parameters"; utils/misc/guc-file.l for how values are quoted.
// Errors: kHost from the files; kUsage for a value that a settings file cannot hold, and for a
//   standby with another target than an LSN. Threads: one at a time for one directory.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "restore/file_writer.h"
#include "restore/recovery_target.h"

namespace holdfast {

struct RecoverySettings {
  enum class Mode { kRecovery, kStandby };
  // kOff: archive_mode = off, until the operator sets it. kKeep: as the configuration has it.
  enum class Archiving { kKeep, kOff };

  int major_version = 0;        // of the server, 13 to 18
  std::string restore_command;  // with %f and %p; PostgreSQL's quoting is added here
  RecoveryTarget target;        // of kStandby: latest, or an LSN that it does not go beyond
  Mode mode = Mode::kRecovery;
  std::string primary_conninfo;  // of kStandby; empty: WAL comes from the archive alone
  Archiving archiving = Archiving::kKeep;
};

// Whose the files are to be: an index into the owners that `ownership` was made of.
struct RestoredOwner {
  const Ownership& ownership;
  std::uint32_t owner = 0;
};

// `data_directory` holds the restored configuration already; no server runs in it. Returns
// warnings: sentences for the operator.
std::vector<std::string> write_recovery_settings(const std::filesystem::path& data_directory,
                                                 const RecoverySettings& settings,
                                                 const RestoredOwner& owner);

// For a copy that only replays the WAL of its backup: no recovery setting of another recovery, no
// signal file, and of ours what `archiving` says.
void write_settings_without_recovery(const std::filesystem::path& data_directory,
                                     RecoverySettings::Archiving archiving,
                                     const RestoredOwner& owner);

// The opposite, for a directory whose recovery has ended: postgresql.auto.conf without the block
// and without recovery settings. The signal files are PostgreSQL's to remove.
void remove_recovery_settings(const std::filesystem::path& data_directory,
                              const RestoredOwner& owner);
// Whether the server would recover when it is started: there is a signal file.
bool would_recover(const std::filesystem::path& data_directory);

// The text of postgresql.auto.conf with `settings`, made from what it was. Pure.
std::string recovery_settings_text(std::string_view auto_conf, const RecoverySettings& settings);

// "it's" → "'it''s'", as a settings file has it. Throws kUsage for a zero byte.
std::string quoted_setting(std::string_view value);

}  // namespace holdfast
