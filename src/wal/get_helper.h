#pragma once
// archive-get's helper: keeps the spool (wal/get_spool.h) full of what recovery asks for next. One
// for each cluster (a lock in <state directory>/wal), started by archive-get, detached from
// PostgreSQL.
//
// Guarantees: nothing rests on it. It publishes only files whose every byte was authenticated, and
//   never that something is absent: at the end of the archive it asks again every kEndPoll for as
//   long as it lives. The spool holds at most `bytes_max`, and nothing is fetched while the disk
//   has less than kFreeSegments segments free.
// Ends: as HelperLife says; of use is what recovery asked for and got. Also when another restore of
//   the cluster asks while this one does not, to make room for its helper. It removes its spool.
// Threads: owns its own. Memory: `jobs` files at once.

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "wal/archive.h"
#include "wal/get_spool.h"
#include "wal/helper_life.h"

namespace holdfast {

inline constexpr std::chrono::milliseconds kEndPoll{2000};
inline constexpr std::uint64_t kFreeSegments = 8;
inline constexpr std::size_t kPrefetchMax = 4096;  // segments

struct GetHelperOptions {
  GetBinding binding;
  std::filesystem::path state_directory;
  std::optional<HistoryName> history;  // else as archive-get finds it
  std::uint64_t bytes_max = 0;
  std::size_t jobs = 1;
  HelperLife::Options life = {};
};
void run_get_helper(Archive& archive, const GetHelperOptions& options, const std::stop_token& stop);

}  // namespace holdfast
