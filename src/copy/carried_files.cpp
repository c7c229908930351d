#include "copy/carried_files.h"

#include <algorithm>

#include "core/error.h"

namespace holdfast {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{128} << 10U;

std::uint32_t block_count(std::uint64_t bytes) {
  return static_cast<std::uint32_t>((bytes + kBlockBytes - 1) / kBlockBytes);
}

}  // namespace

CarriedFile::CarriedFile(const CarriedSink& sink, const Shape& shape)
    : sink_(sink),
      valid_bytes_(shape.valid_bytes),
      entry_{.path = shape.path,
             .type = FileType::kRegular,
             .mode = 0600,
             .owner = shape.owner,
             .modified_ns = shape.modified_ns,
             .size = shape.size},
      compressor_({}),
      buffer_(kWindowBytes) {}

std::size_t CarriedFile::window_bytes() const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, entry_.size - position_));
}

void CarriedFile::add(ByteView piece) {
  while (!piece.empty()) {
    if (position_ == entry_.size) {
      throw Error(ErrorKind::kDamage, "it is longer than its head says", {.object = entry_.path});
    }
    const std::uint64_t at = position_ + used_;
    const std::size_t taken = std::min(piece.size(), window_bytes() - used_);
    const std::uint64_t valid = at < valid_bytes_ ? valid_bytes_ - at : 0;
    const auto kept = static_cast<std::size_t>(std::min<std::uint64_t>(taken, valid));
    const MutableByteView out = buffer_.span().subspan(used_, taken);
    std::ranges::copy(piece.first(kept), out.begin());
    std::ranges::fill(out.subspan(kept), std::byte{0});
    used_ += taken;
    piece = piece.subspan(taken);
    if (used_ == window_bytes()) seal_window();
  }
}

FileEntry CarriedFile::finish() {
  while (position_ < entry_.size) {
    std::ranges::fill(buffer_.span().subspan(used_), std::byte{0});
    used_ = window_bytes();
    seal_window();
  }
  return std::move(entry_);
}

void CarriedFile::seal_window() {
  const ByteView plain = buffer_.view().first(used_);
  if (is_zero(plain)) {
    map_.add_zeros(block_count(plain.size()));
  } else {
    map_.add_chunk(block_count(plain.size()), seal_chunk(plain), 0);
    for (std::size_t at = 0; at < plain.size(); at += kBlockBytes) {
      map_.hashes.push_back(
          sink_.hasher(plain.subspan(at, std::min<std::size_t>(plain.size() - at, kBlockBytes))));
    }
    content_bytes_ += plain.size();
  }
  position_ += used_;
  used_ = 0;
  if (position_ % kBytesPerMapPage == 0 || position_ == entry_.size) close_slice();
}

void CarriedFile::close_slice() {
  if (slice_count(entry_) == 1 && fits_in_entry(map_)) {
    entry_.map = std::move(map_);
  } else {
    entry_.map_pages.push_back(sink_.maps.seal_map(map_));
  }
  map_ = {};
}

ChunkAddress CarriedFile::seal_chunk(ByteView plain) {
  const Compressor::Result packed = compressor_.compress(plain);
  const NewChunk chunk = sink_.data_packs.add(static_cast<std::uint32_t>(plain.size()),
                                              packed.compression, packed.payload);
  const PackIndex pack =
      sink_.maps.registry().intern({sink_.backup.history, sink_.backup.id, names::PackKind::kData,
                                    chunk.pack, sink_.data_packs.salt(chunk.pack)});
  return {pack, chunk.offset, chunk.sealed_length};
}

}  // namespace holdfast
