#include "core/wal_position.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

constexpr WalSegmentSize k16MiB{16U << 20U};
constexpr WalSegmentSize k1MiB{1U << 20U};
constexpr WalSegmentSize k1GiB{1U << 30U};

TEST(LsnTest, IsWrittenAsPostgresWritesIt) {
  EXPECT_EQ(to_string(Lsn{0x16b374d848}), "16/B374D848");
  EXPECT_EQ(to_string(Lsn{0}), "0/0");
  EXPECT_EQ(to_string(Lsn{~std::uint64_t{0}}), "FFFFFFFF/FFFFFFFF");
}

TEST(LsnTest, IsReadStrictly) {
  EXPECT_EQ(parse_lsn("16/B374D848"), Lsn{0x16b374d848});
  EXPECT_EQ(parse_lsn("16/b374d848"), Lsn{0x16b374d848});
  EXPECT_EQ(parse_lsn("0/0"), Lsn{0});
  EXPECT_EQ(parse_lsn("00000001/00000002"), Lsn{0x100000002});
  for (const char* bad : {"", "/", "1/", "/1", "1", "1/2/3", "123456789/0", "0/123456789", " 1/2",
                          "1/2 ", "-1/2", "+1/2", "0x1/2", "1/G"}) {
    EXPECT_FALSE(parse_lsn(bad)) << bad;
  }
}

TEST(LsnTest, IsOrdered) {
  EXPECT_LT(Lsn{1}, Lsn{2});
  EXPECT_FALSE(Lsn{}.valid());
  EXPECT_TRUE(Lsn{1}.valid());
}

TEST(SegmentSize, IsAPowerOfTwoFromOneMebibyteToOneGibibyte) {
  EXPECT_TRUE(is_valid(k1MiB));
  EXPECT_TRUE(is_valid(k16MiB));
  EXPECT_TRUE(is_valid(k1GiB));
  for (const std::uint32_t bytes : {0U, 1U, 1U << 19U, 3U << 20U, 1U << 31U}) {
    EXPECT_FALSE(is_valid({bytes})) << bytes;
  }
}

// As pg_walfile_name() gives them.
TEST(SegmentNameTest, IsTheFileNameOfPostgres) {
  const auto name = [](std::uint64_t position, WalSegmentSize size) {
    return to_string(segment_of(TimelineId{1}, Lsn{position}, size), size);
  };
  EXPECT_EQ(name(0x1000000, k16MiB), "000000010000000000000001");
  EXPECT_EQ(name(0x1ffffff, k16MiB), "000000010000000000000001");
  EXPECT_EQ(name(0x16b374d848, k16MiB), "0000000100000016000000B3");
  EXPECT_EQ(name(0xff000000, k16MiB), "0000000100000000000000FF");
  EXPECT_EQ(name(0x100000000, k16MiB), "000000010000000100000000");
  EXPECT_EQ(name(0xfff00000, k1MiB), "000000010000000000000FFF");
  EXPECT_EQ(name(0xc0000000, k1GiB), "000000010000000000000003");
  EXPECT_EQ(name(0x100000000, k1GiB), "000000010000000100000000");
}

TEST(SegmentNameTest, RoundTripsWithEverySegmentSize) {
  for (std::uint32_t bytes = 1U << 20U; bytes <= 1U << 30U; bytes *= 2) {
    const WalSegmentSize size{bytes};
    for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{0xffffffff},
                                         std::uint64_t{0x100000000}, ~std::uint64_t{0}}) {
      const SegmentName segment = segment_of(TimelineId{0xabc}, Lsn{position}, size);
      EXPECT_EQ(parse_segment_name(to_string(segment, size), size), segment) << bytes;
      EXPECT_LE(start_of(segment, size).value, position);
      EXPECT_LT(position - start_of(segment, size).value, bytes);
    }
  }
}

TEST(SegmentNameTest, NamesThatCannotExistAreRefused) {
  for (const char* bad :
       {"", "00000001000000000000000", "0000000100000000000000010", "000000000000000000000001",
        "00000001000000000000000a", "0000000100000000000001 0", "000000010000000000000100",
        "0000000200000000.history", "000000010000000000000001.partial"}) {
    EXPECT_FALSE(parse_segment_name(bad, k16MiB)) << bad;
  }
  EXPECT_TRUE(parse_segment_name("000000010000000000000100", k1MiB));
  EXPECT_FALSE(parse_segment_name("000000010000000000000004", k1GiB));
}

TEST(SegmentNameTest, AnUncheckedSegmentSizeIsABugNotACrash) {
  try {
    (void)parse_segment_name("000000010000000000000001", WalSegmentSize{0});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBug);
  }
}

}  // namespace
}  // namespace holdfast
