#pragma once
// Reads from the WAL archive which blocks changed between two positions, and proves that nothing
// was missed.
//
// Proven means: every segment from `begin` to `end` along the timelines is there, in the archive or
// (what is not archived yet) in pg_wal; each is understood completely; every record that lies
// across a border between two is known with a right CRC; and WAL was never minimal.
// Errors: those of the store; what is missing, damaged or not understood is the answer, not an
//   error. Memory: a few indexes at a time. Threads: any; uses `threads` of its own.

#include <filesystem>
#include <stop_token>
#include <string>

#include "backup/changed_blocks.h"
#include "repository/repository.h"
#include "repository/wal_path.h"

namespace holdfast {

struct WalStretch {
  WalPath path;  // to the server's timeline
  Lsn begin, end;
  std::filesystem::path wal_directory;
  std::size_t threads = 8;
};

// Empty when proven; else why not, and `into` says nothing.
std::string read_wal_changes(const Repository& repository, const WalStretch& stretch,
                             ChangedBlocks& into, const std::stop_token& stop);

}  // namespace holdfast
