#pragma once
// Reads part of a file out of a backup: one ranged get for each chunk that it touches, and each
// block is compared with its keyed hash in the manifest before anybody sees it. A chunk that is
// damaged or missing is read from another repository that has the same backup, where there is one.
// Memory: one chunk and one map page. Errors: kDamage, naming the pack. One thread at a time.

#include <cstdint>
#include <functional>
#include <stop_token>

#include "repository/catalogue.h"
#include "repository/manifest.h"

namespace holdfast {

struct FileRange {
  std::uint64_t offset = 0, length = 0;  // inside the file
};

class StandIns;

class FileReader {
 public:
  // `stand_ins` may be null; else it outlives this.
  FileReader(Manifest& manifest, ChunkReader& chunks, const PageHasher& hasher,
             StandIns* stand_ins = nullptr)
      : manifest_(manifest), chunks_(chunks), hasher_(hasher), stand_ins_(stand_ins) {}

  // Calls `sink` with the bytes of the range in order, in pieces.
  using Sink = std::function<void(ByteView)>;
  void read(const FileEntry& file, FileRange range, const Sink& sink, const std::stop_token& stop);

 private:
  struct Place {
    const FileEntry& file;
    const BlockMap& map;
    const Extent& extent;
    std::uint64_t begin = 0;     // of the extent, in the file
    std::size_t first_hash = 0;  // of the extent, in the map
  };
  void read_slice(const FileEntry& file, std::size_t slice, FileRange range, const Sink& sink,
                  const std::stop_token& stop);
  void read_extent(const Place& place, FileRange part, const Sink& sink,
                   const std::stop_token& stop);
  ByteView read_own(const Place& place, std::uint64_t length, FileRange part,
                    const std::stop_token& stop);
  void check_blocks(const Place& place, ByteView extent, FileRange part) const;

  Manifest& manifest_;
  ChunkReader& chunks_;
  const PageHasher hasher_;
  StandIns* stand_ins_;
  ChunkAddress last_;  // the chunk that `plain_` holds
  Bytes plain_;
};

}  // namespace holdfast
