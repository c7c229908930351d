#pragma once
// Where the pages of a file are: runs of blocks, each a run of zeros or a place inside a sealed
// chunk of some pack, and the keyed hash of every block that is stored.
//
// A block is 8 KiB of a file (the last one may be shorter). Chunks belong to no file: any block of
// any file can lie at any offset of any chunk, so an incremental backup replaces blocks without
// moving their neighbours, and small files share chunks.
//
// Packs are named by PackRef. In memory a PackRegistry gives each distinct pack a small number;
// in the repository each page of maps carries the table of the packs that it names, so that it can
// be shared between backups as it is.

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "repository/names.h"
#include "seal/chunk.h"

namespace holdfast {

inline constexpr std::uint64_t kBlockBytes = 8192;
// Blocks that one map page covers (64 MiB of a file); the last page of a file covers the rest.
inline constexpr std::uint64_t kBlocksPerMapPage = 8192;
inline constexpr std::uint64_t kBytesPerMapPage = kBlocksPerMapPage * kBlockBytes;

struct PackRef {
  HistoryName history;
  BackupId backup;
  names::PackKind kind = names::PackKind::kData;
  std::uint32_t number = 0;
  Salt salt{};
};

using PackIndex = std::uint32_t;

// Interns packs. Threads: all methods from any thread. References stay valid.
class PackRegistry {
 public:
  PackIndex intern(const PackRef& pack);
  const PackRef& at(PackIndex index) const;
  std::size_t size() const;

 private:
  using Key = std::tuple<std::uint32_t, std::uint64_t, std::string, std::uint8_t, std::uint32_t>;
  mutable std::mutex mutex_;
  std::map<Key, PackIndex> known_;
  std::deque<PackRef> packs_;
};

struct ChunkAddress {
  PackIndex pack = 0;
  std::uint32_t offset = 0;         // of the sealed chunk in the pack
  std::uint32_t sealed_length = 0;  // 0: no chunk
  bool operator==(const ChunkAddress&) const = default;
};

// `blocks` blocks that follow the previous extent.
struct Extent {
  std::uint32_t blocks = 0;
  ChunkAddress chunk;                 // sealed_length 0: the blocks are all zero
  std::uint32_t offset_in_chunk = 0;  // of the first byte of the first block
  bool zero() const { return chunk.sealed_length == 0; }
};

struct BlockMap {
  std::vector<Extent> extents;
  std::vector<std::uint64_t> hashes;  // one per block of the extents that are not zero, in order

  // Appends, joining with the previous extent where it goes on seamlessly.
  void add_zeros(std::uint32_t blocks);
  void add_chunk(std::uint32_t blocks, const ChunkAddress& chunk, std::uint32_t offset_in_chunk);
  std::uint64_t blocks() const;
};
// The packs that its extents name, each once, in their order.
std::vector<PackIndex> packs_of(const BlockMap& map);

// Collects the packs named while one page is encoded.
class PackTableEncoder {
 public:
  explicit PackTableEncoder(const PackRegistry& registry) : registry_(registry) {}
  std::uint32_t local(PackIndex pack);
  void encode(Encoder& out) const;

 private:
  const PackRegistry& registry_;
  std::map<PackIndex, std::uint32_t> local_;
  std::vector<PackIndex> order_;
};
// Local number → registry number.
std::vector<PackIndex> decode_pack_table(Decoder& in, PackRegistry& registry);

void encode(Encoder& out, const ChunkAddress& address, PackTableEncoder& table);
ChunkAddress decode_chunk_address(Decoder& in, const std::vector<PackIndex>& table);
void encode(Encoder& out, const BlockMap& map, PackTableEncoder& table);
BlockMap decode_block_map(Decoder& in, const std::vector<PackIndex>& table);

// A map page on its own: pack table, then the map.
Bytes encode_map_page(const BlockMap& map, const PackRegistry& registry);
BlockMap decode_map_page(ByteView page, PackRegistry& registry);

}  // namespace holdfast
