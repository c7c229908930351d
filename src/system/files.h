#pragma once
// Files of the local machine. Every failure is thrown as FileError: throw_errno's kHost Error with
// the path in it, and the errno for callers that tell failures apart.
// One helper writes files durably (its parts stand in system/durable_write.h); nobody else in
// Holdfast calls rename(2). No function here keeps state: all may be called from any thread.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

#include "core/bytes.h"
#include "core/error.h"

namespace holdfast {

// An Error(kHost) that knows which errno it came from.
class FileError : public Error {
 public:
  FileError(const Error& error, int error_number) : Error(error), error_number_(error_number) {}
  int error_number() const { return error_number_; }

 private:
  int error_number_;
};

// As throw_errno, but throws FileError.
[[noreturn]] void throw_file_error(int error_number, std::string_view doing, std::string_view path);

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void close(std::string_view path);  // reports the error that a destructor would swallow

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC. nullopt when the file does not exist.
std::optional<FileDescriptor> open_to_read(const std::filesystem::path& path);
FileDescriptor open_or_throw(const std::filesystem::path& path, int flags, mode_t mode = 0600);

FileDescriptor open_folder(const std::filesystem::path& path);

// Reads until `out` is full or the file ends; returns how many bytes were read.
std::size_t read_at(int fd, std::uint64_t offset, MutableByteView out, std::string_view path);
void write_at(int fd, std::uint64_t offset, ByteView bytes, std::string_view path);

// The whole file, at most `limit` bytes (more is Error(kHost)); nullopt when it does not exist.
std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

enum class Overwrite { kNo, kYes };
enum class WriteOutcome { kWritten, kExists };

// Durable and atomic: temporary file in the same folder, write, fsync, publish under `path`, fsync
// of the folder. After kWritten the content survives a power cut; a reader never sees part of it.
// With kNo an existing file is left alone, whoever created it, and kExists is returned; that works
// on file systems without hard links too. What failed leaves no temporary file, unless the process
// dies ("<name>.tmp-<16 digits>" then stays behind).
WriteOutcome write_durably(const std::filesystem::path& path, ByteView content, mode_t mode,
                           Overwrite overwrite);

// Atomic, not durable: a reader sees the old content or the new one, but after a power cut it may
// be gone or empty. For what can be done again: caches and spools. Replaces what is there.
void publish_unsynced(const std::filesystem::path& path, ByteView content, mode_t mode);
// As the above for a file that was written under a temporary name of the same folder.
void rename_unsynced(const std::filesystem::path& from, const std::filesystem::path& to);

// mkdir -p; every folder that was created, and its parent, is synced.
void make_folders(const std::filesystem::path& path, mode_t mode);
void sync_folder(const std::filesystem::path& path);
// fsync(2) of an open folder. File systems that cannot sync folders (EINVAL) have nothing to sync.
void sync_folder(int folder, std::string_view path);
// Renames within one file system, then syncs both folders.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);
// Removes a file if it is there, then syncs its folder.
void remove_durably(const std::filesystem::path& path);
// syncfs(2) of the file system that holds `path`.
void sync_file_system(const std::filesystem::path& path);
std::uint64_t free_bytes(const std::filesystem::path& path);

// An exclusive flock on `path` (created with mode 0600), released on destruction or when the
// process ends, however it ends. nullopt when another process holds it.
class FileLock {
 public:
  static std::optional<FileLock> try_acquire(const std::filesystem::path& path);
  // A process that inherits it holds the lock as well, also when this object goes.
  const FileDescriptor& descriptor() const { return fd_; }

 private:
  explicit FileLock(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

// Content of a file that holds a secret, trailing line ends removed. Refused (kConfiguration) when
// group or others may read it.
std::string read_secret_file(const std::filesystem::path& path);

}  // namespace holdfast
