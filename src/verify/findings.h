#pragma once
// What a verification found, collected from many threads. Damage names the object, the backup, and
// for data the files and blocks that can no longer be read from it (invariant 8). The lists are
// bounded, the counts are complete.

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace holdfast {

inline constexpr std::size_t kMaxFindings = 10'000;         // damaged objects that are named
inline constexpr std::size_t kMaxNamedFiles = 100;          // of one object
inline constexpr std::size_t kMaxNamedRanges = 16;          // of one file
inline constexpr std::size_t kMaxCountedFiles = 1'000'000;  // of one object; more count as these

struct BlockRange {
  std::uint64_t first = 0, count = 0;  // blocks of 8 KiB, within the file
};

struct AffectedFile {
  std::string path;
  std::uint64_t blocks = 0;
  std::vector<BlockRange> ranges;  // the first ones
};

struct VerifyFinding {
  std::string object;   // name in the repository
  std::string backup;   // id; empty for what belongs to the whole repository or a history
  std::string problem;  // the first thing that was wrong with it
  std::uint64_t affected_files = 0, affected_blocks = 0;
  std::vector<AffectedFile> files;
};

class Findings {
 public:
  // The backup that later findings belong to; not while others add.
  void set_backup(std::string id) { backup_ = std::move(id); }

  void add(const std::string& object, std::string_view problem);
  // Blocks of a file that cannot be read because of `object`, which add() has named or names here.
  struct Loss {
    std::string_view problem, path;
    BlockRange blocks;
  };
  void add_loss(const std::string& object, const Loss& loss);

  std::size_t count() const;  // damaged objects
  std::vector<std::string> objects_of(const std::string& backup, std::size_t limit) const;
  std::vector<VerifyFinding> take();

 private:
  struct Entry {
    VerifyFinding finding;
    std::set<std::size_t> paths;  // hashes of all affected ones
  };
  Entry* entry(const std::string& object, std::string_view problem);

  mutable std::mutex mutex_;
  std::string backup_;
  std::map<std::pair<std::string, std::string>, Entry> entries_;  // by backup and object
  std::size_t unnamed_ = 0;
};

}  // namespace holdfast
