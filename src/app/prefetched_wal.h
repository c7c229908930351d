#pragma once
// archive-get's side of prefetching: takes files from the spool that the helper fills, tells it
// what recovery asks for, and starts it. Whatever goes wrong here is as if there were no spool:
// nothing is thrown, and the caller fetches the file itself (invariant 5). Threads: one.
//
// The helper is started before the first fetch of an archive recovery, which reads on for certain.
// A standby that waits for the next segment asks every few seconds for what is not there yet: for
// it the helper is started when two segments were fetched within kCatchingUp.

#include <chrono>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "app/archive.h"
#include "wal/get_spool.h"

namespace holdfast {

struct PrefetchedFor {
  std::filesystem::path data_directory;
  std::string history;  // --history
  bool is_standby = false;
};

class PrefetchedWal {
 public:
  PrefetchedWal(const Config& config, PrefetchedFor what) noexcept;

  // Puts the file into its place when the helper has it or is just fetching it.
  std::optional<ArchiveGetAnswer::Source> take(const WalFileName& file,
                                               const std::filesystem::path& destination,
                                               const std::stop_token& stop) noexcept;
  // The caller had to fetch the file itself.
  void fetched_directly(const WalFileName& file) noexcept;

 private:
  std::optional<ArchiveGetAnswer::Source> try_take(GetSpool& spool, const WalFileName& file,
                                                   const std::filesystem::path& destination,
                                                   const std::stop_token& stop);
  void start_helper() const;

  const Config& config_;
  const PrefetchedFor what_;
  std::optional<GetSpool> spool_;  // none: no prefetching
};

}  // namespace holdfast
