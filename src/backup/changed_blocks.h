#pragma once
// Which blocks of relations may have changed since the parent of an incremental backup began, as
// WAL tells it.
//
// It speaks for the main forks of relations only. All else a backup reads and compares, free space
// and visibility maps above all: their bits change without their block being named in WAL.
// Never says too little: what does not fit in memory is remembered as "everything of this file".
// Memory: bounded by `max_runs` runs of 8 bytes, and some 100 bytes for each relation named.
// Threads: filled by one thread, then read by any number.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "postgres/data_files.h"
#include "postgres/wal_block_set.h"
#include "postgres/wal_content.h"

namespace holdfast {

class ChangedBlocks {
 public:
  struct Options {
    std::uint32_t relation_segment_blocks = 131072;  // in one file
    std::size_t max_runs = std::size_t{4} << 20U;
  };
  explicit ChangedBlocks(Options options) : options_(options) {}

  // In the order of WAL, blocks of a stretch before its events or behind: the result is the same.
  void add(const std::vector<RelationBlocks>& blocks);
  void add(const std::vector<WalFileEvent>& events);
  // Every block of a relation from `first` on: it was cut there, or made anew (0).
  void add_from(const RelationFile& file, std::uint32_t first);
  // Everything in the folder of a database.
  void add_folder(std::uint32_t tablespace, std::uint32_t database);

  // Blocks that may have changed among `count` blocks from `first` on of the file at `path`, by
  // number in the file, ascending and not touching. nullopt: not known, read and compare all.
  std::optional<std::vector<BlockRun>> in_file(std::string_view path, std::uint64_t first,
                                               std::uint64_t count) const;

 private:
  struct Relation {
    std::vector<BlockRun> runs;
    std::uint64_t all_from = ~std::uint64_t{0};  // every block from this one on
  };
  void keep_within_limit();

  Options options_;
  std::map<RelationFile, Relation> relations_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> folders_;  // tablespace and database: all
  std::set<std::uint32_t> tablespaces_;                        // everything in them
  std::size_t runs_ = 0;
};

// The relation's file node of "base/5/1234", "global/1262", "pg_tblspc/16385/PG_15_…/5/1234.1".
std::optional<RelationFile> relation_file_of(const RelationFilePath& path);

}  // namespace holdfast
