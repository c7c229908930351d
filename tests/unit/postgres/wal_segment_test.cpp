#include "postgres/wal_segment.h"

#include <gtest/gtest.h>

#include "postgres/crc32c.h"

namespace holdfast {
namespace {

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kSystem = 0xF123456789ABCDEFU;
constexpr SegmentName kName{{3}, 5};
constexpr Lsn kEnd{6U << 20U};
constexpr std::size_t kPages = (1U << 20U) / kWalPageBytes;

void put_header(Bytes& segment, std::size_t page, std::uint32_t timeline) {
  std::byte* const at = segment.data() + page * kWalPageBytes;
  store_le<std::uint16_t>(at, 0xD110);
  store_le<std::uint16_t>(at + 2, page == 0 ? 2 : 0);
  store_le<std::uint32_t>(at + 4, timeline);
  store_le<std::uint64_t>(at + 8, (5U << 20U) + page * kWalPageBytes);
  if (page != 0) return;
  store_le<std::uint64_t>(at + 24, kSystem);
  store_le<std::uint32_t>(at + 32, kSize.bytes);
  store_le<std::uint32_t>(at + 36, kWalPageBytes);
}

Bytes make_segment() {
  Bytes segment(kSize.bytes, std::byte{0x5a});
  for (std::size_t page = 0; page < kPages; ++page) put_header(segment, page, 3);
  return segment;
}

std::optional<std::string> check(ByteView segment, Lsn end = kEnd) {
  return check_wal_pages(segment, kName, kSize, kSystem, end);
}

Bytes switch_record() {
  Bytes record(24);
  store_le<std::uint32_t>(record.data(), 24);
  store_le<std::uint64_t>(record.data() + 8, 0x500028);
  record[16] = std::byte{0x40};
  store_le(record.data() + 20, crc32c(ByteView(record).first(20)));
  return record;
}

// Ends with `record` at `offset`, then zeros, page headers among them.
Bytes segment_that_ends(std::size_t offset, ByteView record) {
  Bytes segment = make_segment();
  std::fill(segment.begin() + static_cast<std::ptrdiff_t>(offset), segment.end(), std::byte{0});
  std::copy(record.begin(), record.end(), segment.begin() + static_cast<std::ptrdiff_t>(offset));
  return segment;
}

TEST(WalSegmentHeader, IsRead) {
  const auto header = parse_wal_segment_header(make_segment());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->magic, 0xD110);
  EXPECT_EQ(header->major_version, 15);
  EXPECT_EQ(header->timeline, TimelineId{3});
  EXPECT_EQ(header->address, Lsn{5U << 20U});
  EXPECT_EQ(header->system_identifier, kSystem);
  EXPECT_EQ(header->segment_size, kSize);
}

TEST(WalSegmentHeader, OfALaterVersionIsReadWithoutAVersion) {
  Bytes segment = make_segment();
  store_le<std::uint16_t>(segment.data(), 0xD1FF);
  const auto header = parse_wal_segment_header(segment);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->major_version, 0);
  EXPECT_TRUE(check(segment));
}

TEST(WalSegmentHeader, IsNotSeenInOtherBytes) {
  EXPECT_FALSE(parse_wal_segment_header({}));
  EXPECT_FALSE(parse_wal_segment_header(Bytes(kWalPageBytes)));
  const Bytes good = make_segment();
  EXPECT_FALSE(parse_wal_segment_header(ByteView(good).first(39)));
  EXPECT_FALSE(parse_wal_segment_header(ByteView(good).subspan(kWalPageBytes)));  // short header
  const auto without = [&](std::size_t at, std::uint32_t value) {
    Bytes bad = good;
    store_le(bad.data() + at, value);
    return !parse_wal_segment_header(bad);
  };
  EXPECT_TRUE(without(4, 0));                 // timeline
  EXPECT_TRUE(without(8, 0x500100));          // not at a segment's start
  EXPECT_TRUE(without(32, 0));                // segment size
  EXPECT_TRUE(without(32, (1U << 20U) + 1));  // segment size
  EXPECT_TRUE(without(36, 4096));             // page size
}

TEST(WalPages, OfAGoodSegmentAreGood) {
  EXPECT_EQ(check(make_segment()), std::nullopt);
}

TEST(WalPages, EveryByteOfEveryHeaderCounts) {
  const Bytes good = make_segment();
  for (std::size_t page = 0; page < kPages; ++page) {
    // Bytes left of a record (16 to 20, then padding) are the records' business.
    for (std::size_t at = 0; at < (page == 0 ? 40U : 16U); ++at) {
      if (at >= 16 && at < 24) continue;
      if (at == 2) continue;  // known flags may differ; see below
      Bytes bad = good;
      bad[page * kWalPageBytes + at] ^= std::byte{0x80};
      ASSERT_TRUE(check(bad)) << page << " " << at;
    }
  }
}

TEST(WalPages, UnknownFlagsAndALongHeaderInsideAreWrong) {
  Bytes bad = make_segment();
  bad[3 * kWalPageBytes + 2] = std::byte{0x10};
  EXPECT_TRUE(check(bad));
  bad = make_segment();
  bad[3 * kWalPageBytes + 2] = std::byte{0x02};
  EXPECT_TRUE(check(bad));
  bad[3 * kWalPageBytes + 2] = std::byte{0x0D};  // continued record, removable, overwritten
  EXPECT_FALSE(check(bad));
}

TEST(WalPages, MayBeOfAnOlderTimelineUpToAFork) {
  Bytes segment = make_segment();
  for (std::size_t page = 0; page < 10; ++page) put_header(segment, page, 2);
  EXPECT_EQ(check(segment), std::nullopt);
  put_header(segment, 20, 2);  // back again
  EXPECT_TRUE(check(segment));
}

TEST(WalPages, OfANewerTimelineAreWrong) {
  Bytes segment = make_segment();
  put_header(segment, kPages - 1, 4);
  EXPECT_TRUE(check(segment));
}

TEST(WalPages, AreLookedAtUpToTheEndOnly) {
  Bytes segment = make_segment();
  const Lsn end{(5U << 20U) + 10 * kWalPageBytes};
  segment[10 * kWalPageBytes] = std::byte{0};
  EXPECT_EQ(check(segment, end), std::nullopt);
  EXPECT_TRUE(check(segment, Lsn{end.value + 1}));
  EXPECT_EQ(check(segment, Lsn{1U << 20U}), std::nullopt);  // ends before this segment
}

TEST(WalPages, OfATruncatedSegmentAreWrong) {
  const Bytes segment = make_segment();
  EXPECT_TRUE(check(ByteView(segment).first(kSize.bytes - 1)));
  EXPECT_TRUE(check({}));
  const Lsn end{(5U << 20U) + 2 * kWalPageBytes + 100};
  EXPECT_EQ(check(ByteView(segment).first(2 * kWalPageBytes + 100), end), std::nullopt);
  EXPECT_TRUE(check(ByteView(segment).first(2 * kWalPageBytes + 99), end));
  EXPECT_TRUE(check(ByteView(segment).first(2 * kWalPageBytes + 10),
                    Lsn{(5U << 20U) + 2 * kWalPageBytes + 10}));  // inside a header
}

TEST(WalPages, OfAnotherSegmentAreWrong) {
  const Bytes segment = make_segment();
  EXPECT_TRUE(check_wal_pages(segment, {{3}, 6}, kSize, kSystem, Lsn{7U << 20U}));
  EXPECT_TRUE(check_wal_pages(segment, {{2}, 5}, kSize, kSystem, kEnd));
  EXPECT_FALSE(check_wal_pages(segment, {{4}, 5}, kSize, kSystem, kEnd));  // older: a fork later
  EXPECT_TRUE(check_wal_pages(segment, kName, kSize, kSystem + 1, kEnd));
  EXPECT_TRUE(check_wal_pages(segment, kName, WalSegmentSize{2U << 20U}, kSystem, Lsn{11U << 20U}));
}

TEST(WalPages, OfZerosAreRightAfterASwitchOnly) {
  const Bytes record = switch_record();
  for (const std::size_t offset : {std::size_t{40}, 4 * kWalPageBytes + 24,
                                   4 * kWalPageBytes + 4000, 5 * kWalPageBytes - 24}) {
    EXPECT_EQ(check(segment_that_ends(offset, record)), std::nullopt) << offset;
    Bytes wrong = record;
    wrong[12] ^= std::byte{1};  // its CRC does not match
    EXPECT_TRUE(check(segment_that_ends(offset, wrong))) << offset;
    wrong = record;
    wrong[16] = std::byte{0x50};  // another record of the same manager, CRC good
    store_le(wrong.data() + 20, crc32c(ByteView(wrong).first(20)));
    EXPECT_TRUE(check(segment_that_ends(offset, wrong))) << offset;
  }
  EXPECT_TRUE(check(segment_that_ends(4 * kWalPageBytes, {})));
  Bytes more = segment_that_ends(4 * kWalPageBytes + 4000, record);
  more[8 * kWalPageBytes + 77] = std::byte{1};  // something behind the switch
  EXPECT_TRUE(check(more));
}

TEST(WalPages, OfZerosAreRightAfterASwitchAcrossAPageBorder) {
  const Bytes record = switch_record();
  Bytes segment = segment_that_ends(5 * kWalPageBytes - 8, ByteView(record).first(8));
  put_header(segment, 5, 3);
  segment[5 * kWalPageBytes + 2] = std::byte{1};
  std::copy(record.begin() + 8, record.end(),
            segment.begin() + static_cast<std::ptrdiff_t>(5 * kWalPageBytes + 24));
  EXPECT_EQ(check(segment), std::nullopt);
}

// Then the whole segment is empty, but for the record's end.
TEST(WalPages, OfZerosAreRightAfterASwitchAcrossASegmentBorder) {
  const Bytes record = switch_record();
  for (const std::size_t here : {std::size_t{8}, std::size_t{16}}) {
    Bytes segment = segment_that_ends(40, ByteView(record).last(here));
    store_le<std::uint16_t>(segment.data() + 2, 3);  // long header, begins inside a record
    store_le(segment.data() + 16, static_cast<std::uint32_t>(here));
    EXPECT_EQ(check(segment), std::nullopt) << here;
    const auto is_wrong = [&](std::size_t at, std::byte value) {
      Bytes wrong = segment;
      wrong[at] = value;
      return check(wrong).has_value();
    };
    EXPECT_TRUE(is_wrong(2, std::byte{2}));                  // not inside a record
    EXPECT_TRUE(is_wrong(16, std::byte{0}));                 // nothing left of it
    EXPECT_TRUE(is_wrong(16, std::byte{24}));                // all of it
    EXPECT_TRUE(is_wrong(40 + here - 8, std::byte{0x50}));   // another kind of record
    EXPECT_TRUE(is_wrong(40 + here - 7, std::byte{1}));      // of another manager
    EXPECT_TRUE(is_wrong(kWalPageBytes - 1, std::byte{1}));  // something behind it
  }
}

}  // namespace
}  // namespace holdfast
