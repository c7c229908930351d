#pragma once
// Copies archived WAL between two repositories: what one backup needs, or all that follows it.
//
// Nothing in the target is replaced: a segment that is there with other content is kRefused,
// because the two repositories then hold different lines under one name. Of what a backup needs,
// also files that are there already are compared, by the hash in their heads; of what follows, only
// those that are missing are looked at. Errors: kDamage when the source lacks a file that the
// backup needs, or it is damaged; kRefused; those of the stores. Memory: one WAL object for each
// job, twice. Threads: one call at a time.

#include <cstdint>
#include <stop_token>
#include <vector>

#include "copy/copy.h"
#include "repository/history.h"
#include "repository/wal_search.h"

namespace holdfast {

struct WalCounts {
  std::uint64_t copied = 0, there = 0;  // files
};

// The segments from the backup's start to its stop and the history file of its timeline. `line` is
// that of the backup's history; the target knows the histories in it.
WalCounts copy_needed_wal(const CopySides& sides, const BackupInfo& backup, const WalLine& line,
                          const CopyOptions& options, const std::stop_token& stop);

// Everything that CopiedWal::kOnward means, in these histories.
WalCounts copy_onward_wal(const CopySides& sides, const BackupInfo& backup,
                          const std::vector<HistoryName>& histories, const CopyOptions& options,
                          const std::stop_token& stop);

}  // namespace holdfast
