#include "seal/hash.h"

#include <xxhash.h>

#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::hex;
using seal_testing::secret_of;

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 131 + (i >> 8U));
  return out;
}

TEST(Digest, MatchesPublishedValues) {
  EXPECT_EQ(hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(md5(as_bytes("abc"))), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(hex(md5({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex(xxh3_128({})), "99aa06d3014798d86001c324468d497f");
}

// The entry points that choose the instruction set give what the plain ones give, at every length
// class of the algorithm.
TEST(Xxh3, IsTheSameOnEveryInstructionSet) {
  for (const std::size_t size : {0, 1, 3, 8, 16, 17, 128, 129, 240, 241, 1024, 8192, 131072}) {
    const Bytes bytes = pattern(size);
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{0x0123456789abcdef}}) {
      const XXH128_hash_t expected = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
      XXH128_canonical_t canonical;
      XXH128_canonicalFromHash(&canonical, expected);
      EXPECT_EQ(hex(xxh3_128(bytes, ChecksumSeed{seed})),
                hex(std::as_bytes(std::span(canonical.digest))))
          << size;
    }
  }
}

TEST(PageHasherTest, IsXxh3WithADerivedSecret) {
  const Secret key = secret_of(7);
  Bytes secret(192);
  hkdf_sha256({.key = key.view(), .salt = {}, .info = "holdfast page hash v0"}, secret);
  const PageHasher hasher(key);
  for (const std::size_t size : {0, 1, 16, 200, 500, 8192, 32768}) {
    const Bytes page = pattern(size);
    EXPECT_EQ(hasher(page),
              XXH3_64bits_withSecret(page.data(), page.size(), secret.data(), secret.size()))
        << size;
  }
}

TEST(PageHasherTest, DependsOnTheKeyAndOnEveryByte) {
  const Bytes page = pattern(8192);
  const PageHasher hasher(secret_of(7));
  EXPECT_NE(hasher(page), PageHasher(secret_of(8))(page));
  for (std::size_t at = 0; at < page.size(); at += 37) {
    Bytes changed = page;
    changed[at] ^= std::byte{1};
    EXPECT_NE(hasher(changed), hasher(page)) << at;
  }
}

// A change here changes every stored page map: that is a new format.
TEST(PageHasherTest, GoldenValue) {
  EXPECT_EQ(PageHasher(secret_of(7))(pattern(8192)), 0xe7603bad12bdf75cULL);
}

TEST(IsZero, FindsASingleByteAnywhere) {
  EXPECT_TRUE(is_zero({}));
  for (const std::size_t size : {1, 2, 7, 8, 63, 64, 65, 8192}) {
    Bytes page(size);
    EXPECT_TRUE(is_zero(page)) << size;
    for (std::size_t at = 0; at < size; at += size > 100 ? 61 : 1) {
      page[at] = std::byte{1};
      EXPECT_FALSE(is_zero(page)) << size << " at " << at;
      page[at] = std::byte{0};
    }
    page.back() = std::byte{0x80};
    EXPECT_FALSE(is_zero(page)) << size;
  }
}

}  // namespace
}  // namespace holdfast
