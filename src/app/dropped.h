#pragma once
// WAL that was dropped without being stored (wal.drop_when_behind), as the commands tell of it.

#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "repository/dropped_wal.h"
#include "repository/repository.h"

namespace holdfast {

struct DroppedSummary {
  DroppedWal last;
  std::size_t records = 0;
  std::string backup_since;  // id of the first backup that began after it; empty: none did
};
// From the repository, and from this machine's state directory what is not recorded there yet.
// nullopt: none was dropped in `history`.
std::optional<DroppedSummary> dropped_wal(const Config& config, const Repository& repository,
                                          const HistoryName& history, const std::stop_token& stop);

}  // namespace holdfast
