// The root of a manifest: what decodes is encoded again to a root that decodes to the same.

#include "repository/manifest.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  PackRegistry registry;
  const ManifestRoot root = decode_manifest_root(input, registry);
  const Bytes encoded = encode_manifest_root(root, registry);
  const ManifestRoot again = decode_manifest_root(encoded, registry);
  HF_INVARIANT(encode_manifest_root(again, registry) == encoded);
}

std::vector<Bytes> seeds() {
  PackRegistry registry;
  ManifestRoot root;
  root.info.name = {"demo", {1, 77}, {"20260101T000000Z-0001"}};
  root.info.owners = {{}};
  const PackIndex pack = registry.intern(
      {root.info.name.history, root.info.name.id, names::PackKind::kMap, 1, Salt{}});
  root.packs = {{pack, 1000}};
  root.pages[0] = {{"a", 3, {pack, 64, 100}}, {"b", 1, {pack, 164, 100}}};
  root.pages[1] = {{"global/pg_control", 1, {pack, 264, 100}}};
  return {encode_manifest_root(root, registry)};
}

HOLDFAST_FUZZ_TARGET(manifest, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
