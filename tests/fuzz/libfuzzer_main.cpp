// What libFuzzer calls. Each of its programs is linked with exactly one target.
#include <cstddef>
#include <cstdint>

#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const holdfast::fuzz::Target target = holdfast::fuzz::targets().front();
  holdfast::fuzz::run_one(target, std::as_bytes(std::span(data, size)));
  return 0;
}
