#pragma once
// `recover promote --instances K`: after a promotion, K-1 standbys that follow the new primary, in
// directories of this machine. Used by app/promotion_steps.h, one recorded step for each.
//
// Consistency: each is made by our own `restore --standby` from the backup that the promotion took
//   of the new line. It streams from the primary through postgres.primary_connection, else
//   postgres.connection, and where that cannot be had (no replication in pg_hba.conf) it follows
//   the archive. A step is done when the standby answers, is in recovery, is this cluster's, and
//   has replayed what the primary had written when it was looked at.
// Never two servers that write: a standby is started only with standby.signal in its directory.
// Crashes: where it goes is in the record before anything is written there; a directory that was
//   begun is gone on with (restore/restore.h), a server that runs already is looked at.
// Nothing of somebody else's is touched: what is not empty when it is planned is refused, and a
//   directory that is there later without the mark of this recovery (kStandbyMark) was made by
//   somebody else meanwhile.
// Fewer than before: those that are too many stay in the record as dropped. They run on.
// Rollback: a standby of what is taken back, dropped or not, serves nobody. It is stopped, fenced
//   (recover/replaced_server.h), and its directory renamed; nothing is removed.
// Errors: kRefused, kPostgres, those of restore. Threads: one.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/recovery_record.h"
#include "core/progress.h"

namespace holdfast {

inline constexpr std::uint64_t kInstancesMax = 16;

struct StandbyWish {
  std::uint64_t instances = 0;   // with the primary; 0: nothing is said
  std::filesystem::path under;   // where the directories are made; empty: next to the primary
  std::uint64_t first_port = 0;  // 0: behind the primary's
};
// Brings `planned`, of which nothing is ever taken out, to what is wished.
void plan_standbys(const Config& config, const std::filesystem::path& place,
                   const StandbyWish& wish, std::vector<RecoveryStandby>& planned);

struct StandbyBuild {
  std::string recovery;    // its lasting name
  std::string repository;  // its name
  std::string backup;      // of the new line
  std::uint64_t system_identifier = 0;
};
// Says where it is and how it follows. `save` writes the record, here and below, when `standby` was
// changed.
std::string build_standby(const Config& config, const StandbyBuild& build, RecoveryStandby& standby,
                          const std::function<void()>& save, Progress& progress,
                          const std::stop_token& stop);

// Nothing where it was not begun. False: what is there is not this recovery's, and stays as it is.
bool set_standby_aside(const std::string& recovery, RecoveryStandby& standby,
                       const std::function<void()>& save, const std::stop_token& stop);

}  // namespace holdfast
