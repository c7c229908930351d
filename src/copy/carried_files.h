#pragma once
// Seals files that come as a stream, for the final section of a standalone copy: the WAL that it
// carries. What the stream does not give, up to the file's size, is zeros, and so is what lies
// behind `valid_bytes`: recovery of the copy alone then ends exactly at its stop
// (docs/decisions/0006). Layout as in a standalone backup: chunks of 128 KiB, zeros not stored.
// Memory: two chunks. Threads: one at a time for each file.

#include <cstdint>
#include <string>

#include "repository/manifest.h"
#include "repository/pack_writer.h"
#include "seal/hash.h"

namespace holdfast {

struct CarriedSink {
  PackWriter& data_packs;
  MapSink& maps;
  const PageHasher& hasher;
  const BackupName& backup;
};

class CarriedFile {
 public:
  struct Shape {
    std::string path;
    std::uint64_t size = 0, valid_bytes = 0;
    std::uint32_t owner = 0;
    std::int64_t modified_ns = 0;
  };
  CarriedFile(const CarriedSink& sink, const Shape& shape);

  // The file's bytes in order, in pieces of any length; at most `size` in all.
  void add(ByteView piece);
  FileEntry finish();
  std::uint64_t content_bytes() const { return content_bytes_; }  // without chunks of zeros

 private:
  std::size_t window_bytes() const;
  void seal_window();
  void close_slice();
  ChunkAddress seal_chunk(ByteView plain);

  const CarriedSink sink_;
  const std::uint64_t valid_bytes_;
  FileEntry entry_;
  Compressor compressor_;
  Buffer buffer_;
  std::size_t used_ = 0;        // of the window
  std::uint64_t position_ = 0;  // begin of the window
  std::uint64_t content_bytes_ = 0;
  BlockMap map_;
};

}  // namespace holdfast
