#include "storage/folder_listing.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancellation.h"
#include "storage/object_name.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// A change this close before the scan may carry the same modification time as one after it: the
// coarsest clock of a file system in use ticks every two seconds.
constexpr std::int64_t kQuietNs = 3 * kNsPerSecond;
constexpr unsigned kStopCheckEvery = 4096;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * kNsPerSecond + time.tv_nsec;
}

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, DirCloser>;

// An own descriptor for the stream: closedir closes it, and a shared one would share its position.
Dir open_dir(int folder, const std::string& path) {
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_file_error(errno, "open folder", path);
  DIR* dir = ::fdopendir(fd);
  if (dir == nullptr) {
    ::close(fd);
    throw_file_error(errno, "open folder", path);
  }
  return Dir(dir);
}

// The sub-folder, or nothing if it is gone or is no folder.
std::optional<FileDescriptor> open_sub_folder(int folder, const std::string& relative,
                                              const std::string& path) {
  const int fd = ::openat(folder, relative.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) return FileDescriptor(fd);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_file_error(errno, "open folder", path);
}

enum class EntryType { kFile, kFolder, kNeither };

// Symbolic links are followed, so that a part of a repository may be moved to another disk; one
// that leads nowhere is that disk missing, and an error.
EntryType type_of(int folder, const dirent& entry, const std::string& path) {
  if (entry.d_type == DT_REG) return EntryType::kFile;
  if (entry.d_type == DT_DIR) return EntryType::kFolder;
  struct stat status{};
  if (::fstatat(folder, entry.d_name, &status, 0) != 0) {
    struct stat link{};
    const int error = errno;
    const bool gone =
        error == ENOENT && ::fstatat(folder, entry.d_name, &link, AT_SYMLINK_NOFOLLOW) != 0;
    if (gone) return EntryType::kNeither;
    throw_file_error(error, "examine", path + "/" + entry.d_name);
  }
  if (S_ISREG(status.st_mode)) return EntryType::kFile;
  return S_ISDIR(status.st_mode) ? EntryType::kFolder : EntryType::kNeither;
}

// Keeps the kScanEntries smallest keys of those added.
class SmallestKeys {
 public:
  void add(std::string key) {
    if (full_ && key > keys_[kScanEntries - 1]) return;
    keys_.push_back(std::move(key));
    if (keys_.size() == 2 * kScanEntries) cut();
  }
  // Sorted; `complete` says whether nothing was dropped.
  std::vector<std::string> take(bool& complete) {
    if (keys_.size() > kScanEntries) cut();
    complete = !full_;
    std::ranges::sort(keys_);
    // Some file systems show an entry twice while the folder changes.
    keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
    return std::move(keys_);
  }

 private:
  void cut() {
    const auto last = keys_.begin() + (kScanEntries - 1);
    std::ranges::nth_element(keys_, last);  // the largest that stays is now at `last`
    keys_.resize(kScanEntries);
    full_ = true;
  }
  std::vector<std::string> keys_;
  bool full_ = false;
};

// Whether the entry belongs to the repository.
bool is_ours(std::string_view name, FolderLevel level) {
  return is_name_component(name) && !(level == FolderLevel::kRoot && is_reserved_at_root(name));
}

FolderScan scan_folder(const OpenFolder& folder, const std::string& after,
                       const std::stop_token& stop) {
  const Dir dir = open_dir(folder.fd, folder.path);
  SmallestKeys smallest;
  for (unsigned count = 0;; ++count) {
    if (count % kStopCheckEvery == 0) check_cancelled(stop);
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) throw_file_error(errno, "read folder", folder.path);
      break;
    }
    if (!is_ours(entry->d_name, folder.level)) continue;
    // Compared before the type is known, because asking for it may cost a call: '/' behind the
    // name only makes it greater.
    std::string key = entry->d_name;
    if (key + '/' <= after) continue;
    const EntryType type = type_of(folder.fd, *entry, folder.path);
    if (type == EntryType::kNeither) continue;
    if (type == EntryType::kFolder) key += '/';
    if (key > after) smallest.add(std::move(key));
  }
  FolderScan scan{.from = after};
  scan.keys = smallest.take(scan.complete);
  return scan;
}

// Whether at least one object lies in or below the folder: empty folders are no part of a listing.
bool holds_object(int folder, const std::string& path, std::size_t depth) {
  if (depth > kMaxFolderDepth) throw_file_error(ELOOP, "list", path);
  const Dir dir = open_dir(folder, path);
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (is_name_component(entry->d_name)) {
      const EntryType type = type_of(folder, *entry, path);
      if (type == EntryType::kFile) return true;
      if (type == EntryType::kFolder) {
        const std::string below = path + "/" + entry->d_name;
        const auto sub = open_sub_folder(folder, entry->d_name, below);
        if (sub && holds_object(sub->get(), below, depth + 1)) return true;
      }
    }
    errno = 0;
  }
  if (errno != 0) throw_file_error(errno, "read folder", path);
  return false;
}

// One call of list: walks down from the folder that the prefix names.
class Walk {
 public:
  Walk(const std::string& root_path, const ListRequest& request, FolderScanCache& cache,
       const std::stop_token& stop)
      : root_path_(root_path), request_(request), cache_(cache), stop_(stop) {}

  ListPage run(int root) {
    const std::size_t slash = request_.prefix.rfind('/');
    const std::string base = slash == std::string::npos ? "" : request_.prefix.substr(0, slash + 1);
    if (request_.after > base && !request_.after.starts_with(base)) return {};
    const auto folder = open_sub_folder(root, base.empty() ? "." : base, root_path_ + "/" + base);
    if (folder) walk(folder->get(), base, 0);
    return std::move(page_);
  }

 private:
  // Visits the folder whose names begin with `base`. False when the page is full.
  bool walk(int fd, const std::string& base, std::size_t depth) {
    const OpenFolder folder{.fd = fd,
                            .path = root_path_ + "/" + base,
                            .level = base.empty() ? FolderLevel::kRoot : FolderLevel::kBelow};
    if (depth > kMaxFolderDepth) throw_file_error(ELOOP, "list", folder.path);
    std::string after = start_in(base);
    for (;;) {
      const auto scan = cache_.scan(folder, after, stop_);
      for (auto key = std::ranges::upper_bound(scan->keys, after); key != scan->keys.end(); ++key) {
        check_cancelled(stop_);
        if (!visit(fd, base, *key, depth)) return false;
      }
      if (scan->complete || scan->keys.empty()) return true;
      after = scan->keys.back();
    }
  }

  // The greatest key of the folder that needs no look: what comes up to it is not asked for. A
  // sub-folder that `after` leads into has to be entered.
  std::string start_in(const std::string& base) const {
    const std::string wanted =
        request_.prefix.substr(std::min(base.size(), request_.prefix.size()));
    std::string from;
    if (!wanted.empty()) {
      from = wanted;
      from.back() = static_cast<char>(from.back() - 1);
      from += "\x7f";  // greater than any legal character, so below `wanted` and above the rest
    }
    if (request_.after.starts_with(base)) {
      const std::string rest = request_.after.substr(base.size());
      const std::size_t slash = rest.find('/');
      // "x/" itself is greater than "x", and so still found behind it.
      from = std::max(from, slash == std::string::npos ? rest : rest.substr(0, slash));
    }
    return from;
  }

  bool visit(int folder, const std::string& base, const std::string& key, std::size_t depth) {
    const std::string name = base + key;
    if (!name.starts_with(request_.prefix)) {
      return name < request_.prefix;  // behind the prefix nothing can match any more
    }
    return key.back() == '/' ? visit_folder(folder, name, key, depth)
                             : visit_file(folder, name, key);
  }

  bool visit_folder(int folder, const std::string& name, const std::string& key,
                    std::size_t depth) {
    const bool leads_inside = !request_.group_folders && request_.after.starts_with(name);
    if (name <= request_.after && !leads_inside) return true;
    const std::string path = root_path_ + "/" + name;
    const auto sub = open_sub_folder(folder, key, path);
    if (!sub) return true;
    if (!request_.group_folders) return walk(sub->get(), name, depth + 1);
    if (!holds_object(sub->get(), path, depth + 1)) return true;
    if (!has_room()) return false;
    page_.folders.push_back(name);
    last_ = name;
    return true;
  }

  bool visit_file(int folder, const std::string& name, const std::string& key) {
    if (name <= request_.after) return true;
    struct stat status{};
    if (::fstatat(folder, key.c_str(), &status, 0) != 0) {
      if (errno == ENOENT) return true;  // removed since the folder was read
      throw_file_error(errno, "examine", root_path_ + "/" + name);
    }
    if (!has_room()) return false;
    page_.objects.push_back({.name = name,
                             .size = static_cast<std::uint64_t>(status.st_size),
                             .modified = timestamp_of(status.st_mtim)});
    last_ = name;
    return true;
  }

  // Called when a further match is known to exist, so `next` is never set in vain.
  bool has_room() {
    if (page_.objects.size() + page_.folders.size() < request_.limit) return true;
    page_.next = last_;
    return false;
  }

  const std::string& root_path_;
  const ListRequest& request_;
  FolderScanCache& cache_;
  const std::stop_token& stop_;
  ListPage page_;
  std::string last_;
};

}  // namespace

Timestamp timestamp_of(const timespec& time) {
  return Timestamp(std::chrono::seconds(time.tv_sec) +
                   std::chrono::microseconds(time.tv_nsec / 1000));
}

std::shared_ptr<const FolderScan> FolderScanCache::find(const std::string& path,
                                                        const struct stat& status,
                                                        const std::string& after) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    const FolderScan& scan = *entry.scan;
    return entry.path == path && entry.device == status.st_dev && entry.inode == status.st_ino &&
           entry.modified_ns == nanoseconds(status.st_mtim) && scan.from < after &&
           (scan.complete || after < scan.keys.back());
  });
  return found == entries_.end() ? nullptr : found->scan;
}

void FolderScanCache::keep(const std::string& path, const struct stat& status,
                           std::shared_ptr<const FolderScan> scan) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.path == path; });
  if (entries_.size() == kEntries) entries_.erase(entries_.begin());
  entries_.push_back(
      {path, status.st_dev, status.st_ino, nanoseconds(status.st_mtim), std::move(scan)});
}

std::shared_ptr<const FolderScan> FolderScanCache::scan(const OpenFolder& folder,
                                                        const std::string& after,
                                                        const std::stop_token& stop) {
  struct stat status{};
  if (::fstat(folder.fd, &status) != 0) throw_file_error(errno, "examine", folder.path);
  if (auto known = find(folder.path, status, after)) return known;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  auto scan = std::make_shared<const FolderScan>(scan_folder(folder, after, stop));
  const bool quiet = nanoseconds(now) - nanoseconds(status.st_mtim) >= kQuietNs;
  if (quiet && scan->keys.size() >= kWorthKeeping) keep(folder.path, status, scan);
  return scan;
}

ListPage list_folder(int root, const std::string& root_path, const ListRequest& request,
                     FolderScanCache& cache, const std::stop_token& stop) {
  return Walk(root_path, request, cache, stop).run(root);
}

}  // namespace holdfast
