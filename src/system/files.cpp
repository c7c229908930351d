#include "system/files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "system/durable_write.h"

namespace holdfast {
namespace {

constexpr std::size_t kSecretLimit = 64U << 10U;
constexpr int kMakeFolderAttempts = 100;  // against someone who keeps removing empty folders

std::filesystem::path folder_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

// "a/b/" names the folder "b": without this its parent_path would be itself.
std::filesystem::path without_trailing_slash(const std::filesystem::path& path) {
  return path.has_filename() || path == path.root_path() ? path : path.parent_path();
}

struct stat status_of(int fd, std::string_view path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) throw_file_error(errno, "examine", path);
  return status;
}

void require_folder(const std::filesystem::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw_file_error(errno, "examine", path.native());
  if (!S_ISDIR(status.st_mode)) throw_file_error(ENOTDIR, "create folder", path.native());
}

}  // namespace

void throw_file_error(int error_number, std::string_view doing, std::string_view path) {
  try {
    throw_errno(error_number, doing, path);
  } catch (const Error& error) {
    throw FileError(error, error_number);
  }
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

void FileDescriptor::close(std::string_view path) {
  const int fd = std::exchange(fd_, -1);
  // After EINTR the descriptor is gone on Linux; closing it again could hit another thread's file.
  if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) throw_file_error(errno, "close", path);
}

std::optional<FileDescriptor> open_to_read(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return FileDescriptor(fd);
  if (errno == ENOENT) return std::nullopt;
  throw_file_error(errno, "open", path.native());
}

FileDescriptor open_or_throw(const std::filesystem::path& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) throw_file_error(errno, (flags & O_CREAT) != 0 ? "create" : "open", path.native());
  return FileDescriptor(fd);
}

FileDescriptor open_folder(const std::filesystem::path& path) {
  return open_or_throw(path, O_RDONLY | O_DIRECTORY);
}

std::size_t read_at(int fd, std::uint64_t offset, MutableByteView out, std::string_view path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      throw_file_error(errno, "read", path);
    }
  }
  return done;
}

void write_at(int fd, std::uint64_t offset, ByteView bytes, std::string_view path) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0) {
      throw_file_error(EIO, "write", path);
    } else if (errno != EINTR) {
      throw_file_error(errno, "write", path);
    }
  }
}

std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  const std::optional<FileDescriptor> file = open_to_read(path);
  if (!file) return std::nullopt;
  // The size is only a first guess: files of /proc say 0, and others may grow meanwhile.
  const auto guess =
      static_cast<std::size_t>(std::max<off_t>(0, status_of(file->get(), path.native()).st_size));
  std::string content(std::min(guess, limit) + 1, '\0');
  std::size_t used = 0;
  for (;;) {
    const auto rest = std::as_writable_bytes(std::span(content)).subspan(used);
    const std::size_t count = read_at(file->get(), used, rest, path.native());
    used += count;
    if (used > limit) {
      throw Error(ErrorKind::kHost,
                  fmt::format("{} is larger than the {} bytes allowed here", path.native(), limit),
                  {.object = path.native()});
    }
    if (count < rest.size()) break;
    content.resize(std::min(content.size() * 2, limit + 1));
  }
  content.resize(used);
  return content;
}

WriteOutcome write_durably(const std::filesystem::path& path, ByteView content, mode_t mode,
                           Overwrite overwrite) {
  const FileDescriptor folder = open_folder(folder_of(path));
  const DurableWrite how{.mode = mode, .overwrite = overwrite};
  return write_durably_in({.folder = folder.get(), .path = path}, content, how);
}

void make_folders(const std::filesystem::path& path, mode_t mode) {
  const std::filesystem::path folder = without_trailing_slash(path);
  for (int attempt = 1;; ++attempt) {
    if (::mkdir(folder.c_str(), mode) == 0) {
      sync_folder(folder);
      sync_folder(folder_of(folder));
      return;
    }
    if (errno == EEXIST) return require_folder(folder);
    if (errno != ENOENT || folder == folder_of(folder) || attempt == kMakeFolderAttempts) {
      throw_file_error(errno, "create folder", folder.native());
    }
    make_folders(folder_of(folder), mode);
  }
}

void sync_folder(const std::filesystem::path& path) {
  const FileDescriptor folder = open_folder(path);
  sync_folder(folder.get(), path.native());
}

void sync_folder(int folder, std::string_view path) {
  if (::fsync(folder) != 0 && errno != EINVAL && errno != EOPNOTSUPP) {
    throw_file_error(errno, "sync folder", path);
  }
}

void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_errno(errno, "rename", from.string());
  sync_folder(to.parent_path());
  if (from.parent_path() != to.parent_path()) sync_folder(from.parent_path());
}

void remove_durably(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw_file_error(errno, "remove", path.native());
  }
  sync_folder(folder_of(path));
}

void sync_file_system(const std::filesystem::path& path) {
  const FileDescriptor file = open_or_throw(path, O_RDONLY);
  if (::syncfs(file.get()) != 0) throw_file_error(errno, "sync the file system of", path.native());
}

std::uint64_t free_bytes(const std::filesystem::path& path) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) {
    throw_file_error(errno, "examine the file system of", path.native());
  }
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

void publish_unsynced(const std::filesystem::path& path, ByteView content, mode_t mode) {
  static std::atomic<std::uint64_t> counter{0};
  const std::filesystem::path temporary =
      fmt::format("{}{}{:08x}{:08x}", path.native(), kTemporaryMark, ::getpid(), ++counter);
  try {
    FileDescriptor file = open_or_throw(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
    write_at(file.get(), 0, content, temporary.native());
    file.close(temporary.native());
    rename_unsynced(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void rename_unsynced(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_file_error(errno, "rename", from.native());
}

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  FileDescriptor file = open_or_throw(path, O_RDWR | O_CREAT, 0600);
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    if (errno != EINTR) throw_file_error(errno, "lock", path.native());
  }
  return FileLock(std::move(file));
}

std::string read_secret_file(const std::filesystem::path& path) {
  // Not to wait for ever on a pipe that nobody writes to.
  const FileDescriptor file = open_or_throw(path, O_RDONLY | O_NONBLOCK);
  // Looked at through the descriptor, so that it is the file that is read which is judged.
  const mode_t mode = status_of(file.get(), path.native()).st_mode;
  if (!S_ISREG(mode)) {
    throw Error(ErrorKind::kConfiguration,
                fmt::format("the secret file {} is not a regular file", path.native()),
                {.object = path.native()});
  }
  if ((mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw Error(ErrorKind::kConfiguration,
                fmt::format("group or others may use the secret file {}", path.native()),
                {.object = path.native(), .hint = fmt::format("Run: chmod 600 {}", path.native())});
  }
  std::string secret(kSecretLimit + 1, '\0');
  secret.resize(read_at(file.get(), 0, std::as_writable_bytes(std::span(secret)), path.native()));
  if (secret.size() > kSecretLimit) {
    throw Error(
        ErrorKind::kConfiguration,
        fmt::format("the secret file {} is larger than {} bytes", path.native(), kSecretLimit),
        {.object = path.native()});
  }
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  return secret;
}

}  // namespace holdfast
