// What several threads share: one ChunkKey, one PageHasher, the algorithms fetched once.

#include <atomic>
#include <thread>

#include "seal/hash.h"
#include "seal_testing.h"

namespace holdfast {
namespace {

constexpr unsigned kThreads = 8;
constexpr std::uint32_t kChunksEach = 40;

void seal_and_open(const ChunkKey& key, unsigned thread, std::atomic<unsigned>& good) {
  seal_testing::Content content(thread);
  Compressor compressor({});
  Decompressor decompressor;
  for (std::uint32_t i = 0; i < kChunksEach; ++i) {
    const std::uint32_t ordinal = thread * kChunksEach + i;
    const Bytes plain = content.bytes(content.below(20'000));
    const auto [compression, payload] = compressor.compress(plain);
    Bytes chunk(payload.size() + kChunkOverheadBytes);
    key.seal(ordinal, static_cast<std::uint32_t>(plain.size()), compression, payload, chunk);
    const auto opened = key.open(chunk);
    Bytes back(opened.plain_length);
    decompressor.decompress(opened.compression, opened.payload, back);
    if (back == plain && opened.ordinal == ordinal) ++good;
  }
}

class SealConcurrent : public testing::TestWithParam<Cipher> {};
INSTANTIATE_TEST_SUITE_P(Ciphers, SealConcurrent,
                         testing::Values(Cipher::kNone, Cipher::kAes256Gcm));

TEST_P(SealConcurrent, OneChunkKeyServesEightThreads) {
  const ChunkKey key(GetParam(), seal_testing::secret_of(1), seal_testing::salt_of(2));
  std::atomic<unsigned> good{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { seal_and_open(key, i, good); });
    }
  }
  EXPECT_EQ(good, kThreads * kChunksEach);
}

TEST(SealConcurrentHashing, EveryThreadGetsTheSameHashes) {
  const PageHasher hasher(seal_testing::secret_of(1));
  const Bytes page(8192, std::byte{7});
  const std::uint64_t expected = hasher(page);
  const Sha256 expected_sha = sha256(page);
  std::atomic<unsigned> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 200; ++round) {
          if (hasher(page) != expected || sha256(page) != expected_sha) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace holdfast
