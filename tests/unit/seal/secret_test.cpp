#include "seal/secret.h"

#include <new>
#include <numeric>

#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::hex;
using seal_testing::secret_of;

Bytes counting(unsigned from, std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(from + i);
  return out;
}

std::string hkdf_hex(const HkdfInput& input, std::size_t size) {
  Bytes out(size);
  hkdf_sha256(input, out);
  return hex(out);
}

TEST(Hmac, MatchesRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(Bytes(20, std::byte{0x0b}), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hkdf, MatchesRfc5869Case1) {
  const Bytes key(22, std::byte{0x0b});
  const Bytes salt = counting(0x00, 13);
  const Bytes info = counting(0xf0, 10);
  EXPECT_EQ(hkdf_hex({.key = key, .salt = salt, .info = as_text(info)}, 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Hkdf, MatchesRfc5869Case2OverSeveralBlocks) {
  const Bytes key = counting(0x00, 80);
  const Bytes salt = counting(0x60, 80);
  const Bytes info = counting(0xb0, 80);
  EXPECT_EQ(
      hkdf_hex({.key = key, .salt = salt, .info = as_text(info)}, 82),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e"
      "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

TEST(Hkdf, MatchesRfc5869Case3WithoutSaltAndInfo) {
  const Bytes key(22, std::byte{0x0b});
  EXPECT_EQ(hkdf_hex({.key = key, .salt = {}, .info = {}}, 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Derive, DependsOnKeySaltAndPurpose) {
  const auto of = [](const Secret& key, std::string_view salt, std::string_view purpose) {
    return hex(derive(key, as_bytes(salt), purpose).view());
  };
  const std::string base = of(secret_of(1), "salt", "purpose");
  EXPECT_EQ(of(secret_of(1), "salt", "purpose"), base);
  EXPECT_NE(of(secret_of(2), "salt", "purpose"), base);
  EXPECT_NE(of(secret_of(1), "Salt", "purpose"), base);
  EXPECT_NE(of(secret_of(1), "salt", "purposE"), base);
  EXPECT_EQ(
      base,
      hkdf_hex({.key = secret_of(1).view(), .salt = as_bytes("salt"), .info = "purpose"}, 32));
}

TEST(SecretTest, RandomOnesDiffer) {
  EXPECT_NE(hex(Secret::random().view()), hex(Secret::random().view()));
}

TEST(SecretTest, TakesThirtyTwoBytesOnly) {
  EXPECT_EQ(seal_testing::error_kind([] { Secret secret(Bytes(31)); }), ErrorKind::kBug);
  EXPECT_EQ(seal_testing::error_kind([] { Secret secret(Bytes(33)); }), ErrorKind::kBug);
}

TEST(SecretTest, IsWipedWhenItGoes) {
  alignas(Secret) std::array<std::byte, sizeof(Secret)> memory{};
  auto* secret = new (memory.data()) Secret(Bytes(Secret::kBytes, std::byte{0xa5}));
  ASSERT_EQ(hex(memory), hex(Bytes(32, std::byte{0xa5})));
  secret->~Secret();
  EXPECT_EQ(hex(memory), hex(Bytes(32)));
}

TEST(Wipe, OverwritesAStringUpToItsCapacity) {
  std::string text(100, 'p');
  const char* memory = text.data();
  text.resize(10);  // the other 90 are still there
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), memory);
  text.resize(text.capacity(), '\0');
  ASSERT_EQ(text.data(), memory);
  EXPECT_EQ(text.find('p'), std::string::npos);
}

}  // namespace
}  // namespace holdfast
