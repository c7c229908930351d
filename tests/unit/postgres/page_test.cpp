#include "postgres/page.h"

#include <chrono>
#include <random>

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

Bytes make_page(unsigned seed, std::uint32_t block) {
  std::mt19937 random(seed);
  Bytes page(kPageBytes);
  for (std::byte& byte : page) byte = static_cast<std::byte>(random());
  store_le<std::uint16_t>(page.data() + 14, 8192);  // pd_upper: not a new page
  store_le(page.data() + 8, page_checksum(page, block));
  return page;
}

// The algorithm a second time, word by word as its description has it, to hold the vectorised code
// to; real servers' pages are checked by the suite postgres_server.
std::uint16_t plain_checksum(ByteView page, std::uint32_t block) {
  constexpr std::uint32_t kStart[32] = {
      0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2,
      0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C,
      0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979,
      0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E,
      0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};
  std::uint32_t folded = 0;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    std::uint32_t sum = kStart[lane];
    for (std::size_t row = 0; row < 66; ++row) {
      const std::size_t at = (row * 32 + lane) * 4;
      std::uint32_t word = row < 64 ? load_le<std::uint32_t>(page.data() + at) : 0;
      if (at == 8) word &= 0xffff0000U;
      sum ^= word;
      sum = (sum * 16777619U) ^ (sum >> 17U);
    }
    folded ^= sum;
  }
  return static_cast<std::uint16_t>((folded ^ block) % 65535U + 1);
}

TEST(Page, VectorisedChecksumIsThatOfTheDescription) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const std::uint32_t block = seed * 0x01010101U;
    const Bytes page = make_page(seed, block);
    ASSERT_EQ(page_checksum(page, block), plain_checksum(page, block)) << seed;
  }
}

TEST(Page, ChecksumDoesNotDependOnTheOneStoredNorOnAlignment) {
  Bytes room(kPageBytes + 1);
  Bytes page = make_page(1, 5);
  const std::uint16_t expected = page_checksum(page, 5);
  store_le<std::uint16_t>(page.data() + 8, 0x1234);
  EXPECT_EQ(page_checksum(page, 5), expected);
  std::memcpy(room.data() + 1, page.data(), kPageBytes);
  EXPECT_EQ(page_checksum(ByteView(room).subspan(1), 5), expected);
}

TEST(Page, EveryByteCounts) {
  const Bytes good = make_page(2, 77);
  ASSERT_EQ(check_page(good, 77), PageState::kGood);
  for (std::size_t at = 0; at < kPageBytes; ++at) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x10};
    ASSERT_EQ(check_page(bad, 77), PageState::kBad) << at;
  }
}

TEST(Page, OfAnotherBlockIsBad) {
  const Bytes page = make_page(3, 9);
  EXPECT_EQ(check_page(page, 9), PageState::kGood);
  EXPECT_EQ(check_page(page, 10), PageState::kBad);
}

TEST(Page, OfZerosIsNewAndNothingElseIs) {
  Bytes page(kPageBytes);
  EXPECT_EQ(check_page(page, 0), PageState::kNew);
  for (const std::size_t at : {std::size_t{0}, std::size_t{100}, kPageBytes - 1}) {
    page.assign(kPageBytes, std::byte{0});
    page[at] = std::byte{1};
    EXPECT_EQ(check_page(page, 0), PageState::kBad) << at;
  }
}

TEST(Page, LsnHasItsHighHalfFirst) {
  Bytes page(kPageBytes);
  store_le<std::uint32_t>(page.data(), 0x16);
  store_le<std::uint32_t>(page.data() + 4, 0xB374D848);
  EXPECT_EQ(to_string(page_lsn(page)), "16/B374D848");
}

TEST(Page, OfAnotherLengthIsABugOfTheCaller) {
  EXPECT_THROW(page_checksum(Bytes(kPageBytes - 1), 0), Error);
  EXPECT_THROW(check_page(Bytes(kPageBytes + 1), 0), Error);
}

#if defined(__OPTIMIZE__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
// A word-by-word loop reaches about 1 GB/s: reading a fast disk would wait for it.
TEST(Page, ChecksumIsVectorised) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "no AVX2 on this machine";
  const Bytes page = make_page(4, 0);
  constexpr int kPages = 20000;
  double best = 0;
  unsigned sum = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {  // the best: other programs run here too
    const auto start = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < kPages; ++i) sum += page_checksum(page, i);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, kPages * double{kPageBytes} / elapsed.count() / 1e9);
  }
  RecordProperty("gigabytes_per_second", std::to_string(best));
  EXPECT_GE(best, 5.0) << sum;
}
#endif

}  // namespace
}  // namespace holdfast
