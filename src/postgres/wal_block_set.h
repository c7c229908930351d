#pragma once
// The set of blocks that WAL names, gathered from many references of which most repeat others.
//
// References are collected in a hash table of at most kMaxPendingBlocks and then merged into runs,
// so that memory follows the number of distinct runs, not the number of references. Nothing is lost
// or rounded. Throws nothing of its own; one thread at a time.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "postgres/wal_record.h"

namespace holdfast {

// Blocks first ... first + count - 1; count is never 0, and first + count - 1 is a block number.
struct BlockRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const BlockRun&) const = default;
};

// The blocks of one fork that WAL names: runs that ascend and do not touch each other.
struct RelationBlocks {
  RelationFile file;
  std::uint8_t fork = kMainFork;
  std::vector<BlockRun> runs;
  bool operator==(const RelationBlocks&) const = default;
};

class WalBlockSet {
 public:
  static constexpr std::size_t kMaxPendingBlocks = std::size_t{1} << 20U;  // 16 MiB of table

  WalBlockSet();
  void add(const RelationFile& file, std::uint8_t fork, std::uint32_t block);
  void add(const WalBlock& block) { add(block.file, block.fork, block.block); }
  // Everything added, sorted by file and fork. The set is empty afterwards.
  std::vector<RelationBlocks> take();

 private:
  struct Fork {
    RelationFile file;
    std::uint8_t fork = kMainFork;
    bool operator==(const Fork&) const = default;
  };
  struct ForkHash {
    std::size_t operator()(const Fork& key) const;
  };
  static constexpr std::size_t kRecentForks = 64;
  struct Recent {
    Fork key;
    std::uint32_t index = ~std::uint32_t{0};  // that of no fork
  };

  std::uint32_t index_of(const Fork& key);
  void insert(std::uint64_t key);
  void grow();
  void merge_pending();

  std::unordered_map<Fork, std::uint32_t, ForkHash> known_;
  std::vector<Recent> recent_;
  std::vector<RelationBlocks> forks_;
  std::vector<std::uint64_t> table_;  // open addressing: index of the fork << 32 | block
  std::size_t pending_ = 0;
};

// The union of two lists of runs.
std::vector<BlockRun> merge_runs(const std::vector<BlockRun>& one,
                                 const std::vector<BlockRun>& other);

}  // namespace holdfast
