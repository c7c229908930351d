#pragma once
// Blocks of files and where they lie: the working form of a block map while a backup decides which
// blocks stay where an older backup put them and which are stored anew.
//
// Pure data and arithmetic but for FreshBlocks, which hands full chunks to a function.
// Threads: one at a time; each worker has its own.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "repository/block_map.h"

namespace holdfast {

struct PlacedBlock {
  ChunkAddress chunk;        // sealed_length 0: the block is zero
  std::uint32_t offset = 0;  // in the chunk's plain bytes
  std::uint64_t hash = 0;    // of its content; 0 for a block of zeros
  bool zero() const { return chunk.sealed_length == 0; }
};

// One for each block of a map, and back.
std::vector<PlacedBlock> blocks_of(const BlockMap& map);
BlockMap map_of(std::span<const PlacedBlock> blocks);

// Whether reading these blocks back costs so much more than they are worth that they are better
// stored anew, all together: the chunks that they lie in hold half as much again, or there are
// twice as many as there need be.
bool is_fragmented(std::span<const PlacedBlock> blocks);

// Puts blocks from anywhere together in chunks of kChunkPlainBytes. The place of a block is known
// once its chunk is full or flush() was called; it must stay where it is until then.
class FreshBlocks {
 public:
  using Seal = std::function<ChunkAddress(ByteView plain)>;
  FreshBlocks(Seal seal, std::size_t chunk_bytes);

  // `block` is copied. At most one block of a file is shorter than kBlockBytes, its last.
  void add(ByteView block, PlacedBlock& place);
  // Blocks that follow each other, kBlockBytes each but for the last.
  void add_run(ByteView run, std::span<PlacedBlock> places);
  void flush();

 private:
  void place_all(ByteView plain);

  Seal seal_;
  Buffer buffer_;
  std::size_t used_ = 0;
  std::vector<PlacedBlock*> waiting_;  // their offsets are set
};

}  // namespace holdfast
