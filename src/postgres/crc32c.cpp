#include "postgres/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace holdfast {
namespace {

constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78U;

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1U) ^ ((value & 1U) != 0 ? kReflectedPolynomial : 0U);
    }
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = make_table();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(ByteView bytes,
                                                             std::uint32_t preceding) {
  std::uint64_t crc = ~preceding;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    crc = _mm_crc32_u64(crc, load_le<std::uint64_t>(bytes.data()));
    bytes = bytes.subspan(sizeof(std::uint64_t));
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (const std::byte byte : bytes)
    narrow = _mm_crc32_u8(narrow, std::to_integer<unsigned char>(byte));
  return ~narrow;
}
#endif

}  // namespace

std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t preceding) {
  std::uint32_t crc = ~preceding;
  for (const std::byte byte : bytes) {
    crc = (crc >> 8U) ^ kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
  }
  return ~crc;
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t preceding) {
#if defined(__x86_64__)
  static const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;
  if (kHasInstruction) return crc32c_sse42(bytes, preceding);
#endif
  return crc32c_portable(bytes, preceding);
}

}  // namespace holdfast
