#include "system/direct_write.h"

#include <cerrno>
#include <new>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "core/error.h"
#include "system/files.h"

namespace holdfast {

DirectBuffer::DirectBuffer(std::size_t size) : size_(size) {
  const std::size_t whole = (size + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kDirectAlignment, whole)));
  if (data_ == nullptr) throw std::bad_alloc();
}

bool likes_direct_writes(int fd) {
  struct statfs about{};
  return ::fstatfs(fd, &about) == 0 &&
         (about.f_type == EXT4_SUPER_MAGIC || about.f_type == XFS_SUPER_MAGIC);
}

bool write_direct_at(int fd, std::uint64_t offset, ByteView bytes, const std::string& path) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return false;
  bool fits = true;
  try {
    write_at(fd, offset, bytes, path);
  } catch (const FileError& error) {
    if (error.error_number() != EINVAL) throw;
    fits = false;
  }
  // What follows may be short and unaligned.
  if (::fcntl(fd, F_SETFL, flags) != 0) throw_file_error(errno, "write", path);
  return fits;
}

}  // namespace holdfast
