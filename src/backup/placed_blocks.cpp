#include "backup/placed_blocks.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/error.h"

namespace holdfast {

std::vector<PlacedBlock> blocks_of(const BlockMap& map) {
  std::vector<PlacedBlock> blocks;
  blocks.reserve(map.blocks());
  std::size_t hash = 0;
  for (const Extent& extent : map.extents) {
    for (std::uint32_t i = 0; i < extent.blocks; ++i) {
      if (extent.zero()) {
        blocks.emplace_back();
      } else {
        blocks.push_back({extent.chunk,
                          extent.offset_in_chunk + i * static_cast<std::uint32_t>(kBlockBytes),
                          map.hashes.at(hash++)});
      }
    }
  }
  return blocks;
}

BlockMap map_of(std::span<const PlacedBlock> blocks) {
  BlockMap map;
  for (const PlacedBlock& block : blocks) {
    if (block.zero()) {
      map.add_zeros(1);
    } else {
      map.add_chunk(1, block.chunk, block.offset);
      map.hashes.push_back(block.hash);
    }
  }
  return map;
}

bool is_fragmented(std::span<const PlacedBlock> blocks) {
  constexpr std::uint64_t kBlocksInChunk = 16;
  // A few chunks are never worth the trouble, and in those that small files share most is others'.
  constexpr std::uint64_t kChunksAnyway = 6;
  std::map<std::pair<PackIndex, std::uint32_t>, std::uint64_t> ends;  // what a chunk holds at least
  std::uint64_t live = 0;
  auto at = ends.end();
  for (const PlacedBlock& block : blocks) {
    if (block.zero()) continue;
    ++live;
    const std::pair chunk{block.chunk.pack, block.chunk.offset};
    // Blocks of a chunk mostly follow each other.
    if (at == ends.end() || at->first != chunk) at = ends.try_emplace(chunk).first;
    at->second = std::max<std::uint64_t>(at->second, block.offset + kBlockBytes);
  }
  std::uint64_t held = 0;
  for (const auto& [chunk, end] : ends) held += end / kBlockBytes;
  if (ends.size() <= kChunksAnyway) return false;
  return held * 2 > live * 3 || ends.size() > 2 * (live / kBlocksInChunk + kChunksAnyway);
}

FreshBlocks::FreshBlocks(Seal seal, std::size_t chunk_bytes)
    : seal_(std::move(seal)), buffer_(chunk_bytes) {}

void FreshBlocks::add(ByteView block, PlacedBlock& place) {
  HF_INVARIANT(block.size() <= kBlockBytes);
  if (used_ + block.size() > buffer_.size()) flush();
  std::memcpy(buffer_.span().data() + used_, block.data(), block.size());
  place.offset = static_cast<std::uint32_t>(used_);
  used_ += block.size();
  waiting_.push_back(&place);
}

void FreshBlocks::add_run(ByteView run, std::span<PlacedBlock> places) {
  if (used_ == 0 && run.size() == buffer_.size()) {  // a whole chunk needs no copy
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i].offset = static_cast<std::uint32_t>(i * kBlockBytes);
      waiting_.push_back(&places[i]);
    }
    place_all(run);
    return;
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::size_t at = i * kBlockBytes;
    add(run.subspan(at, std::min<std::size_t>(kBlockBytes, run.size() - at)), places[i]);
  }
}

void FreshBlocks::flush() {
  if (used_ == 0) return;
  place_all(buffer_.view().first(used_));
  used_ = 0;
}

void FreshBlocks::place_all(ByteView plain) {
  const ChunkAddress chunk = seal_(plain);
  for (PlacedBlock* place : waiting_) place->chunk = chunk;
  waiting_.clear();
}

}  // namespace holdfast
