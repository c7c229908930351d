#include "backup/data_source.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/file_sealer.h"
#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

// How far ahead of a read a file is asked what is in the page cache: one slice. Asking costs time
// for each page, so a shorter read, which is one of scattered blocks or of a small file, asks for
// no more than itself.
constexpr std::uint64_t kLookAhead = kBytesPerMapPage;

// A stretch of a file in the address space, to ask about its pages. It is never touched: the file
// may become shorter at any time.
class CacheView {
 public:
  CacheView() = default;
  CacheView(const CacheView&) = delete;
  CacheView& operator=(const CacheView&) = delete;
  ~CacheView() { close(); }

  // mincore(2) for up to `length` bytes of the file from `offset`, a multiple of kCachePage, on:
  // one for each page. Empty when it is not known.
  void ask(int fd, std::uint64_t offset, std::size_t length, std::vector<unsigned char>& resident) {
    resident.clear();
    if (offset < first_ || offset >= first_ + length_) open(fd, offset);
    if (at_ == nullptr) return;
    const std::size_t skipped = offset - first_;
    length = std::min(length, length_ - skipped);
    resident.resize((length + kCachePage - 1) / kCachePage);
    if (::mincore(static_cast<char*>(at_) + skipped, length, resident.data()) != 0) {
      resident.clear();
    }
  }

  static constexpr std::uint64_t kCachePage = 4096;

 private:
  void open(int fd, std::uint64_t offset) {
    close();
    struct stat info{};
    if (::fstat(fd, &info) != 0) return;
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (offset >= size) return;
    const std::size_t length = std::min(kLookAhead, size - offset);
    void* const at = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (at == MAP_FAILED) return;
    at_ = at;
    first_ = offset;
    length_ = length;
  }

  void close() {
    if (at_ != nullptr) ::munmap(at_, length_);
    at_ = nullptr;
    first_ = length_ = 0;
  }

  void* at_ = nullptr;
  std::uint64_t first_ = 0;
  std::size_t length_ = 0;
};

// Reads a file, and drops from the page cache what was not there before, so that a backup does not
// push out the pages that the server works with. What was there stays.
class LocalFile final : public SourceFile {
 public:
  LocalFile(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    if (!looked_at(offset)) {
      look_at_cache(offset, out.size() < kChunkPlainBytes ? out.size() : kLookAhead);
    }
    const std::size_t got = holdfast::read_at(fd_.get(), offset, out, path_);
    if (got > 0 && was_absent(offset, got)) {
      ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(got),
                      POSIX_FADV_DONTNEED);
    }
    return got;
  }

 private:
  static constexpr std::uint64_t kCachePage = CacheView::kCachePage;

  bool looked_at(std::uint64_t offset) const {
    return offset >= first_ && offset < first_ + resident_.size() * kCachePage;
  }

  // Before reading: our own read-ahead must not count as the server's pages.
  void look_at_cache(std::uint64_t offset, std::size_t length) {
    first_ = offset / kCachePage * kCachePage;
    view_.ask(fd_.get(), first_, length + (offset - first_), resident_);
  }

  // False also when it is not known.
  bool was_absent(std::uint64_t offset, std::size_t length) const {
    if (offset < first_) return false;
    const std::uint64_t begin = (offset - first_) / kCachePage;
    const std::uint64_t end = (offset - first_ + length + kCachePage - 1) / kCachePage;
    if (end > resident_.size()) return false;
    return std::all_of(resident_.begin() + static_cast<std::ptrdiff_t>(begin),
                       resident_.begin() + static_cast<std::ptrdiff_t>(end),
                       [](unsigned char page) { return (page & 1U) == 0; });
  }

  FileDescriptor fd_;
  std::string path_;
  CacheView view_;
  std::uint64_t first_ = 0;
  std::vector<unsigned char> resident_;  // one for each cache page from `first_` on
};

bool vanished(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR;
}

SourceStat to_source_stat(const struct stat& info) {
  SourceStat stat{.mode = static_cast<std::uint32_t>(info.st_mode & 07777U),
                  .uid = info.st_uid,
                  .gid = info.st_gid,
                  .modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec,
                  .size = static_cast<std::uint64_t>(info.st_size)};
  if (S_ISDIR(info.st_mode)) {
    stat.type = FileType::kFolder;
  } else if (S_ISLNK(info.st_mode)) {
    stat.type = FileType::kSymlink;
  } else if (!S_ISREG(info.st_mode)) {
    stat.special = true;
  }
  return stat;
}

class LocalDirectory final : public DataSource {
 public:
  explicit LocalDirectory(std::filesystem::path root) : root_(std::move(root)) {}

  std::vector<std::string> list(const std::string& folder) override {
    const std::string path = full(folder);
    std::vector<std::string> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (dir == nullptr) {
      if (vanished(errno)) return found;
      throw_errno(errno, "list", path);
    }
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(dir.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") found.emplace_back(name);
    }
    if (errno != 0) throw_errno(errno, "list", path);
    std::ranges::sort(found);
    return found;
  }

  std::optional<SourceStat> stat(const std::string& path) override {
    const std::string name = full(path);
    struct stat info{};
    if (::lstat(name.c_str(), &info) != 0) {
      if (vanished(errno)) return std::nullopt;
      throw_errno(errno, "examine", name);
    }
    SourceStat result = to_source_stat(info);
    if (result.type == FileType::kSymlink) {
      std::string target(4096, '\0');
      const ssize_t length = ::readlink(name.c_str(), target.data(), target.size());
      if (length < 0) {
        if (vanished(errno)) return std::nullopt;
        throw_errno(errno, "read the symbolic link", name);
      }
      target.resize(static_cast<std::size_t>(length));
      result.link_target = std::move(target);
    }
    return result;
  }

  std::optional<SourceStat> stat_target(const std::string& path) override {
    const std::string name = full(path);
    struct stat info{};
    if (::stat(name.c_str(), &info) != 0) {
      if (vanished(errno)) return std::nullopt;
      throw_errno(errno, "examine", name);
    }
    return to_source_stat(info);
  }

  std::unique_ptr<SourceFile> open(const std::string& path) override {
    const std::string name = full(path);
    auto fd = open_to_read(name);
    if (!fd) return nullptr;
    return std::make_unique<LocalFile>(std::move(*fd), name);
  }

 private:
  std::string full(const std::string& path) const {
    return path.empty() ? root_.string() : (root_ / path).string();
  }
  std::filesystem::path root_;
};

}  // namespace

std::unique_ptr<DataSource> open_data_directory(const std::filesystem::path& data_directory) {
  return std::make_unique<LocalDirectory>(data_directory);
}

}  // namespace holdfast
