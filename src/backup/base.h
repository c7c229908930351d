#pragma once
// What an incremental backup builds on: the manifest of an older backup, what is known of the
// changes since then, and which of its packs are due to be written again.
//
// Lifetime: outlives the pipeline. Threads: any, once the pipeline runs; only the counters change.

#include <atomic>
#include <cstdint>
#include <vector>

#include "backup/changed_blocks.h"
#include "repository/manifest.h"

namespace holdfast {

// Packs whose blocks this backup stores again, changed or not, so that no backup depends on old
// packs for ever and every page is read again within the refresh period.
class PackSet {
 public:
  void add(PackIndex pack) {
    if (pack >= members_.size()) members_.resize(pack + 1);
    members_[pack] = true;
  }
  bool has(PackIndex pack) const { return pack < members_.size() && members_[pack]; }

 private:
  std::vector<bool> members_;
};

struct UpdateCounts {
  std::atomic<std::uint64_t> read_bytes{0};       // of the cluster's files
  std::atomic<std::uint64_t> changed_bytes{0};    // not as in the parent
  std::atomic<std::uint64_t> refreshed_bytes{0};  // as in the parent, and stored again
};

struct Base {
  Base(Manifest& on, const ChangedBlocks* since, PackSet again)
      : manifest(on), changes(since), due(std::move(again)) {}
  Manifest& manifest;
  const ChangedBlocks* const changes;  // none: everything is read and compared
  const PackSet due;
  UpdateCounts counts;
};

}  // namespace holdfast
