#include "repository/block_map.h"

#include <limits>
#include <set>

#include "core/error.h"
#include "storage/object_store.h"

namespace holdfast {
namespace {

[[noreturn]] void malformed_map(const char* why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed map page: {}", why));
}

std::uint32_t pack_number_from(Decoder& in) {
  const std::uint64_t value = in.varint();
  if (value > std::numeric_limits<std::uint32_t>::max()) malformed_map("a number is out of range");
  return static_cast<std::uint32_t>(value);
}

}  // namespace

PackIndex PackRegistry::intern(const PackRef& pack) {
  Key key{pack.history.number, pack.history.system_identifier, pack.backup.text,
          static_cast<std::uint8_t>(pack.kind), pack.number};
  const std::lock_guard lock(mutex_);
  const auto [at, inserted] = known_.try_emplace(std::move(key), PackIndex(packs_.size()));
  if (inserted) {
    packs_.push_back(pack);
  } else if (packs_[at->second].salt != pack.salt) {
    malformed_map("two pages disagree about a pack");
  }
  return at->second;
}

const PackRef& PackRegistry::at(PackIndex index) const {
  const std::lock_guard lock(mutex_);
  return packs_.at(index);
}

std::size_t PackRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return packs_.size();
}

void BlockMap::add_zeros(std::uint32_t blocks) {
  if (!extents.empty() && extents.back().zero()) {
    extents.back().blocks += blocks;
  } else {
    extents.push_back({.blocks = blocks, .chunk = {}, .offset_in_chunk = 0});
  }
}

void BlockMap::add_chunk(std::uint32_t blocks, const ChunkAddress& chunk,
                         std::uint32_t offset_in_chunk) {
  if (!extents.empty() && extents.back().chunk == chunk && !extents.back().zero() &&
      extents.back().offset_in_chunk + extents.back().blocks * kBlockBytes == offset_in_chunk) {
    extents.back().blocks += blocks;
  } else {
    extents.push_back({blocks, chunk, offset_in_chunk});
  }
}

std::uint64_t BlockMap::blocks() const {
  std::uint64_t sum = 0;
  for (const Extent& extent : extents) sum += extent.blocks;
  return sum;
}

std::vector<PackIndex> packs_of(const BlockMap& map) {
  std::vector<PackIndex> packs;
  std::set<PackIndex> seen;
  for (const Extent& extent : map.extents) {
    if (!extent.zero() && seen.insert(extent.chunk.pack).second) packs.push_back(extent.chunk.pack);
  }
  return packs;
}

std::uint32_t PackTableEncoder::local(PackIndex pack) {
  const auto [at, inserted] = local_.try_emplace(pack, std::uint32_t(order_.size()));
  if (inserted) order_.push_back(pack);
  return at->second;
}

void PackTableEncoder::encode(Encoder& out) const {
  out.varint(order_.size());
  for (const PackIndex index : order_) {
    const PackRef& pack = registry_.at(index);
    out.varint(pack.history.number);
    out.u64(pack.history.system_identifier);
    out.text(pack.backup.text);
    out.u8(static_cast<std::uint8_t>(pack.kind));
    out.varint(pack.number);
    out.raw(pack.salt);
  }
}

std::vector<PackIndex> decode_pack_table(Decoder& in, PackRegistry& registry) {
  std::vector<PackIndex> table(in.count(16));
  for (PackIndex& index : table) {
    PackRef pack;
    pack.history.number = pack_number_from(in);
    pack.history.system_identifier = in.u64();
    const auto id = parse_backup_id(in.text());
    if (!id) malformed_map("a backup id has the wrong form");
    pack.backup = *id;
    const std::uint8_t kind = in.u8();
    if (kind < 1 || kind > 2) malformed_map("an unknown kind of pack");
    pack.kind = names::PackKind{kind};
    pack.number = pack_number_from(in);
    const ByteView salt = in.raw(pack.salt.size());
    std::memcpy(pack.salt.data(), salt.data(), salt.size());
    index = registry.intern(pack);
  }
  return table;
}

void encode(Encoder& out, const ChunkAddress& address, PackTableEncoder& table) {
  out.varint(table.local(address.pack));
  out.varint(address.offset);
  out.varint(address.sealed_length);
}

ChunkAddress decode_chunk_address(Decoder& in, const std::vector<PackIndex>& table) {
  const std::uint64_t local = in.varint();
  const std::uint64_t offset = in.varint();
  const std::uint64_t length = in.varint();
  if (local >= table.size()) malformed_map("it names a pack that is not in its table");
  if (length < kChunkOverheadBytes || length > kMaxObjectBytes || offset > kMaxObjectBytes ||
      offset + length > kMaxObjectBytes) {
    malformed_map("a chunk lies outside its pack");
  }
  return {table[local], static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length)};
}

void encode(Encoder& out, const BlockMap& map, PackTableEncoder& table) {
  out.varint(map.extents.size());
  for (const Extent& extent : map.extents) {
    // The lowest bit tells zeros from a chunk.
    out.varint(std::uint64_t{extent.blocks} << 1U | (extent.zero() ? 0U : 1U));
    if (extent.zero()) continue;
    encode(out, extent.chunk, table);
    out.varint(extent.offset_in_chunk);
  }
  for (const std::uint64_t hash : map.hashes) out.u64(hash);
}

BlockMap decode_block_map(Decoder& in, const std::vector<PackIndex>& table) {
  BlockMap map;
  const std::size_t extents = in.count(1);
  if (extents > kBlocksPerMapPage) malformed_map("it covers more blocks than a page may");
  map.extents.resize(extents);
  std::uint64_t total = 0;
  std::uint64_t stored = 0;
  for (Extent& extent : map.extents) {
    const std::uint64_t run = in.varint();
    total += run >> 1U;
    if (run < 2 || total > kBlocksPerMapPage)
      malformed_map("it covers more blocks than a page may");
    extent.blocks = static_cast<std::uint32_t>(run >> 1U);
    if ((run & 1U) == 0) continue;
    extent.chunk = decode_chunk_address(in, table);
    const std::uint64_t offset = in.varint();
    if (offset >= kMaxChunkPlainBytes) malformed_map("an offset lies outside its chunk");
    extent.offset_in_chunk = static_cast<std::uint32_t>(offset);
    stored += extent.blocks;
  }
  if (in.left() < stored * 8) malformed_map("its hashes are missing");
  map.hashes.resize(stored);
  for (std::uint64_t& hash : map.hashes) hash = in.u64();
  return map;
}

Bytes encode_map_page(const BlockMap& map, const PackRegistry& registry) {
  PackTableEncoder table(registry);
  Encoder body;
  encode(body, map, table);
  Encoder out;
  table.encode(out);
  out.raw(body.view());
  return out.take();
}

BlockMap decode_map_page(ByteView page, PackRegistry& registry) {
  Decoder in(page);
  const std::vector<PackIndex> table = decode_pack_table(in, registry);
  BlockMap map = decode_block_map(in, table);
  if (!in.done()) malformed_map("bytes are left over");
  return map;
}

}  // namespace holdfast
