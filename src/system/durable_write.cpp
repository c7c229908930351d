#include "system/durable_write.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <thread>

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancellation.h"
#include "system/direct_write.h"

namespace holdfast {
namespace {

constexpr std::size_t kPiece = std::size_t{4} << 20U;
constexpr std::string_view kReservationSuffix = ".tmp-lock";
constexpr std::chrono::milliseconds kReservationPoll{10};

int link_in_folder(int folder, const char* from, const char* to) {
  return ::linkat(folder, from, folder, to, 0) == 0 ? 0 : errno;
}

int rename_no_replace_in_folder(int folder, const char* from, const char* to) {
  return ::renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

std::string temporary_name(const std::string& name) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != ssize_t{sizeof random}) {
    throw_file_error(errno, "get random bytes for", name);
  }
  return fmt::format("{}{}{:016x}", name, kTemporaryMark, random);
}

// Removes a name from a folder when it goes out of scope, unless released.
class ScopedName {
 public:
  ScopedName(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}
  ScopedName(const ScopedName&) = delete;
  ScopedName& operator=(const ScopedName&) = delete;
  ~ScopedName() {
    // A failure leaves a temporary file, which nobody takes for an object.
    if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
  }
  const char* c_str() const { return name_.c_str(); }
  void release() { name_.clear(); }

 private:
  int folder_;
  std::string name_;
};

FileDescriptor create_in(const FolderEntry& entry, const char* name, mode_t mode) {
  const int fd = ::openat(entry.folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) throw_file_error(errno, "create", entry.path.native());
  return FileDescriptor(fd);
}

bool exists_in(const FolderEntry& entry, const std::string& name) {
  struct stat status{};
  if (::fstatat(entry.folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  throw_file_error(errno, "examine", entry.path.native());
}

// Whether this much memory, where it lies, is better written past the page cache.
bool may_be_direct(int fd, ByteView content) {
  const auto address = reinterpret_cast<std::uintptr_t>(content.data());
  return content.size() >= kPiece && address % kDirectAlignment == 0 && likes_direct_writes(fd);
}

void fill(int fd, const FolderEntry& entry, ByteView content, const std::stop_token& stop) {
  bool direct = may_be_direct(fd, content);
  for (std::size_t at = 0; at < content.size(); at += kPiece) {
    check_cancelled(stop);
    const std::size_t size = std::min(kPiece, content.size() - at);
    const ByteView piece = content.subspan(at, size);
    // The last piece, which may be of any length, goes through the page cache.
    direct = direct && size == kPiece && write_direct_at(fd, at, piece, entry.path.native());
    if (direct) continue;
    write_at(fd, at, piece, entry.path.native());
    // Lets the disk start now; what is still to be written is all that fsync has to wait for.
    ::sync_file_range(fd, static_cast<off_t>(at), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
  }
  check_cancelled(stop);
  if (::fsync(fd) != 0) throw_file_error(errno, "sync", entry.path.native());
}

[[noreturn]] void throw_reservation_stuck(const FolderEntry& entry, const std::string& name) {
  const std::string lock = (entry.path.parent_path() / name).native();
  try {
    throw_errno(EBUSY, "create", entry.path.native());
  } catch (Error& error) {
    error.during(fmt::format("another program holds {}", lock))
        .advise(fmt::format("If no other holdfast is running, one crashed: remove {}.", lock));
    throw FileError(error, EBUSY);
  }
}

WriteOutcome publish_by_reservation(const FolderEntry& entry, ScopedName& temporary,
                                    const DurableWrite& how) {
  const std::string name = entry.path.filename().native();
  const std::string lock_name = name + std::string(kReservationSuffix);
  const auto deadline = std::chrono::steady_clock::now() + how.calls.reservation_patience;
  for (;;) {
    const int lock =
        ::openat(entry.folder, lock_name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (lock >= 0) {
      ::close(lock);
      break;
    }
    if (errno != EEXIST) throw_file_error(errno, "reserve", entry.path.native());
    if (exists_in(entry, name)) return WriteOutcome::kExists;
    check_cancelled(how.stop);
    if (std::chrono::steady_clock::now() > deadline) throw_reservation_stuck(entry, lock_name);
    std::this_thread::sleep_for(kReservationPoll);
  }
  const ScopedName reservation(entry.folder, lock_name);
  if (exists_in(entry, name)) return WriteOutcome::kExists;
  if (::renameat(entry.folder, temporary.c_str(), entry.folder, name.c_str()) != 0) {
    throw_file_error(errno, "rename to", entry.path.native());
  }
  temporary.release();
  return WriteOutcome::kWritten;
}

bool lacks_hard_links(int error) {
  return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK;
}

bool lacks_rename_no_replace(int error) {
  return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

// A network file system may do the link, lose the answer, ask again and be told EEXIST. The file's
// link count tells that apart from somebody else's file.
bool is_linked_twice(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && status.st_nlink == 2;
}

WriteOutcome publish_new(const FolderEntry& entry, int fd, ScopedName& temporary,
                         const DurableWrite& how) {
  const std::string name = entry.path.filename().native();
  int error = how.calls.link(entry.folder, temporary.c_str(), name.c_str());
  if (error == 0 || (error == EEXIST && is_linked_twice(fd))) return WriteOutcome::kWritten;
  if (error == EEXIST) return WriteOutcome::kExists;
  if (!lacks_hard_links(error)) throw_file_error(error, "link", entry.path.native());

  error = how.calls.rename_no_replace(entry.folder, temporary.c_str(), name.c_str());
  if (error == 0) {
    temporary.release();
    return WriteOutcome::kWritten;
  }
  if (error == EEXIST) return WriteOutcome::kExists;
  if (!lacks_rename_no_replace(error)) {
    throw_file_error(error, "rename to", entry.path.native());
  }
  return publish_by_reservation(entry, temporary, how);
}

WriteOutcome publish(const FolderEntry& entry, int fd, ScopedName& temporary,
                     const DurableWrite& how) {
  if (how.overwrite == Overwrite::kNo) return publish_new(entry, fd, temporary, how);
  const std::string name = entry.path.filename().native();
  if (::renameat(entry.folder, temporary.c_str(), entry.folder, name.c_str()) != 0) {
    throw_file_error(errno, "rename to", entry.path.native());
  }
  temporary.release();
  return WriteOutcome::kWritten;
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  return name.find(kTemporaryMark) != std::string_view::npos;
}

const PublishCalls& system_publish_calls() {
  static constexpr PublishCalls kCalls{.link = link_in_folder,
                                       .rename_no_replace = rename_no_replace_in_folder};
  return kCalls;
}

WriteOutcome write_durably_in(const FolderEntry& entry, ByteView content, const DurableWrite& how) {
  const std::string name = entry.path.filename().native();
  WriteOutcome outcome = WriteOutcome::kExists;
  // Spares writing everything only to be refused; what decides is the publishing.
  if (how.overwrite == Overwrite::kYes || !exists_in(entry, name)) {
    ScopedName temporary(entry.folder, temporary_name(name));
    FileDescriptor file = create_in(entry, temporary.c_str(), how.mode);
    fill(file.get(), entry, content, how.stop);
    outcome = publish(entry, file.get(), temporary, how);
    file.close(entry.path.native());
  }
  sync_folder(entry.folder, entry.path.parent_path().native());
  return outcome;
}

}  // namespace holdfast
