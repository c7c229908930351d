#pragma once
// Judges the pages of relations while they are read (design: backup pipeline).
//
// A page whose checksum does not match was either torn by a write that happened while it was read,
// or it is damaged. It is read again several times; if it stays bad, its LSN decides: one between
// the backup's start and the server's current insert position is excused, because WAL replay from
// the backup's start writes the whole page again (full_page_writes is forced during a backup).
// Everything else is damage: recorded with file and block, reported, and never a reason to stop.
// Threads: all methods from any thread.

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "backup/data_source.h"
#include "core/wal_position.h"
#include "postgres/data_files.h"
#include "repository/backup_info.h"

namespace holdfast {

// 1, 2, 4 ... milliseconds.
void wait_a_moment(int attempt);

class PageGuard {
 public:
  struct Options {
    Lsn backup_start;
    std::uint32_t relation_segment_blocks = 131072;
    std::function<Lsn()> insert_position;                    // called from any thread
    std::function<void(int attempt)> pause = wait_a_moment;  // before a page is read again
  };
  explicit PageGuard(Options options) : options_(std::move(options)) {}

  // Checks the whole pages in `data`, which was read from `offset` (a multiple of the page size) of
  // `file`; torn ones are replaced by what a later read gave.
  void check(SourceFile& file, const std::string& path, const RelationFilePath& relation,
             std::uint64_t offset, MutableByteView data);

  struct Findings {
    std::uint64_t damaged_pages = 0, excused_pages = 0;
    std::vector<BadPage> damaged, excused;
  };
  Findings findings() const;

 private:
  void judge(const std::string& path, std::uint64_t block, ByteView page);

  const Options options_;
  mutable std::mutex mutex_;
  Findings findings_;
};

}  // namespace holdfast
