#pragma once
// The archived WAL that a committed backup needs: its segments from start to stop, and the history
// file of its timeline. Without them the backup cannot be restored, whatever its packs are like.
//
// By mode: kQuick that each is there; kFull also every byte of it, authenticated, and its content
//   hash; kDeep also its page headers, of segments up to 64 MiB. Of WAL in a frozen storage class
//   that nobody brought back, only that it is there.
// Damage and absence are findings; errors are those of the store. Memory: within `memory_bytes`.

#include <cstdint>
#include <stop_token>

#include "verify/verify.h"

namespace holdfast {

// Returns the number of files that were looked for. A backup that carries its WAL needs none.
std::uint64_t check_needed_wal(const Repository& repository, const BackupInfo& backup,
                               const VerifyOptions& options, Findings& findings,
                               const std::stop_token& stop);

}  // namespace holdfast
