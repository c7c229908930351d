#include "seal/key_slot.h"

#include "seal/scrypt.h"
#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::error_kind;
using seal_testing::hex;
using seal_testing::secret_of;

constexpr const char* kCreated = "2026-11-22T02:00:00Z";

std::string unwrapped(const KeySlot& slot, const KeySource& source) {
  const auto key = unwrap(slot, source);
  return key ? hex(key->view()) : "does not open";
}

std::string scrypt_hex(std::string_view passphrase, std::string_view salt, ScryptCost cost) {
  Bytes out(64);
  scrypt(passphrase, as_bytes(salt), cost, out);
  return hex(out);
}

TEST(Scrypt, MatchesRfc7914) {
  EXPECT_EQ(scrypt_hex("", "", {.log_n = 4, .r = 1, .p = 1}),
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
            "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
  EXPECT_EQ(scrypt_hex("password", "NaCl", {.log_n = 10, .r = 8, .p = 16}),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
  EXPECT_EQ(scrypt_hex("pleaseletmein", "SodiumChloride", {.log_n = 14, .r = 8, .p = 1}),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

TEST(Scrypt, AffordsAtMostOneGibibyte) {
  EXPECT_TRUE(is_affordable({.log_n = 15, .r = 8, .p = 1}));
  EXPECT_TRUE(is_affordable({.log_n = 20, .r = 8, .p = 16}));
  EXPECT_FALSE(is_affordable({.log_n = 20, .r = 9, .p = 1}));
  EXPECT_FALSE(is_affordable({.log_n = 21, .r = 8, .p = 1}));
  EXPECT_FALSE(is_affordable({.log_n = 15, .r = 8, .p = 17}));
  EXPECT_FALSE(is_affordable({.log_n = 0, .r = 8, .p = 1}));
  EXPECT_FALSE(is_affordable({.log_n = 15, .r = 0, .p = 1}));
  EXPECT_FALSE(is_affordable({.log_n = 15, .r = 8, .p = 0}));
  EXPECT_FALSE(is_affordable({.log_n = 64, .r = 8, .p = 1}));
  EXPECT_FALSE(is_affordable({.log_n = 15, .r = 0xffffffff, .p = 1}));
}

TEST(KeySlotTest, KeyFileOpensItsSlotOnly) {
  const Secret data_key = Secret::random();
  const KeyFile file{secret_of(1)};
  const KeySlot slot = wrap(data_key, file, "ops", kCreated);
  EXPECT_EQ(slot.kind, "key-file");
  EXPECT_EQ(slot.label, "ops");
  EXPECT_EQ(slot.created, kCreated);
  EXPECT_EQ(slot.id.size(), 8U);
  EXPECT_TRUE(slot.salt.empty());
  EXPECT_EQ(unwrapped(slot, file), hex(data_key.view()));
  EXPECT_EQ(unwrapped(slot, KeyFile{secret_of(2)}), "does not open");
  EXPECT_EQ(unwrapped(slot, Passphrase{"x"}), "does not open");
}

TEST(KeySlotTest, PassphraseOpensItsSlotOnly) {
  const Secret data_key = Secret::random();
  const KeySlot slot = wrap(data_key, Passphrase{"correct horse"}, "", kCreated);
  EXPECT_EQ(slot.kind, "passphrase");
  EXPECT_EQ(slot.salt.size(), 16U);
  EXPECT_EQ(slot.scrypt_log_n, 15U);
  EXPECT_EQ(slot.scrypt_r, 8U);
  EXPECT_EQ(slot.scrypt_p, 1U);
  EXPECT_EQ(unwrapped(slot, Passphrase{"correct horse"}), hex(data_key.view()));
  EXPECT_EQ(unwrapped(slot, Passphrase{"correct horse "}), "does not open");
  EXPECT_EQ(unwrapped(slot, Passphrase{""}), "does not open");
  EXPECT_EQ(unwrapped(slot, KeyFile{secret_of(1)}), "does not open");
}

TEST(KeySlotTest, WrapsOfOneKeyShareNothing) {
  const KeyFile file{secret_of(1)};
  const KeySlot one = wrap(secret_of(9), file, "", kCreated);
  const KeySlot two = wrap(secret_of(9), file, "", kCreated);
  EXPECT_NE(one.id, two.id);
  EXPECT_NE(one.nonce, two.nonce);
  EXPECT_NE(one.wrapped, two.wrapped);
}

TEST(KeySlotTest, ChangedSlotsDoNotOpen) {
  const KeyFile file{secret_of(1)};
  const KeySlot slot = wrap(secret_of(9), file, "", kCreated);
  for (std::size_t at = 0; at < slot.wrapped.size(); ++at) {
    KeySlot bad = slot;
    bad.wrapped[at] ^= std::byte{1};
    EXPECT_EQ(unwrapped(bad, file), "does not open") << at;
  }
  KeySlot bad = slot;
  bad.id = "00000000";
  EXPECT_EQ(unwrapped(bad, file), "does not open") << "the identity is not bound";
  bad = slot;
  bad.nonce[11] ^= std::byte{1};
  EXPECT_EQ(unwrapped(bad, file), "does not open");
}

TEST(KeySlotTest, ImpossibleSlotsAreDamage) {
  const KeyFile file{secret_of(1)};
  const auto kind = [](const KeySlot& slot, const KeySource& source) {
    return error_kind([&] { (void)unwrap(slot, source); });
  };
  KeySlot bad = wrap(secret_of(9), file, "", kCreated);
  bad.wrapped.pop_back();
  EXPECT_EQ(kind(bad, file), ErrorKind::kDamage);
  bad = wrap(secret_of(9), file, "", kCreated);
  bad.nonce.push_back(std::byte{0});
  EXPECT_EQ(kind(bad, file), ErrorKind::kDamage);
  const Passphrase passphrase{"x"};
  const KeySlot good = wrap(secret_of(9), passphrase, "", kCreated);
  bad = good;
  bad.scrypt_log_n = 28;
  EXPECT_EQ(kind(bad, passphrase), ErrorKind::kDamage);
  bad = good;
  bad.scrypt_p = 1'000'000;
  EXPECT_EQ(kind(bad, passphrase), ErrorKind::kDamage);
}

TEST(KeySlotTest, UnknownKindOpensWithNothing) {
  KeySlot slot = wrap(secret_of(9), KeyFile{secret_of(1)}, "", kCreated);
  slot.kind = "kms";
  slot.wrapped.clear();  // whatever such a slot looks like
  EXPECT_EQ(unwrapped(slot, KeyFile{secret_of(1)}), "does not open");
  EXPECT_EQ(unwrapped(slot, Passphrase{"x"}), "does not open");
}

// A slot as it may stand in a repository for years.
TEST(KeySlotTest, GoldenSlotOpens) {
  KeySlot slot;
  slot.id = "0a1b2c3d";
  slot.kind = "passphrase";
  slot.salt = Bytes(16, std::byte{0x33});
  slot.scrypt_log_n = 10;
  slot.scrypt_r = 8;
  slot.scrypt_p = 1;
  slot.nonce = Bytes(12, std::byte{0x44});
  slot.wrapped = from_hex(
      "e2a593419908bcd3600845819acba2ae2fc3f50d1de1136360f271c95f26d0699354fbec24a7499d"
      "4cc76d10842133d3");
  EXPECT_EQ(unwrapped(slot, Passphrase{"holdfast"}), hex(secret_of(0x55).view()));
}

TEST(KeyFileText, RoundTrips) {
  const Secret key = Secret::random();
  const std::string text = format_key_file(key);
  ASSERT_EQ(text.size(), 65U);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(hex(parse_key_file(text, "k").view()), hex(key.view()));
  EXPECT_EQ(hex(parse_key_file(text.substr(0, 64), "k").view()), hex(key.view()));
  EXPECT_EQ(hex(parse_key_file(text.substr(0, 64) + "\r\n", "k").view()), hex(key.view()));
}

TEST(KeyFileText, AcceptsCapitals) {
  EXPECT_EQ(hex(parse_key_file(std::string(62, '0') + "AF", "k").view()).substr(62), "af");
}

TEST(KeyFileText, AnythingElseIsAConfigurationErrorThatTellsNothing) {
  const std::string good(64, '7');
  for (const std::string& bad :
       {std::string(), std::string("\n"), good.substr(1), good + "7", good + "\n\n", " " + good,
        good + " ", good.substr(1) + "g", "0x" + good.substr(2), std::string(64, '\0')}) {
    try {
      parse_key_file(bad, "/etc/holdfast/hot.key");
      ADD_FAILURE() << "accepted: " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfiguration);
      EXPECT_EQ(error.object(), "/etc/holdfast/hot.key");
      EXPECT_EQ(error.message().find("77"), std::string::npos) << "the key is in the message";
    }
  }
}

}  // namespace
}  // namespace holdfast
