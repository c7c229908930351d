#include "storage/folder_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancellation.h"
#include "storage/folder_listing.h"
#include "storage/leftovers.h"
#include "storage/object_name.h"

namespace holdfast {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kFolderMode = 0750;
constexpr std::size_t kPiece = std::size_t{8} << 20U;
constexpr int kCreateAttempts = 100;  // against others who remove the folder as soon as it is empty
constexpr std::size_t kKnownFolders = 4096;
constexpr std::chrono::hours kTemporaryAge{24};
constexpr std::string_view kMarkText =
    "This folder is a Holdfast repository. Do not remove this file: without it Holdfast takes the\n"
    "folder for an empty mount point and refuses to use it.\n";

bool may_pass(int error) {
  static constexpr std::array kPassing{
      EIO,          ESTALE,      ETIMEDOUT,    EAGAIN,     EBUSY,    EHOSTDOWN, ENETDOWN,
      EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, ECONNRESET, ENOTCONN, EMFILE,    ENFILE};
  return std::ranges::find(kPassing, error) != kPassing.end();
}

std::string hint_for(const FileError& error, const std::string& root) {
  switch (error.error_number()) {
    case ENOSPC:
    case EDQUOT:
      return fmt::format("Free space on the file system of the repository {}, or expire backups.",
                         root);
    case EROFS:
      return fmt::format("Mount the file system of the repository {} writable.", root);
    default:
      return error.hint();
  }
}

// Runs `work`; what the file system says against it becomes an error of the repository.
template <class Work>
auto as_repository(const std::string& root, const std::string& object, Work&& work) {
  try {
    return work();
  } catch (const FileError& error) {
    throw Error(ErrorKind::kRepository, error.message(),
                {.object = object.empty() ? root : object,
                 .hint = hint_for(error, root),
                 .retryable = may_pass(error.error_number())});
  }
}

std::string folder_part(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? "." : name.substr(0, slash);
}

bool says_absent(int error) {
  return error == ENOENT || error == ENOTDIR;
}

// Tells a folder from another one that later got its path, and maybe its inode number.
struct FolderIdentity {
  std::uint64_t inode = 0;
  std::int64_t born_s = 0;
  std::uint32_t born_ns = 0;
  bool operator==(const FolderIdentity&) const = default;
};

FolderIdentity identity_of(int folder, const std::string& path) {
  struct statx status{};
  if (::statx(folder, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) != 0) {
    throw_file_error(errno, "examine", path);
  }
  return {status.stx_ino, status.stx_btime.tv_sec, status.stx_btime.tv_nsec};
}

// Best effort: what cannot be removed harms nobody. The object `newest`, put a moment ago, tells
// the file system's time; if it was there before, fewer files look old.
void remove_old_temporaries(int folder, const std::string& newest) {
  struct stat newest_status{};
  if (::fstatat(folder, newest.c_str(), &newest_status, AT_SYMLINK_NOFOLLOW) != 0) return;
  const Timestamp now = timestamp_of(newest_status.st_mtim);
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd), ::closedir);
  if (!dir) {
    ::close(fd);
    return;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    struct stat status{};
    if (is_temporary_name(entry->d_name) &&
        ::fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode) && now - timestamp_of(status.st_mtim) > kTemporaryAge) {
      ::unlinkat(folder, entry->d_name, 0);
    }
  }
}

// The clock that stamps the files of an open folder, told by a file that is made there.
Timestamp clock_of(int folder, const std::string& path) {
  for (int attempt = 0;; ++attempt) {
    const std::string name = fmt::format("clock{}{}-{}", kTemporaryMark, ::getpid(), attempt);
    const int fd = ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST && attempt < kCreateAttempts) continue;
    if (fd < 0) throw_file_error(errno, "create a file in", path);
    const FileDescriptor file(fd);
    struct stat status{};
    const int error = ::fstat(fd, &status) == 0 ? 0 : errno;
    ::unlinkat(folder, name.c_str(), 0);
    if (error != 0) throw_file_error(error, "examine a file in", path);
    return timestamp_of(status.st_mtim);
  }
}

class FolderStore final : public ObjectStore, public Leftovers {
 public:
  FolderStore(const std::filesystem::path& root, const PublishCalls& calls)
      : root_(root.lexically_normal().native()), calls_(calls) {
    while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
    capabilities_.exclusive_create = true;
  }

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override;
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override;
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override;
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override;
  ListPage list(const ListRequest& request, const std::stop_token& stop) override;
  void remove(const std::string& name, const std::stop_token& stop) override;
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override;
  std::uint64_t remove_leftovers(const std::string& prefix, const std::stop_token& stop) override;
  const Capabilities& capabilities() const override { return capabilities_; }
  Timestamp now(const std::stop_token& stop) override;
  std::string describe() const override { return "file://" + root_; }

 private:
  struct OpenObject {
    FileDescriptor file;
    std::string path;
    struct stat status;
  };

  void require_name(const std::string& name) const;
  FileDescriptor open_root() const;
  std::string path_of(const std::string& name) const { return root_ + "/" + name; }
  std::optional<OpenObject> open_object(const std::string& name) const;
  void require_no_dangling_link(const FileDescriptor& root, const std::string& name) const;
  FileDescriptor open_folder_to_write(const FileDescriptor& root, const std::string& folder) const;
  WriteOutcome put_once(const FileDescriptor& root, const std::string& name, ByteView content,
                        const std::stop_token& stop);
  bool is_known(const std::string& folder, const FolderIdentity& identity);
  void sync_folders_above(const FileDescriptor& root, const std::string& folder) const;
  bool unlink_object(const FileDescriptor& root, const std::string& name) const;
  void prune(const FileDescriptor& root, std::string folder) const;

  std::string root_;
  PublishCalls calls_;
  Capabilities capabilities_;
  FolderScanCache scans_;
  std::mutex known_mutex_;
  // Folders in which this process has put before: cleaned, and their own entries synced.
  std::map<std::string, FolderIdentity> known_;
};

void FolderStore::require_name(const std::string& name) const {
  require_object_name(name);
  if (is_reserved_at_root(name.substr(0, name.find('/')))) {
    throw Error(ErrorKind::kBug, fmt::format("the name \"{}\" is reserved", name),
                {.object = name});
  }
}

// The mark is looked for through the descriptor, so everything that is then done relative to it is
// done in the marked folder, whatever is mounted or unmounted meanwhile.
FileDescriptor FolderStore::open_root() const {
  const int fd = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && !says_absent(errno)) throw_file_error(errno, "open the repository folder", root_);
  FileDescriptor root(fd);
  struct stat status{};
  if (fd >= 0 && ::fstatat(fd, std::string(kFolderMark).c_str(), &status, 0) == 0) return root;
  if (fd >= 0 && errno != ENOENT) throw_file_error(errno, "examine the repository folder", root_);
  throw Error(ErrorKind::kRepository,
              fd < 0 ? fmt::format("the repository folder {} does not exist", root_)
                     : fmt::format("the folder {} is not a Holdfast repository", root_),
              {.object = root_,
               .hint = "If it lies on a file system of its own, mount that. If there is no "
                       "repository yet, run holdfast init."});
}

// "No such file" is also what a symbolic link to a disk that is not mounted gives, and that does
// not make the object absent. To be asked after that answer.
void FolderStore::require_no_dangling_link(const FileDescriptor& root,
                                           const std::string& name) const {
  for (std::size_t at = 0; at != std::string::npos;) {
    at = name.find('/', at + 1);
    const std::string part = name.substr(0, at);
    struct stat status{};
    if (::fstatat(root.get(), part.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (says_absent(errno)) return;
      throw_file_error(errno, "examine", path_of(part));
    }
    if (S_ISLNK(status.st_mode) && ::fstatat(root.get(), part.c_str(), &status, 0) != 0) {
      throw_file_error(errno, "follow the symbolic link", path_of(part));
    }
  }
}

std::optional<FolderStore::OpenObject> FolderStore::open_object(const std::string& name) const {
  const FileDescriptor root = open_root();
  OpenObject object{.file = {}, .path = path_of(name), .status = {}};
  const int fd = ::openat(root.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && says_absent(errno)) {
    require_no_dangling_link(root, name);
    return std::nullopt;
  }
  if (fd < 0) throw_file_error(errno, "open", object.path);
  object.file = FileDescriptor(fd);
  if (::fstat(fd, &object.status) != 0) throw_file_error(errno, "examine", object.path);
  if (!S_ISREG(object.status.st_mode)) return std::nullopt;
  return object;
}

// The folder below the root, made if it is missing.
FileDescriptor FolderStore::open_folder_to_write(const FileDescriptor& root,
                                                 const std::string& folder) const {
  for (int attempt = 1;; ++attempt) {
    const int fd = ::openat(root.get(), folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno != ENOENT || attempt == kCreateAttempts) {
      throw_file_error(errno, "open folder", path_of(folder));
    }
    for (std::size_t at = 0; at != std::string::npos;) {
      at = folder.find('/', at + 1);
      const std::string part = folder.substr(0, at);
      // ENOENT: somebody removed the one above as empty just now; the next attempt makes it again.
      if (::mkdirat(root.get(), part.c_str(), kFolderMode) != 0 && errno != EEXIST) {
        if (errno == ENOENT) break;
        throw_file_error(errno, "create folder", path_of(part));
      }
    }
  }
}

bool FolderStore::is_known(const std::string& folder, const FolderIdentity& identity) {
  const std::lock_guard lock(known_mutex_);
  const auto known = known_.find(folder);
  return known != known_.end() && known->second == identity;
}

// Makes the entries of the folders that lead to `folder` durable, whoever made them. Once done it
// holds for as long as the folder exists, because it keeps those above it from being removed.
void FolderStore::sync_folders_above(const FileDescriptor& root, const std::string& folder) const {
  for (std::string above = folder; above != ".";) {
    above = folder_part(above);
    const int fd = ::openat(root.get(), above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) throw_file_error(errno, "open folder", path_of(above));
    const FileDescriptor opened(fd);
    sync_folder(fd, path_of(above));
  }
}

WriteOutcome FolderStore::put_once(const FileDescriptor& root, const std::string& name,
                                   ByteView content, const std::stop_token& stop) {
  const std::string folder = folder_part(name);
  const std::filesystem::path path = path_of(name);
  const FileDescriptor opened = open_folder_to_write(root, folder);
  const DurableWrite how{.mode = kFileMode, .stop = stop, .calls = calls_};
  const WriteOutcome outcome =
      write_durably_in({.folder = opened.get(), .path = path}, content, how);
  const FolderIdentity identity = identity_of(opened.get(), path_of(folder));
  if (is_known(folder, identity)) return outcome;
  sync_folders_above(root, folder);
  remove_old_temporaries(opened.get(), path.filename());
  const std::lock_guard lock(known_mutex_);
  if (known_.size() >= kKnownFolders) known_.clear();
  known_[folder] = identity;
  return outcome;
}

PutOutcome FolderStore::put(const std::string& name, ByteView content, const PutOptions&,
                            const std::stop_token& stop) {
  require_name(name);
  HF_INVARIANT(content.size() <= kMaxObjectBytes);
  check_cancelled(stop);
  return as_repository(root_, name, [&] {
    const FileDescriptor root = open_root();
    for (int attempt = 1;; ++attempt) {
      try {
        return put_once(root, name, content, stop) == WriteOutcome::kWritten ? PutOutcome::kCreated
                                                                             : PutOutcome::kExists;
      } catch (const FileError& error) {
        // The folder was removed as empty between opening it and creating a file in it.
        if (error.error_number() != ENOENT || attempt == kCreateAttempts) throw;
      }
    }
  });
}

std::optional<Bytes> FolderStore::get(const std::string& name, const std::stop_token& stop) {
  require_name(name);
  check_cancelled(stop);
  return as_repository(root_, name, [&]() -> std::optional<Bytes> {
    const auto object = open_object(name);
    if (!object) return std::nullopt;
    const auto size = static_cast<std::uint64_t>(object->status.st_size);
    if (size > kMaxObjectBytes) {
      throw Error(
          ErrorKind::kDamage,
          fmt::format("{} has {} bytes, more than any object of Holdfast", object->path, size),
          {.object = name});
    }
    Bytes content(size);
    std::size_t done = 0;
    while (done < content.size()) {
      check_cancelled(stop);
      const auto piece = MutableByteView(content).subspan(done, std::min(kPiece, size - done));
      const std::size_t count = read_at(object->file.get(), done, piece, object->path);
      done += count;
      if (count < piece.size()) content.resize(done);  // somebody cut it; its checksum will tell
    }
    return content;
  });
}

bool FolderStore::get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                            const std::stop_token& stop) {
  require_name(name);
  HF_INVARIANT(!out.empty());
  return as_repository(root_, name, [&] {
    const auto object = open_object(name);
    if (!object) return false;
    std::size_t done = 0;
    while (done < out.size()) {
      check_cancelled(stop);
      const auto piece = out.subspan(done, std::min(kPiece, out.size() - done));
      const std::size_t count = read_at(object->file.get(), offset + done, piece, object->path);
      done += count;
      if (count < piece.size()) {
        throw Error(ErrorKind::kDamage,
                    fmt::format("{} ends at byte {}, but bytes {} to {} are needed", object->path,
                                object->status.st_size, offset, offset + out.size()),
                    {.object = name});
      }
    }
    return true;
  });
}

std::optional<ObjectInfo> FolderStore::head(const std::string& name, const std::stop_token& stop) {
  require_name(name);
  check_cancelled(stop);
  return as_repository(root_, name, [&]() -> std::optional<ObjectInfo> {
    const FileDescriptor root = open_root();
    struct stat status{};
    if (::fstatat(root.get(), name.c_str(), &status, 0) != 0) {
      if (!says_absent(errno)) throw_file_error(errno, "examine", path_of(name));
      require_no_dangling_link(root, name);
      return std::nullopt;
    }
    if (!S_ISREG(status.st_mode)) return std::nullopt;
    return ObjectInfo{.name = name,
                      .size = static_cast<std::uint64_t>(status.st_size),
                      .modified = timestamp_of(status.st_mtim),
                      .storage_class = {}};
  });
}

ListPage FolderStore::list(const ListRequest& request, const std::stop_token& stop) {
  HF_INVARIANT(request.limit > 0);
  if (request.prefix.find('/') != std::string::npos) require_name(folder_part(request.prefix));
  check_cancelled(stop);
  return as_repository(root_, request.prefix, [&] {
    const FileDescriptor root = open_root();
    return list_folder(root.get(), root_, request, scans_, stop);
  });
}

// False when there was none.
bool FolderStore::unlink_object(const FileDescriptor& root, const std::string& name) const {
  if (::unlinkat(root.get(), name.c_str(), 0) == 0) return true;
  if (says_absent(errno) || errno == EISDIR) return false;
  throw_file_error(errno, "remove", path_of(name));
}

// Syncs the folder, then removes it and those above it as long as they are empty.
void FolderStore::prune(const FileDescriptor& root, std::string folder) const {
  for (;;) {
    const int fd = ::openat(root.get(), folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && !says_absent(errno)) throw_file_error(errno, "open folder", path_of(folder));
    if (fd >= 0) {
      const FileDescriptor opened(fd);
      sync_folder(fd, path_of(folder));
      if (folder == ".") return;
      // Not empty, or not ours to remove: it stays. An empty folder harms nobody.
      if (::unlinkat(root.get(), folder.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return;
    }
    if (folder == ".") return;
    folder = folder_part(folder);
  }
}

void FolderStore::remove(const std::string& name, const std::stop_token& stop) {
  require_name(name);
  check_cancelled(stop);
  as_repository(root_, name, [&] {
    const FileDescriptor root = open_root();
    if (unlink_object(root, name)) prune(root, folder_part(name));
  });
}

std::vector<RemoveFailure> FolderStore::remove_many(const std::vector<std::string>& names,
                                                    const std::stop_token& stop) {
  std::ranges::for_each(names, [this](const std::string& name) { require_name(name); });
  std::vector<RemoveFailure> failures;
  as_repository(root_, "", [&] {
    const FileDescriptor root = open_root();
    std::set<std::string> touched;
    for (const std::string& name : names) {
      check_cancelled(stop);
      try {
        if (unlink_object(root, name)) touched.insert(folder_part(name));
      } catch (const FileError& error) {
        failures.push_back({.name = name, .reason = error.message()});
      }
    }
    for (const std::string& folder : touched) prune(root, folder);
  });
  return failures;
}

std::uint64_t FolderStore::remove_leftovers(const std::string& prefix,
                                            const std::stop_token& stop) {
  namespace fs = std::filesystem;
  const Timestamp now = this->now(stop);
  std::uint64_t removed = 0;
  std::error_code error;
  fs::recursive_directory_iterator at(path_of(prefix), error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    check_cancelled(stop);
    const fs::path& path = at->path();
    struct stat status{};
    if (is_temporary_name(path.filename().native()) && ::lstat(path.c_str(), &status) == 0 &&
        S_ISREG(status.st_mode) && now - timestamp_of(status.st_mtim) > kTemporaryAge &&
        ::unlink(path.c_str()) == 0) {
      ++removed;
    }
  }
  return removed;
}

Timestamp FolderStore::now(const std::stop_token& stop) {
  check_cancelled(stop);
  return as_repository(root_, "", [&] { return clock_of(open_root().get(), root_); });
}

// What may be in a folder that is to become a repository: file systems put such things there.
bool is_empty_but_for_system_files(const std::filesystem::path& root) {
  try {
    return std::ranges::all_of(std::filesystem::directory_iterator(root), [](const auto& entry) {
      const std::string name = entry.path().filename();
      return name.front() == '.' || name == "lost+found" || is_temporary_name(name);
    });
  } catch (const std::filesystem::filesystem_error& error) {
    throw_file_error(error.code().value(), "read folder", root.native());
  }
}

}  // namespace

std::unique_ptr<ObjectStore> make_folder_store(const std::filesystem::path& root,
                                               const PublishCalls& calls) {
  return std::make_unique<FolderStore>(root, calls);
}

void create_folder_root(const std::filesystem::path& root) {
  as_repository(root.native(), "", [&] {
    make_folders(root, kFolderMode);
    const std::filesystem::path mark = root / kFolderMark;
    if (!open_to_read(mark) && !is_empty_but_for_system_files(root)) {
      throw Error(
          ErrorKind::kRefused,
          fmt::format("the folder {} holds other files and is no repository", root.native()),
          {.object = root.native(),
           .hint = "Choose an empty or new folder. If a repository should be here, mount its "
                   "file system."});
    }
    write_durably(mark, as_bytes(kMarkText), kFileMode, Overwrite::kNo);
  });
}

}  // namespace holdfast
