// Whole objects: a container that opens is sealed again to something that opens to the same.

#include "repository/container.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

RepositoryKeys keys() {
  RepositoryKeys keys;
  keys.repository_id.fill(std::byte{3});
  return keys;
}

// Mutations hardly ever leave a checksum right, so it is made right first.
Bytes mended(ByteView input) {
  Bytes object = to_bytes(input);
  if (object.size() < kContainerHeaderBytes + kContainerTrailerBytes) return object;
  const ByteView body = ByteView(object).first(object.size() - kContainerTrailerBytes);
  const auto count = load_le<std::uint32_t>(body.data() + body.size());
  const auto trailer = make_trailer(body, count);
  std::memcpy(object.data() + body.size(), trailer.data(), trailer.size());
  return object;
}

void run(ByteView input) {
  const Bytes plain = open_record(ContainerKind::kBegin, keys(), mended(input), "input");
  const Bytes again = seal_record(ContainerKind::kBegin, keys(), Cipher::kNone, plain);
  HF_INVARIANT(open_record(ContainerKind::kBegin, keys(), again, "again") == plain);
}

std::vector<Bytes> seeds() {
  return {seal_record(ContainerKind::kBegin, keys(), Cipher::kNone, as_bytes("{}")),
          seal_record(ContainerKind::kBegin, keys(), Cipher::kNone, Bytes(5000, std::byte{'x'}))};
}

HOLDFAST_FUZZ_TARGET(container, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
