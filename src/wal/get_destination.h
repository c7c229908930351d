#pragma once
// A WAL file that appears at its destination by rename, complete and synced.
// "<destination>.holdfast" holds it until then; it is removed when the object goes without
// publish(). Errors: kHost. Threads: one at a time.

#include <filesystem>

#include "core/bytes.h"
#include "system/files.h"

namespace holdfast {

class GetDestination {
 public:
  explicit GetDestination(std::filesystem::path path);
  ~GetDestination();
  GetDestination(const GetDestination&) = delete;
  GetDestination& operator=(const GetDestination&) = delete;

  void write(ByteView piece);
  // Brings it to its full size with zeros, reserves the disk space of those (PostgreSQL may use the
  // file again as a segment to write to), makes it durable and puts it in its place.
  void publish(std::uint64_t bytes);

 private:
  void open();
  void extend(std::uint64_t bytes) const;

  const std::filesystem::path path_;
  const std::filesystem::path temporary_;
  FileDescriptor fd_;
  std::uint64_t written_ = 0;
};

}  // namespace holdfast
