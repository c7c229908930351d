#include "seal/hash.h"
#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::Content;
using seal_testing::error_kind;
using seal_testing::hex;
using seal_testing::opened;
using seal_testing::salt_of;
using seal_testing::sealed;
using seal_testing::secret_of;

class Chunk : public testing::TestWithParam<Cipher> {
 protected:
  ChunkKey key(unsigned char secret = 1, unsigned char salt = 2) const {
    return {GetParam(), secret_of(secret), salt_of(salt)};
  }
  static Bytes text() { return to_bytes(as_bytes(std::string(200, 'a') + "a page of a table")); }
  static ErrorKind open_error(const ChunkKey& with, Bytes chunk) {
    return error_kind([&] { with.open(chunk); });
  }
};

INSTANTIATE_TEST_SUITE_P(Ciphers, Chunk, testing::Values(Cipher::kNone, Cipher::kAes256Gcm),
                         [](const auto& tested) {
                           return tested.param == Cipher::kNone ? "None" : "Aes256Gcm";
                         });

TEST_P(Chunk, OpensToWhatWasSealed) {
  Bytes chunk = sealed(key(), {.ordinal = 77}, text());
  ASSERT_LT(chunk.size(), text().size());
  EXPECT_EQ(sealed_length(ByteView(chunk).first(kChunkHeaderBytes), chunk.size()), chunk.size());
  EXPECT_EQ(opened(key(), chunk), text());
  const auto parts = key().open(chunk);
  EXPECT_EQ(parts.ordinal, 77U);
  EXPECT_EQ(parts.plain_length, text().size());
  EXPECT_EQ(parts.compression, Compression::kZstd);
}

TEST_P(Chunk, RoundTripsRandomSizesWithEveryCompression) {
  const std::uint64_t seed = seal_testing::random_seed();
  SCOPED_TRACE(testing::Message() << "HOLDFAST_TEST_SEED=" << seed);
  Content content(seed);
  const ChunkKey with = key();
  for (const Compression compression :
       {Compression::kNone, Compression::kZstd, Compression::kLz4, Compression::kGzip}) {
    std::vector<std::size_t> sizes{0, 1, 15, 16, 17, 8192, std::size_t{1} << 20U};
    for (int i = 0; i < 8; ++i) sizes.push_back(content.below((std::size_t{1} << 20U) + 1));
    for (const std::size_t size : sizes) {
      const Bytes plain = content.bytes(size);
      const auto ordinal = static_cast<std::uint32_t>(content.below(std::size_t{1} << 32U));
      const Bytes chunk = sealed(with, {ordinal}, plain, {.compression = compression, .level = 1});
      ASSERT_LE(chunk.size(), plain.size() + kChunkOverheadBytes);
      ASSERT_EQ(opened(with, chunk), plain) << static_cast<int>(compression) << " " << size;
    }
  }
}

TEST_P(Chunk, EveryFlippedBitIsDamage) {
  const Bytes chunk = sealed(key(), {.ordinal = 3}, text());
  for (std::size_t at = 0; at < chunk.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes bad = chunk;
      bad[at] ^= static_cast<std::byte>(1U << bit);
      ASSERT_EQ(open_error(key(), bad), ErrorKind::kDamage) << "byte " << at << " bit " << bit;
    }
  }
}

TEST_P(Chunk, EveryOtherValueOfAHeaderByteIsDamage) {
  const Bytes chunk = sealed(key(), {.ordinal = 3}, text());
  for (std::size_t at = 0; at < kChunkHeaderBytes; ++at) {
    for (unsigned change = 1; change < 256; ++change) {
      Bytes bad = chunk;
      bad[at] ^= static_cast<std::byte>(change);
      ASSERT_EQ(open_error(key(), bad), ErrorKind::kDamage) << "byte " << at << " ^ " << change;
    }
  }
}

TEST_P(Chunk, TruncatedOrExtendedIsDamage) {
  const Bytes chunk = sealed(key(), {.ordinal = 3}, text());
  for (std::size_t size = 0; size < chunk.size(); ++size) {
    Bytes shorter(chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(open_error(key(), shorter), ErrorKind::kDamage) << size;
    // Even when its length field agrees.
    if (size < 4) continue;
    store_le(shorter.data(), static_cast<std::uint32_t>(size));
    ASSERT_EQ(open_error(key(), shorter), ErrorKind::kDamage) << size;
  }
  Bytes longer = chunk;
  longer.push_back(std::byte{0});
  EXPECT_EQ(open_error(key(), longer), ErrorKind::kDamage);
}

TEST_P(Chunk, DoesNotOpenInAnotherContainer) {
  const Bytes chunk = sealed(key(1, 2), {.ordinal = 3}, text());
  EXPECT_EQ(open_error(key(1, 9), chunk), ErrorKind::kDamage);
}

TEST_P(Chunk, DoesNotOpenUnderTheOrdinalOfAnother) {
  const Bytes first = sealed(key(), {.ordinal = 0}, text());
  Bytes renumbered = first;
  store_le(renumbered.data() + 12, std::uint32_t{1});
  EXPECT_EQ(open_error(key(), renumbered), ErrorKind::kDamage);
  // The header of one chunk before the payload and tag of another of equal length.
  const Bytes second = sealed(key(), {.ordinal = 1}, Bytes(text().size(), std::byte{'b'}),
                              {.compression = Compression::kNone});
  Bytes mixed = sealed(key(), {.ordinal = 0}, text(), {.compression = Compression::kNone});
  std::copy(second.begin() + kChunkHeaderBytes, second.end(), mixed.begin() + kChunkHeaderBytes);
  EXPECT_EQ(open_error(key(), mixed), ErrorKind::kDamage);
}

TEST_P(Chunk, DoesNotOpenWithTheOtherCipher) {
  const Cipher other = GetParam() == Cipher::kNone ? Cipher::kAes256Gcm : Cipher::kNone;
  const Bytes chunk = sealed(key(), {.ordinal = 3}, text());
  EXPECT_EQ(open_error(ChunkKey(other, secret_of(1), salt_of(2)), chunk), ErrorKind::kDamage);
}

TEST(EncryptedChunk, DoesNotOpenWithAnotherKey) {
  const ChunkKey right(Cipher::kAes256Gcm, secret_of(1), salt_of(2));
  const ChunkKey wrong(Cipher::kAes256Gcm, secret_of(3), salt_of(2));
  Bytes chunk = sealed(right, {}, Bytes(100));
  EXPECT_EQ(error_kind([&] { wrong.open(chunk); }), ErrorKind::kDamage);
}

TEST(EncryptedChunk, HidesItsContentAndRepeatsNothing) {
  const ChunkKey key(Cipher::kAes256Gcm, secret_of(1), salt_of(2));
  const CompressionChoice none{.compression = Compression::kNone};
  const Bytes plain(64, std::byte{'x'});
  const auto payload = [&](const ChunkKey& with, std::uint32_t ordinal) {
    return hex(ByteView(sealed(with, {ordinal}, plain, none)).subspan(kChunkHeaderBytes, 64));
  };
  EXPECT_EQ(payload(key, 0).find(hex(plain).substr(0, 16)), std::string::npos);
  EXPECT_NE(payload(key, 0), payload(key, 1)) << "the nonce does not depend on the ordinal";
  EXPECT_NE(payload(key, 0), payload({Cipher::kAes256Gcm, secret_of(1), salt_of(3)}, 0));
  // A salt that somebody chose must not lead to the key of another object.
  const ChunkKey here(Cipher::kAes256Gcm, secret_of(1), salt_of(2), "c/1/pack/000001");
  EXPECT_NE(payload(key, 0), payload(here, 0));
  EXPECT_NE(payload({Cipher::kAes256Gcm, secret_of(1), salt_of(2), "c/1/pack/000002"}, 0),
            payload(here, 0));
}

// Not encrypted means readable with nothing but the format document.
TEST(PlainChunk, NeedsNoKey) {
  const Bytes chunk = sealed({Cipher::kNone, secret_of(1), salt_of(2)}, {}, Bytes(100));
  EXPECT_EQ(opened({Cipher::kNone, Secret(), salt_of(2)}, chunk), Bytes(100));
}

// A header that says what cannot be, under a tag that is right.
TEST(PlainChunk, LyingHeaderUnderAValidTagIsDamage) {
  const ChunkKey key(Cipher::kNone, Secret(), salt_of(2));
  const auto resealed = [&](std::size_t at, std::uint32_t value) {
    Bytes chunk = sealed(key, {}, Bytes(100), {.compression = Compression::kNone});
    store_le(chunk.data() + at, value);
    const auto tag = xxh3_128(ByteView(chunk).first(chunk.size() - kChunkTagBytes),
                              ChecksumSeed{load_le<std::uint64_t>(salt_of(2).data())});
    std::copy(tag.begin(), tag.end(), chunk.end() - kChunkTagBytes);
    return chunk;
  };
  const auto kind = [&](std::size_t at, std::uint32_t value) {
    Bytes chunk = resealed(at, value);
    return error_kind([&] { key.open(chunk); });
  };
  EXPECT_EQ(opened(key, resealed(4, 100)), Bytes(100));
  EXPECT_EQ(kind(4, 99), ErrorKind::kDamage);
  EXPECT_EQ(kind(4, kMaxChunkPlainBytes + 1), ErrorKind::kDamage);
  EXPECT_EQ(kind(8, 4), ErrorKind::kDamage) << "unknown compression";
  EXPECT_EQ(kind(8, 1), ErrorKind::kDamage) << "compressed but not shorter";
  EXPECT_EQ(kind(8, 0x100), ErrorKind::kDamage) << "reserved byte";
  EXPECT_EQ(kind(8, 0x10000), ErrorKind::kDamage) << "reserved word";
}

TEST(SealedLength, IsBelievedOnlyWithinTheLimits) {
  Bytes header(kChunkHeaderBytes);
  const auto length = [&](std::uint32_t value, std::size_t limit) {
    store_le(header.data(), value);
    return sealed_length(header, limit);
  };
  const auto kind = [&](std::uint32_t value, std::size_t limit) {
    return error_kind([&] { length(value, limit); });
  };
  constexpr std::uint32_t kMost = kMaxChunkPlainBytes + kChunkOverheadBytes;
  EXPECT_EQ(length(32, 32), 32U);
  EXPECT_EQ(length(kMost, kMost), kMost);
  EXPECT_EQ(kind(31, 100), ErrorKind::kDamage);
  EXPECT_EQ(kind(101, 100), ErrorKind::kDamage);
  EXPECT_EQ(kind(kMost + 1, std::size_t{1} << 30U), ErrorKind::kDamage);
  EXPECT_EQ(kind(0xffffffff, std::size_t{1} << 40U), ErrorKind::kDamage);
  EXPECT_EQ(error_kind([&] { sealed_length(ByteView(header).first(15), 100); }),
            ErrorKind::kDamage);
}

TEST(RandomSalt, Differs) {
  EXPECT_NE(random_salt(), random_salt());
}

// A change here makes every repository unreadable: that is a new format.
TEST(ChunkGolden, Plain) {
  const ChunkKey key(Cipher::kNone, Secret(), salt_of(0x22));
  EXPECT_EQ(hex(sealed(key, {.ordinal = 5}, as_bytes("holdfast"))),
            "28000000080000000000000005000000686f6c64666173741dd35f2f803075505845f3e7b2e33260");
}

TEST(ChunkGolden, Encrypted) {
  const ChunkKey key(Cipher::kAes256Gcm, secret_of(0x11), salt_of(0x22));
  EXPECT_EQ(hex(sealed(key, {.ordinal = 5}, as_bytes("holdfast"))),
            "2800000008000000000000000500000036e4d5d19933db24749580ecb9b95cc9af5f46920aebfbcd");
}

// Written once, must open for ever, whatever later versions of the libraries write.
TEST(ChunkGolden, CompressedOnesOpen) {
  const ChunkKey key(Cipher::kAes256Gcm, secret_of(0x11), salt_of(0x22));
  const Bytes plain = to_bytes(as_bytes(std::string(1000, 'h') + "oldfast"));
  for (const char* chunk :
       {"39000000ef0300000100000006000000cff86532dff315b34240331d1b64aa44149b8ffeaa2e1f29"
        "1f9931032357ed9b9d9bcc3e40758081b4",
        "30000000ef0300000200000007000000ae1d6fef9dcfbf4e2b8ac94ad644f0116e6c1e1a7d2aa23c"
        "f4af01305040c5b5",
        "34000000ef03000003000000080000004dd05d54d81d813f20d7e23dfc4ed1529fea12f6d7a64e72"
        "be151ea03faa738d9f07f8c2"}) {
    EXPECT_EQ(opened(key, from_hex(chunk)), plain);
  }
}

}  // namespace
}  // namespace holdfast
