#pragma once
// archive-push's helper: stores what PostgreSQL will ask for next, and brings the other
// repositories up to date. One for each cluster (a lock in <state directory>/wal), started by
// archive-push, detached from PostgreSQL.
//
// Guarantees: nothing rests on it. It stores in PostgreSQL's order, so that nothing gets in behind
// a
//   file that is refused (wal/push_order.h); what is read and compressed ahead only waits. What it
//   stored it remembers in the spool (wal/push_spool.h); for every file it reads the data
//   directory's control file, history binding and restore marker anew, and the histories of the
//   archive every kHistoriesAge. It keeps at most kAheadMax files ahead.
// Ends: as HelperLife says, when stopped; it never throws for what
//   fails, but waits longer each time (kBackoffMin to kBackoffMax), and ends when a file is
//   refused: archive-push says why.
// Threads: owns its own. Memory: `jobs` files at once, pushed or copied.

#include <chrono>
#include <filesystem>
#include <stop_token>

#include "wal/archive.h"
#include "wal/helper_life.h"
#include "wal/push.h"

namespace holdfast {

inline constexpr std::size_t kAheadMax = 64;
inline constexpr std::chrono::seconds kHistoriesAge{5};

struct PushHelperOptions {
  PushOptions push;
  std::size_t jobs = 1;
  HelperLife::Options life = {};
};
void run_push_helper(Archive& archive, const PushHelperOptions& options,
                     const std::stop_token& stop);

// Held by the helper while it lives: <state directory>/wal/push.lock.
std::filesystem::path push_helper_lock(const std::filesystem::path& state_directory);

}  // namespace holdfast
