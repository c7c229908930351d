// Containers: damage, a wrong key, another repository and a newer version are different errors.

#include "repository/container.h"

#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;

RepositoryKeys keys_of(Cipher cipher, std::uint8_t fill = 1) {
  RepositoryKeys keys{.cipher = cipher, .data_key = Secret(Bytes(32, std::byte{fill}))};
  keys.repository_id.fill(std::byte{9});
  return keys;
}

class Container : public testing::TestWithParam<Cipher> {
 protected:
  RepositoryKeys keys_ = keys_of(GetParam());
  Bytes seal(ByteView plain) {
    return seal_record(ContainerKind::kBegin, keys_, keys_.cipher, plain);
  }
  Bytes open(const Bytes& object) {
    return open_record(ContainerKind::kBegin, keys_, object, "name");
  }
};
INSTANTIATE_TEST_SUITE_P(Ciphers, Container, testing::Values(Cipher::kNone, Cipher::kAes256Gcm));

TEST_P(Container, RecordsOfEverySizeComeBack) {
  std::mt19937_64 random(1);
  for (const std::size_t size : {0U, 1U, 100U, 1U << 20U, (1U << 20U) + 1U, 3U << 20U}) {
    const Bytes plain = random_bytes(random, size);
    EXPECT_EQ(open(seal(plain)), plain);
  }
}

TEST_P(Container, EveryFlippedBitIsDamageAndNamesTheObject) {
  const Bytes object = seal(as_bytes("some content of a record"));
  for (std::size_t i = 0; i < object.size() * 8; ++i) {
    Bytes changed = object;
    changed[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
    const auto failure = failure_of([&] { open(changed); });
    ASSERT_TRUE(failure) << i;
    EXPECT_EQ(failure->kind(), ErrorKind::kDamage);
    EXPECT_EQ(failure->object(), "name");
  }
}

TEST_P(Container, EveryTruncationIsDamage) {
  const Bytes object = seal(as_bytes("some content of a record"));
  for (std::size_t size = 0; size < object.size(); ++size) {
    EXPECT_EQ(kind_of([&] { open(Bytes(object.begin(), object.begin() + long(size))); }),
              ErrorKind::kDamage);
  }
}

// The same object with another header field and a checksum that is right again.
Bytes with_byte(Bytes object, std::size_t at, std::uint8_t value) {
  object[at] = std::byte{value};
  const ByteView body = ByteView(object).first(object.size() - kContainerTrailerBytes);
  const auto count = load_le<std::uint32_t>(body.data() + body.size());
  const auto trailer = make_trailer(body, count);
  std::copy(trailer.begin(), trailer.end(), object.end() - long(kContainerTrailerBytes));
  return object;
}

TEST_P(Container, AHigherVersionWithARightChecksumIsNewer) {
  const Bytes object = seal(as_bytes("x"));
  EXPECT_EQ(kind_of([&] { open(with_byte(object, 8, 1)); }), ErrorKind::kNewerFormat);
  EXPECT_EQ(kind_of([&] { open(with_byte(object, 10, 99)); }), ErrorKind::kDamage);
  EXPECT_EQ(kind_of([&] { open(with_byte(object, 12, 1)); }), ErrorKind::kDamage);
  EXPECT_EQ(kind_of([&] { open(with_byte(object, 63, 1)); }), ErrorKind::kDamage);
}

TEST_P(Container, AnotherRepositoryIsRefusedAndAnotherKindIsDamage) {
  const Bytes object = seal(as_bytes("x"));
  RepositoryKeys other = keys_;
  other.repository_id.fill(std::byte{8});
  EXPECT_EQ(kind_of([&] { open_record(ContainerKind::kBegin, other, object, "n"); }),
            ErrorKind::kRefused);
  EXPECT_EQ(kind_of([&] { open_record(ContainerKind::kOutcome, keys_, object, "n"); }),
            ErrorKind::kDamage);
}

TEST_P(Container, AuthenticatingGivesTheSamePlacesAsOpening) {
  std::mt19937_64 random(2);
  Bytes object = seal(random_bytes(random, (2U << 20U) + 7));
  Bytes again = object;
  const ContainerHeader header = check_container(object, "n");
  std::vector<std::uint32_t> opened, authenticated;
  open_chunks(object, header, keys_, "n",
              [&](const OpenedChunk& chunk) { opened.push_back(chunk.offset); });
  authenticate_chunks(again, header, keys_, "n",
                      [&](const ChunkPlace& chunk) { authenticated.push_back(chunk.offset); });
  EXPECT_EQ(opened.size(), 3U);
  EXPECT_EQ(opened, authenticated);
}

TEST(ContainerKeys, AWrongKeyIsNotDamage) {
  const Bytes object = seal_record(ContainerKind::kBegin, keys_of(Cipher::kAes256Gcm),
                                   Cipher::kAes256Gcm, as_bytes("x"));
  EXPECT_EQ(kind_of([&] {
              open_record(ContainerKind::kBegin, keys_of(Cipher::kAes256Gcm, 2), object, "n");
            }),
            ErrorKind::kWrongKey);
}

TEST(ContainerKeys, APlainRecordInAnEncryptedRepositoryIsNotBelieved) {
  const RepositoryKeys keys = keys_of(Cipher::kAes256Gcm);
  const Bytes object = seal_record(ContainerKind::kBegin, keys, Cipher::kNone, as_bytes("x"));
  EXPECT_EQ(kind_of([&] { open_record(ContainerKind::kBegin, keys, object, "n"); }),
            ErrorKind::kDamage);
}

// The layout is a promise. A change of the format changes these bytes in the same commit.
TEST(ContainerFormat, GoldenBytes) {
  Bytes object(kContainerHeaderBytes);
  Salt salt;
  salt.fill(std::byte{0xaa});
  RepositoryId id;
  id.fill(std::byte{0xbb});
  encode_header({.kind = ContainerKind::kOutcome, .repository_id = id, .salt = salt}, object);
  EXPECT_EQ(to_hex(object),
            "5b5f934751bdbf15"
            "0000"
            "05"
            "00"
            "00000000"
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "00000000000000000000000000000000");
  const auto trailer = make_trailer(object, 0);
  EXPECT_EQ(to_hex(trailer).substr(0, 32),
            "00000000"
            "00000000"
            "6000000000000000");
}

}  // namespace
}  // namespace holdfast
