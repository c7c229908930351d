#pragma once
// --delta: makes a data directory that is there already (it may have been in use until a minute
// ago) ready to receive a restore that rewrites only what differs.
//
// Order, so that a crash at any point leaves a directory that does not start and can be restored
// again: the marker; WAL set aside, because it may never have been archived; then durably gone:
// global/pg_control and the signal files; and at last everything that the backup does not have.
// Refused (invariant 7): a live server, a directory of another cluster.

#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "repository/manifest.h"
#include "restore/target.h"

namespace holdfast {

struct DeltaPreparation {
  std::filesystem::path saved_wal;  // where the WAL of the old directory is now; empty: it had none
  std::uint64_t removed_files = 0;
};

DeltaPreparation prepare_delta(const RestoreTarget& target, Manifest& manifest,
                               const std::stop_token& stop);

// Removes every file and folder in the target that the backup does not have, and returns how many.
// The last step of the preparation; a restore that goes on repeats it, because the one before may
// have died in the middle of it: a stale visibility map that stays behind gives wrong answers.
std::uint64_t remove_strangers(const RestoreTarget& target, Manifest& manifest,
                               const std::stop_token& stop);

}  // namespace holdfast
