#include "restore/file_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

namespace holdfast {
namespace {

// Needed to write the content; a file that should not have it loses it at the end.
constexpr std::uint32_t kOwnerWrite = 0200;

// Shorter runs are cheaper in the page cache, which gathers them with their neighbours.
constexpr std::size_t kLongRunBytes = std::size_t{128} << 10U;
std::uint32_t uid_of(const FileOwner& owner) {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(owner.user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return owner.user.empty() || found == nullptr ? owner.uid : found->pw_uid;
}

std::uint32_t gid_of(const FileOwner& owner) {
  std::array<char, 16384> buffer{};
  group entry{};
  group* found = nullptr;
  ::getgrnam_r(owner.group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return owner.group.empty() || found == nullptr ? owner.gid : found->gr_gid;
}

}  // namespace

Ownership::Ownership(const std::vector<FileOwner>& owners) {
  if (::geteuid() != 0) return;
  for (const FileOwner& owner : owners) ids_.emplace_back(uid_of(owner), gid_of(owner));
}

void Ownership::give(int fd, std::uint32_t owner, const std::string& path) const {
  if (ids_.empty()) return;
  const auto [uid, gid] = ids_.at(owner);
  if (::fchown(fd, uid, gid) != 0) throw_errno(errno, "set the owner of", path);
}

void Ownership::give_path(const std::filesystem::path& path, std::uint32_t owner) const {
  if (ids_.empty()) return;
  const auto [uid, gid] = ids_.at(owner);
  if (::chown(path.c_str(), uid, gid) != 0) throw_errno(errno, "set the owner of", path.string());
}

void create_file(const std::filesystem::path& path, const FileEntry& entry,
                 const Ownership& ownership) {
  // A file with a second name may be part of a snapshot made of hard links: it is left alone there.
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (there.st_nlink > 1) {
      ::unlink(path.c_str());
    } else if (S_ISREG(there.st_mode) && (there.st_mode & kOwnerWrite) == 0) {
      // An earlier restore that did not finish had given it its own mode already.
      ::chmod(path.c_str(), there.st_mode | kOwnerWrite);
    }
  }
  const FileDescriptor fd = open_or_throw(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (::ftruncate(fd.get(), static_cast<off_t>(entry.size)) != 0) {
    throw_errno(errno, "set the size of", path.string());
  }
  if (::fchmod(fd.get(), static_cast<mode_t>(entry.mode | kOwnerWrite)) != 0) {
    throw_errno(errno, "set the mode of", path.string());
  }
  ownership.give(fd.get(), entry.owner, path.string());
}

void write_zeros(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes) {
  const FileDescriptor fd = open_or_throw(path, O_WRONLY);
  if (::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(bytes)) == 0) {
    return;
  }
  const Bytes zeros(std::min<std::uint64_t>(bytes, std::uint64_t{1} << 20U));
  for (std::uint64_t done = 0; done < bytes; done += zeros.size()) {
    const ByteView piece =
        ByteView(zeros).first(std::min<std::uint64_t>(zeros.size(), bytes - done));
    write_at(fd.get(), offset + done, piece, path.native());
  }
}

void reserve_range(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes) {
  const FileDescriptor fd = open_or_throw(path, O_WRONLY);
  if (!likes_direct_writes(fd.get())) return;
  if (::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(bytes)) != 0 &&
      errno != EOPNOTSUPP && errno != EINTR) {
    throw_errno(errno, "reserve space for", path.native());
  }
}

void FileWriter::open(const std::filesystem::path& path) {
  if (fd_.valid() && path.native() == path_.native()) return;
  flush();
  fd_ = open_or_throw(path, O_RDWR);
  path_ = path;
  direct_ = likes_direct_writes(fd_.get());
}

void FileWriter::write(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes) {
  open(path);
  if (offset != run_offset_ + gathered_) flush();
  while (!bytes.empty()) {
    if (gathered_ == 0) run_offset_ = offset;
    // Runs end where whole ones in the file end, so that two threads do not split one.
    const std::size_t room = kRunBytes - offset % kRunBytes;
    const ByteView piece = bytes.first(std::min(bytes.size(), room));
    std::ranges::copy(piece, run_.span().begin() + static_cast<std::ptrdiff_t>(gathered_));
    gathered_ += piece.size();
    offset += piece.size();
    bytes = bytes.subspan(piece.size());
    if (piece.size() == room) flush();
  }
}

bool FileWriter::holds(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes) {
  open(path);
  if (offset < run_offset_ + gathered_ && run_offset_ < offset + bytes.size()) flush();
  Bytes there(bytes.size());
  return read_at(fd_.get(), offset, there, path_.native()) == there.size() &&
         std::ranges::equal(there, bytes);
}

void FileWriter::flush() {
  write_out(run_.view().first(std::exchange(gathered_, 0)), run_offset_);
}

void FileWriter::write_out(ByteView bytes, std::uint64_t offset) {
  const bool is_long = bytes.size() >= kLongRunBytes;
  if (is_long && direct_ && offset % kDirectAlignment == 0) {
    const ByteView whole = bytes.first(bytes.size() / kDirectAlignment * kDirectAlignment);
    direct_ = write_direct_at(fd_.get(), offset, whole, path_.native());
    if (direct_) {
      offset += whole.size();
      bytes = bytes.subspan(whole.size());
    }
  }
  if (bytes.empty()) return;
  write_at(fd_.get(), offset, bytes, path_.native());
  if (is_long) {
    // Only a hint: the sync at the end tells whether everything is on the disk.
    ::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                      SYNC_FILE_RANGE_WRITE);
  }
}

}  // namespace holdfast
