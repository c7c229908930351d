#include "restore/file_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>

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

void FileWriter::open(const std::filesystem::path& path) {
  if (fd_.valid() && path == path_) return;
  fd_ = open_or_throw(path, O_RDWR);
  path_ = path;
}

void FileWriter::write(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes) {
  open(path);
  write_at(fd_.get(), offset, bytes, path_.native());
}

bool FileWriter::holds(const std::filesystem::path& path, std::uint64_t offset, ByteView bytes) {
  open(path);
  Bytes there(bytes.size());
  return read_at(fd_.get(), offset, there, path_.native()) == there.size() &&
         std::ranges::equal(there, bytes);
}

}  // namespace holdfast
