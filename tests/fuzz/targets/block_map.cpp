// Map pages: what decodes is encoded again to a page that decodes to the same.

#include "repository/block_map.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  PackRegistry registry;
  const BlockMap map = decode_map_page(input, registry);
  HF_INVARIANT(map.blocks() <= kBlocksPerMapPage);
  const Bytes page = encode_map_page(map, registry);
  const BlockMap again = decode_map_page(page, registry);
  HF_INVARIANT(again.hashes == map.hashes && again.extents.size() == map.extents.size());
}

std::vector<Bytes> seeds() {
  PackRegistry registry;
  BlockMap map;
  for (std::uint32_t number = 1; number < 3; ++number) {
    const PackIndex pack = registry.intern(
        {{1, 77}, {"20260101T000000Z-0001"}, names::PackKind::kData, number, Salt{}});
    map.add_chunk(2, {pack, 64 * number, 100}, 8192);
    map.add_zeros(3);
    map.hashes.insert(map.hashes.end(), {1, 2});
  }
  return {encode_map_page(map, registry), encode_map_page({}, registry)};
}

HOLDFAST_FUZZ_TARGET(block_map, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
