#pragma once
// Tells a file from another one that took its place, even with the same content, and from itself
// after it was written to or renamed: device, inode, size and time of change.
// Errors: none; a file that cannot be examined has no version. Threads: any; plain data.

#include <cstdint>
#include <filesystem>
#include <optional>

namespace holdfast {

struct FileVersion {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t changed_seconds = 0, changed_nanoseconds = 0;
  bool operator==(const FileVersion&) const = default;
};
std::optional<FileVersion> version_of(const std::filesystem::path& file);

}  // namespace holdfast
