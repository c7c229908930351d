#include "seal/aead.h"

#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::hex;

struct Vector {
  const char *key, *nonce, *additional, *plain, *cipher, *tag;
};

// Test cases 13, 14 and 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega), on which NIST
// SP 800-38D rests.
constexpr const char* kZeroKey = "0000000000000000000000000000000000000000000000000000000000000000";
constexpr std::array<Vector, 3> kVectors{{
    {kZeroKey, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZeroKey, "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
}};

TEST(Aead, MatchesThePublishedVectors) {
  for (const Vector& vector : kVectors) {
    const Secret key(from_hex(vector.key));
    const Bytes nonce = from_hex(vector.nonce);
    const Bytes additional = from_hex(vector.additional);
    Bytes text = from_hex(vector.plain);
    Bytes tag(kAeadTagBytes);
    const AeadInput in_place{.key = key, .nonce = nonce, .additional = additional, .text = text};
    aead_seal(in_place, text, tag);
    EXPECT_EQ(hex(text), vector.cipher);
    EXPECT_EQ(hex(tag), vector.tag);
    EXPECT_TRUE(aead_open(in_place, tag, text));
    EXPECT_EQ(hex(text), vector.plain);
  }
}

TEST(Aead, RefusesAnotherKeyNonceAdditionalDataTextOrTag) {
  const Secret key = seal_testing::secret_of(1);
  const Secret other_key = seal_testing::secret_of(2);
  const Bytes nonce(12, std::byte{3}), other_nonce(12, std::byte{4});
  const Bytes plain(100, std::byte{5});
  Bytes cipher(100), tag(kAeadTagBytes), out(100);
  aead_seal({.key = key, .nonce = nonce, .additional = as_bytes("a"), .text = plain}, cipher, tag);
  Bytes other_cipher = cipher, other_tag = tag;
  other_cipher[99] ^= std::byte{1};
  other_tag[0] ^= std::byte{1};
  const auto opens = [&](const AeadInput& input, ByteView with) {
    return aead_open(input, with, out);
  };
  const ByteView a = as_bytes("a");
  EXPECT_TRUE(opens({key, nonce, a, cipher}, tag));
  EXPECT_FALSE(opens({other_key, nonce, a, cipher}, tag));
  EXPECT_FALSE(opens({key, other_nonce, a, cipher}, tag));
  EXPECT_FALSE(opens({key, nonce, as_bytes("b"), cipher}, tag));
  EXPECT_FALSE(opens({key, nonce, {}, cipher}, tag));
  EXPECT_FALSE(opens({key, nonce, a, other_cipher}, tag));
  EXPECT_FALSE(opens({key, nonce, a, cipher}, other_tag));
  EXPECT_TRUE(opens({key, nonce, a, cipher}, tag)) << "a refusal spoilt the reused context";
}

}  // namespace
}  // namespace holdfast
