#pragma once
// `init --take-over` and `init --upgrade`: new histories (invariant 6).
//
// Taking over says: this server is the cluster from now on. It opens a history that leaves the one
// this server came from at a fork, binds the data directory to it, and removes the marker of a
// restore; whoever goes on writing the old history is refused from then on. Both lines stay
// restorable. The fork is put where this server's WAL is proven to be the archive's: behind the
// last local segment that is stored with the same content, before the first with other content, at
// the latest at the one that is being written, and, when the archive does not know the server's
// timeline, at the segment in which that began. Where nothing is proven, none of the parent's WAL
// belongs to the new line, which then begins with its own first backup.
//
// Where nothing shows that another line was begun (no marker, no other WAL in the archive, nobody
// took over), nothing is opened.
//
// Crashes: the history is opened first, then the directory is bound, then the marker is removed; a
//   repeated call goes on where the last one stopped. One that was killed right after it had opened
//   its history opens another; nothing is written to the first.
// Errors: kRefused for a standby, for a server that is no part of this cluster; those of the store.
//   A repository other than the first that cannot be reached is a warning: repeat the command then.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "repository/history.h"

namespace holdfast {

struct NewHistoryResult {
  HistoryRecord history;
  bool opened = false;  // by this call; false: this server had it already
  std::vector<std::string> warnings;
};

// The history that a data directory was restored from, as its marker says; nullopt: it has none, or
// that of another cluster.
std::optional<HistoryName> restored_from(const Config& config,
                                         const std::filesystem::path& data_directory);

NewHistoryResult take_over(const Config& config, const std::stop_token& stop);
// For a cluster that was made anew by pg_upgrade or initdb: a history for its system identifier.
NewHistoryResult register_upgrade(const Config& config, const std::stop_token& stop);

}  // namespace holdfast
