#pragma once
// Reads part of a file out of a backup: one ranged get for each chunk that it touches, and each
// block is compared with its keyed hash in the manifest before anybody sees it.
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

class FileReader {
 public:
  FileReader(Manifest& manifest, ChunkReader& chunks, const PageHasher& hasher)
      : manifest_(manifest), chunks_(chunks), hasher_(hasher) {}

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
  void check_blocks(const Place& place, ByteView extent, FileRange part) const;

  Manifest& manifest_;
  ChunkReader& chunks_;
  const PageHasher hasher_;
  ChunkAddress last_;  // the chunk that `plain_` holds
  Bytes plain_;
};

struct CatRequest {
  std::string path;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;  // to the end
};
// Streams part of a file of a backup. kNotFound when the backup has no such path, kUsage when it is
// not a file or the offset lies behind its end. Returns the number of bytes.
std::uint64_t cat_file(const Repository& repository, const CatalogueEntry& backup,
                       const CatRequest& request, const FileReader::Sink& sink,
                       const std::stop_token& stop);

}  // namespace holdfast
