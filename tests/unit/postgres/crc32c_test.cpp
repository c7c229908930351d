#include "postgres/crc32c.h"

#include <random>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Crc32c, GivesTheCheckValueOfTheStandard) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c_portable(as_bytes("123456789")), 0xE3069283U);
}

// RFC 3720, appendix B.4.
TEST(Crc32c, GivesTheExamplesOfTheRfc) {
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0})), 0x8A9136AAU);
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0xff})), 0x62A8AB43U);
}

TEST(Crc32c, OfNothingIsZero) {
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, ProcessorAndTableAgreeAtEveryLengthAndAlignment) {
  std::mt19937 random(1);
  Bytes bytes(100);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; from + size <= bytes.size(); ++size) {
      const ByteView part = ByteView(bytes).subspan(from, size);
      ASSERT_EQ(crc32c(part), crc32c_portable(part)) << from << " " << size;
    }
  }
}

TEST(Crc32c, GoesOnFromWhatPrecedes) {
  const ByteView whole = as_bytes("a text that is cut in two");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    EXPECT_EQ(crc32c(whole.subspan(cut), crc32c(whole.first(cut))), crc32c(whole));
    EXPECT_EQ(crc32c_portable(whole.subspan(cut), crc32c_portable(whole.first(cut))),
              crc32c(whole));
  }
}

}  // namespace
}  // namespace holdfast
