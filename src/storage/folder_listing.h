#pragma once
// Lists the objects below a folder in byte order of their full names, page by page. Internal to
// FolderStore.
//
// Order: a folder's entries are sorted with '/' behind the names of sub-folders, which gives the
// order of the full names ("a-b" < "a/x" < "a0").
// Memory: per level of nesting at most kScanEntries entries, whatever the folder's size.
// Cost: only folders that can hold matching names are read. A folder of n entries is read
//   n / kScanEntries + 1 times over a whole listing, because what one page has read is kept for the
//   next as long as the folder's modification time proves that nothing changed since. A folder that
//   is being written to is read once a page.

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

#include "storage/object_store.h"

namespace holdfast {

inline constexpr std::size_t kScanEntries = 32768;
inline constexpr std::size_t kMaxFolderDepth = 32;

// The smallest entries of one folder that are greater than `from`.
struct FolderScan {
  std::string from;
  std::vector<std::string> keys = {};  // sorted; sub-folders end in '/'
  bool complete = false;               // no greater entry exists
};

// The mark that create_folder_root leaves; together with what file systems put there themselves,
// no object may have such a name at the root.
inline constexpr std::string_view kFolderMark = "holdfast.folder";
inline bool is_reserved_at_root(std::string_view name) {
  return name == kFolderMark || name == "lost+found";
}

Timestamp timestamp_of(const timespec& time);

enum class FolderLevel { kRoot, kBelow };
struct OpenFolder {
  int fd;
  std::string path;  // for messages, and the key of the cache
  FolderLevel level;
};

class FolderScanCache {
 public:
  // A scan that holds what follows `after` in the folder. One that is kept only ever serves to go
  // on with a listing (its start lies before `after`); a fresh listing always reads.
  std::shared_ptr<const FolderScan> scan(const OpenFolder& folder, const std::string& after,
                                         const std::stop_token& stop);

 private:
  std::shared_ptr<const FolderScan> find(const std::string& path, const struct stat& status,
                                         const std::string& after);
  void keep(const std::string& path, const struct stat& status,
            std::shared_ptr<const FolderScan> scan);

  struct Entry {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t modified_ns = 0;
    std::shared_ptr<const FolderScan> scan;
  };
  static constexpr std::size_t kEntries = 4;
  static constexpr std::size_t kWorthKeeping = 256;  // keys; less is read again as fast
  std::mutex mutex_;
  std::vector<Entry> entries_;  // most recently used last
};

// `root` is the open folder of the repository, `root_path` its path for messages.
// Throws FileError.
ListPage list_folder(int root, const std::string& root_path, const ListRequest& request,
                     FolderScanCache& cache, const std::stop_token& stop);

}  // namespace holdfast
