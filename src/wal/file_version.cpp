#include "wal/file_version.h"

#include <sys/stat.h>

namespace holdfast {

std::optional<FileVersion> version_of(const std::filesystem::path& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) return std::nullopt;
  return FileVersion{.device = found.st_dev,
                     .inode = found.st_ino,
                     .bytes = static_cast<std::uint64_t>(found.st_size),
                     .changed_seconds = found.st_ctim.tv_sec,
                     .changed_nanoseconds = found.st_ctim.tv_nsec};
}

}  // namespace holdfast
