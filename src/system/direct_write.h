#pragma once
// Writing past the page cache (O_DIRECT), for much data that nobody reads soon: it is not copied
// once more, and the disk works from the first byte instead of from the sync at the end.
//
// Only where this pays, which is ext4 and XFS: not where data are checksummed, compressed or copied
// on write (btrfs, ZFS), nor in memory or over a network. Everybody else writes as usual.
// Durability: none by itself; a sync must follow as after any other write.
// Errors: FileError. Threads: no state; one file's flags are changed, so one call at a time a file.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "core/bytes.h"

namespace holdfast {

// What O_DIRECT asks of address, offset and length on nearly every disk and file system.
inline constexpr std::size_t kDirectAlignment = 4096;

// Memory that may be written so: it begins on such an address. Not zeroed.
class DirectBuffer {
 public:
  DirectBuffer() = default;
  explicit DirectBuffer(std::size_t size);

  std::size_t size() const { return size_; }
  MutableByteView span() { return {data_.get(), size_}; }
  ByteView view() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

bool likes_direct_writes(int fd);

// Writes `bytes`, whose length and address are multiples of kDirectAlignment, as is `offset`. False
// when the file wants another alignment, or no direct writes at all: then write them as usual,
// what may have been written already included.
bool write_direct_at(int fd, std::uint64_t offset, ByteView bytes, const std::string& path);

}  // namespace holdfast
