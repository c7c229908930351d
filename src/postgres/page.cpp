#include "postgres/page.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace holdfast {
namespace {

// The checksum runs 32 FNV-1a sums side by side, each over every 32nd 32-bit word of the page, so
// that the processor's vector units can work on all of them at once. The start values are part of
// the on-disk format.
constexpr std::size_t kLanes = 32;
constexpr std::size_t kWords = kPageBytes / sizeof(std::uint32_t);
constexpr std::uint32_t kFnvPrime = 16777619U;
constexpr std::array<std::uint32_t, kLanes> kLaneStart{
    0x5B1F36E9U, 0xB8525960U, 0x02AB50AAU, 0x1DE66D2AU, 0x79FF467AU, 0x9BB9F8A3U, 0x217E7CD2U,
    0x83E13D2CU, 0xF8D4474FU, 0xE39EB970U, 0x42C6AE16U, 0x993216FAU, 0x7B093B5DU, 0x98DAFF3CU,
    0xF718902AU, 0x0B1C9CDBU, 0xE58F764BU, 0x187636BCU, 0x5D7B3BB1U, 0xE73DE7DEU, 0x92BEC979U,
    0xCCA6C0B2U, 0x304A0979U, 0x85AA43D4U, 0x783125BBU, 0x6CA8EAA2U, 0xE407EAC6U, 0x4B5CFC3EU,
    0x9FBF8C76U, 0x15CA20BEU, 0xF2CA9FD3U, 0x959BD756U};
constexpr int kFinalRounds = 2;

// Page header: LSN as two 32-bit halves, high one first; then the checksum.
constexpr std::size_t kChecksumAt = 8;
constexpr std::size_t kUpperAt = 14;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Resolved when the program is loaded, before a sanitizer's runtime is up: not with those.
#define HF_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define HF_VECTOR_CLONES
#endif

// Words of the page with the checksum field read as zero, mixed and folded.
HF_VECTOR_CLONES std::uint32_t mix_page(const std::uint32_t* words) {
  std::uint32_t sums[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] = kLaneStart[lane];
  for (std::size_t at = 0; at < kWords; at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t mixed = sums[lane] ^ words[at + lane];
      sums[lane] = (mixed * kFnvPrime) ^ (mixed >> 17U);
    }
  }
  for (int round = 0; round < kFinalRounds; ++round) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] = (sums[lane] * kFnvPrime) ^ (sums[lane] >> 17U);
    }
  }
  std::uint32_t result = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) result ^= sums[lane];
  return result;
}

bool is_all_zero(ByteView page) {
  return std::ranges::all_of(page, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Lsn page_lsn(ByteView page) {
  HF_INVARIANT(page.size() >= sizeof(std::uint64_t));
  const std::uint64_t high = load_le<std::uint32_t>(page.data());
  return {(high << 32U) | load_le<std::uint32_t>(page.data() + sizeof(std::uint32_t))};
}

std::uint16_t page_checksum(ByteView page, std::uint32_t block) {
  HF_INVARIANT(page.size() == kPageBytes);
  std::array<std::uint32_t, kWords> words;
  std::memcpy(words.data(), page.data(), kPageBytes);
  words[kChecksumAt / sizeof(std::uint32_t)] &= 0xffff0000U;
  const std::uint32_t mixed = mix_page(words.data()) ^ block;
  return static_cast<std::uint16_t>(mixed % 65535U + 1U);
}

PageState check_page(ByteView page, std::uint32_t block) {
  HF_INVARIANT(page.size() == kPageBytes);
  // PostgreSQL takes pd_upper = 0 for a new page, which has no checksum: then all of it is zero.
  if (load_le<std::uint16_t>(page.data() + kUpperAt) == 0) {
    return is_all_zero(page) ? PageState::kNew : PageState::kBad;
  }
  const auto stored = load_le<std::uint16_t>(page.data() + kChecksumAt);
  return stored == page_checksum(page, block) ? PageState::kGood : PageState::kBad;
}

}  // namespace holdfast
