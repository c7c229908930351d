#include "repository/file_reader.h"

#include <algorithm>

#include "core/cancellation.h"
#include "repository/stand_in.h"

namespace holdfast {
namespace {

constexpr std::size_t kZerosBytes = std::size_t{64} << 10U;

void write_zeros(std::uint64_t count, const FileReader::Sink& sink, const std::stop_token& stop) {
  static const Bytes zeros(kZerosBytes);
  while (count > 0) {
    check_cancelled(stop);
    const std::uint64_t piece = std::min<std::uint64_t>(count, zeros.size());
    sink(ByteView(zeros).first(piece));
    count -= piece;
  }
}

FileRange overlap(FileRange a, FileRange b) {
  const std::uint64_t begin = std::max(a.offset, b.offset);
  const std::uint64_t end = std::min(a.offset + a.length, b.offset + b.length);
  return {begin, end > begin ? end - begin : 0};
}

}  // namespace

void FileReader::read(const FileEntry& file, FileRange range, const Sink& sink,
                      const std::stop_token& stop) {
  HF_INVARIANT(range.offset <= file.size && range.length <= file.size - range.offset);
  if (range.length == 0) return;
  const std::uint64_t last = (range.offset + range.length - 1) / kBytesPerMapPage;
  for (std::uint64_t slice = range.offset / kBytesPerMapPage; slice <= last; ++slice) {
    read_slice(file, slice, range, sink, stop);
  }
}

void FileReader::read_slice(const FileEntry& file, std::size_t slice, FileRange range,
                            const Sink& sink, const std::stop_token& stop) {
  const BlockMap map = manifest_.slice_map(file, slice, stop);
  std::uint64_t begin = slice * kBytesPerMapPage;
  std::size_t hash = 0;
  for (const Extent& extent : map.extents) {
    const std::uint64_t length = std::min(file.size - begin, extent.blocks * kBlockBytes);
    const FileRange part = overlap({begin, length}, range);
    if (part.length > 0) {
      if (extent.zero()) {
        write_zeros(part.length, sink, stop);
      } else {
        read_extent({file, map, extent, begin, hash}, part, sink, stop);
      }
    }
    if (!extent.zero()) hash += extent.blocks;
    begin += length;
  }
}

// The whole extent, of which `part` is known to be right.
ByteView FileReader::read_own(const Place& place, std::uint64_t length, FileRange part,
                              const std::stop_token& stop) {
  if (!(place.extent.chunk == last_)) {
    last_ = {};
    plain_ = chunks_.read(place.extent.chunk, stop);
    last_ = place.extent.chunk;
  }
  if (plain_.size() < place.extent.offset_in_chunk + length) {
    throw Error(ErrorKind::kDamage, "a chunk is shorter than the manifest says",
                {.object = chunks_.pack_name(place.extent.chunk.pack)});
  }
  const ByteView extent = ByteView(plain_).subspan(place.extent.offset_in_chunk, length);
  check_blocks(place, extent, part);
  return extent;
}

void FileReader::read_extent(const Place& place, FileRange part, const Sink& sink,
                             const std::stop_token& stop) {
  const std::uint64_t length =
      std::min(place.file.size - place.begin, place.extent.blocks * kBlockBytes);
  ByteView extent;
  Bytes other;
  try {
    extent = read_own(place, length, part, stop);
  } catch (const Error& error) {
    if (stand_ins_ == nullptr || error.kind() != ErrorKind::kDamage) throw;
    other = stand_ins_->replace({manifest_.info(), place.file.path, {place.begin, length}},
                                {error, chunks_.pack_name(place.extent.chunk.pack)}, stop);
    check_blocks(place, other, part);
    extent = other;
  }
  sink(extent.subspan(part.offset - place.begin, part.length));
}

void FileReader::check_blocks(const Place& place, ByteView extent, FileRange part) const {
  const std::uint64_t first = (part.offset - place.begin) / kBlockBytes;
  const std::uint64_t last = (part.offset + part.length - 1 - place.begin) / kBlockBytes;
  for (std::uint64_t i = first; i <= last; ++i) {
    const std::uint64_t at = i * kBlockBytes;
    const ByteView block = extent.subspan(at, std::min(kBlockBytes, extent.size() - at));
    if (hasher_(block) != place.map.hashes.at(place.first_hash + i)) {
      throw Error(ErrorKind::kDamage,
                  fmt::format("block {} of {} is not what was backed up",
                              place.begin / kBlockBytes + i, place.file.path),
                  {.object = chunks_.pack_name(place.extent.chunk.pack)});
    }
  }
}

}  // namespace holdfast
