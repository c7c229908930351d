// The text of a key file.

#include <algorithm>

#include "core/error.h"
#include "fuzz_target.h"
#include "seal/key_slot.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  const Secret key = parse_key_file(as_text(input), "fuzz");
  const Secret again = parse_key_file(format_key_file(key), "fuzz");
  HF_INVARIANT(std::ranges::equal(key.view(), again.view()));
}

std::vector<Bytes> seeds() {
  const std::string text = format_key_file(Secret(Bytes(Secret::kBytes, std::byte{0xa7})));
  return {to_bytes(as_bytes(text)), to_bytes(as_bytes(text.substr(0, 64) + "\r\n"))};
}

HOLDFAST_FUZZ_TARGET(key_file, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
