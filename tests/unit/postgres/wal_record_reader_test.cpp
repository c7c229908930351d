// The records of a segment: over pages and segments, at every kind of end, and damaged.

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "postgres/wal_reader.h"
#include "support/surroundings.h"
#include "support/wal_maker.h"

namespace holdfast {
namespace {

using test::RecordBody;
using test::WalMaker;

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kNumber = 5;
constexpr Lsn kStart{kNumber << 20U};

struct Read {
  std::vector<Lsn> starts;
  WalEnd end = WalEnd::kOpen;
  Lsn position;
  std::string reason;
  WalHead head;
  WalTail tail;
};

Read read(ByteView segment, SegmentName name, WalSegmentSize size = kSize) {
  WalReader reader(in_memory(segment), name, size);
  Read result;
  while (const WalRecord* const record = reader.next()) {
    EXPECT_TRUE(record->decoded);
    EXPECT_LT(record->start, record->end);
    result.starts.push_back(record->start);
  }
  EXPECT_EQ(reader.next(), nullptr) << "it stays at its end";
  result.end = reader.end();
  result.position = reader.position();
  result.reason = reader.reason();
  result.head = reader.head();
  result.tail = reader.tail();
  return result;
}

Read read(const WalMaker& maker, std::uint64_t number = kNumber) {
  return read(maker.segment(number), maker.name(number));
}

WalMaker maker_at(Lsn start = kStart, int version = 15) {
  WalMaker maker(version, kSize, start);
  maker.set_previous({start.value - 64});
  return maker;
}

Lsn add_large(WalMaker& maker, std::size_t bytes) {
  return maker.add({.body = RecordBody().main(Bytes(bytes, std::byte{9})).take()});
}

TEST(WalReader, RecordsInAPageOverPagesAndUpToZeros) {
  for (int version = 13; version <= 18; ++version) {
    WalMaker maker = maker_at(kStart, version);
    std::vector<Lsn> starts{maker.add_filler(32), add_large(maker, 20'000), maker.add_filler(48)};
    EXPECT_EQ(starts[0], Lsn{kStart.value + 40});
    const Read result = read(maker);
    EXPECT_EQ(result.starts, starts);
    EXPECT_EQ(result.end, WalEnd::kZeros);
    EXPECT_EQ(result.position, maker.position());
    EXPECT_EQ(result.head.state, WalHead::State::kNone);
    EXPECT_FALSE(result.tail.start.valid());
  }
}

// A record's header may itself lie on two pages: with 8, 16 and 24 bytes of it on the first one.
TEST(WalReader, HeadersOverPages) {
  for (const std::uint64_t left : {0U, 8U, 16U, 24U, 32U}) {
    WalMaker maker = maker_at();
    while (maker.left_in_page() > left + 320 || maker.position() == kStart) maker.add_filler(256);
    maker.add_filler(maker.left_in_page() - left > 280 ? 64 : 32);
    maker.add_filler(maker.left_in_page() - left);
    ASSERT_EQ(maker.left_in_page() % 8192, left);
    const Lsn over = maker.add_filler(120);
    const Lsn last = maker.add_filler(64);
    const Read result = read(maker);
    ASSERT_GE(result.starts.size(), 2U) << left << ": " << result.reason;
    EXPECT_EQ(result.starts.back(), last) << left;
    EXPECT_EQ(result.starts[result.starts.size() - 2], over);
  }
}

TEST(WalReader, ASwitchEndsTheSegment) {
  WalMaker maker = maker_at();
  maker.add_filler(64);
  const Lsn at = maker.add_switch();
  const Read result = read(maker);
  EXPECT_EQ(result.starts.back(), at);
  EXPECT_EQ(result.end, WalEnd::kSwitch);
  EXPECT_EQ(result.position, Lsn{kStart.value + kSize.bytes});
}

// What comes behind a switch means nothing, not even valid records of before.
TEST(WalReader, NothingIsReadBehindASwitch) {
  WalMaker maker = maker_at();
  maker.add_switch();
  Bytes segment = maker.segment(kNumber);
  WalMaker other = maker_at();
  other.add_filler(32);
  other.add_filler(32);
  const Bytes rest = other.segment(kNumber);
  std::copy(rest.begin() + 64, rest.begin() + 8192, segment.begin() + 64);
  EXPECT_EQ(read(segment, maker.name(kNumber)).starts.size(), 1U);
}

TEST(WalReader, AFullSegmentEndsAtItsEnd) {
  WalMaker maker = maker_at();
  maker.fill_segment_up_to(0);
  const Read result = read(maker);
  EXPECT_EQ(result.end, WalEnd::kSegmentEnd) << result.reason;
  EXPECT_EQ(result.position, Lsn{kStart.value + kSize.bytes});
  EXPECT_FALSE(result.tail.start.valid());
}

// A record over the border: its pieces together are the record.
TEST(WalReader, TailAndHeadAreTheRecord) {
  for (const std::uint64_t left : {8U, 16U, 24U, 32U, 64U}) {
    WalMaker maker = maker_at();
    maker.fill_segment_up_to(left);
    const Lsn over = add_large(maker, 9'000);
    const Lsn next = maker.add_filler(32);
    const Read before = read(maker);
    const Read after = read(maker, kNumber + 1);
    EXPECT_EQ(before.end, WalEnd::kSegmentEnd) << before.reason;
    EXPECT_EQ(before.position, over);
    EXPECT_EQ(before.tail.start, over);
    EXPECT_EQ(before.tail.size, left);
    EXPECT_EQ(after.head.state, WalHead::State::kComplete);
    EXPECT_EQ(after.head.end, next);
    EXPECT_EQ(after.head.size, before.tail.missing);
    EXPECT_EQ(after.starts, std::vector<Lsn>{next});
    Bytes joined = before.tail.bytes;
    EXPECT_FALSE(has_valid_wal_crc(joined));
    joined.insert(joined.end(), after.head.bytes.begin(), after.head.bytes.end());
    EXPECT_TRUE(has_valid_wal_crc(joined)) << left;
  }
}

TEST(WalReader, ARecordOverMoreThanOneSegment) {
  WalMaker maker = maker_at();
  maker.fill_segment_up_to(512);
  add_large(maker, 2'500'000);
  const Lsn next = maker.add_filler(32);
  Bytes joined = read(maker).tail.bytes;
  for (std::uint64_t number = kNumber + 1; number < kNumber + 3; ++number) {
    const Read middle = read(maker, number);
    EXPECT_EQ(middle.head.state, WalHead::State::kGoesOn);
    EXPECT_TRUE(middle.starts.empty());
    EXPECT_EQ(middle.end, WalEnd::kSegmentEnd);
    EXPECT_GT(middle.head.missing, 0U);
    joined.insert(joined.end(), middle.head.bytes.begin(), middle.head.bytes.end());
  }
  const Read last = read(maker, kNumber + 3);
  EXPECT_EQ(last.starts, std::vector<Lsn>{next});
  joined.insert(joined.end(), last.head.bytes.begin(), last.head.bytes.end());
  EXPECT_TRUE(has_valid_wal_crc(joined));
}

// The server crashed in the middle of a record and went on behind the pages that it had written.
TEST(WalReader, ARecordThatWasNeverCompletedIsPassedOver) {
  WalMaker maker = maker_at();
  const Lsn first = maker.add_filler(64);
  add_large(maker, 30'000);
  maker.break_last_record_off({kStart.value + 2 * kWalPageBytes});
  const Lsn last = maker.add_filler(64);
  const Read result = read(maker);
  EXPECT_EQ(result.starts,
            (std::vector<Lsn>{first, {kStart.value + 2 * kWalPageBytes + 24}, last}));
}

TEST(WalReader, ARecordThatWasNeverCompletedOverTheBorder) {
  for (const std::uint64_t pages : {0U, 2U}) {  // of it in the second segment
    WalMaker maker = maker_at();
    maker.fill_segment_up_to(64);
    const Lsn broken = add_large(maker, 50'000);
    maker.break_last_record_off({kStart.value + kSize.bytes + pages * kWalPageBytes});
    const Lsn last = maker.add_filler(64);
    EXPECT_EQ(read(maker).tail.start, broken);
    const Read after = read(maker, kNumber + 1);
    EXPECT_EQ(after.head.state, WalHead::State::kOverwritten);
    ASSERT_EQ(after.starts.size(), 2U) << after.reason;
    EXPECT_EQ(after.starts.back(), last);
  }
}

// The page's flag alone is believed by nobody.
TEST(WalReader, OverwritingMustBeSaidByARecord) {
  WalMaker maker = maker_at();
  const Lsn first = maker.add_filler(64);
  add_large(maker, 30'000);
  maker.break_last_record_off({kStart.value + kWalPageBytes});
  Bytes segment = maker.segment(kNumber);
  // Another record in its place, with a right CRC.
  std::byte* const record = segment.data() + kWalPageBytes + 24;
  record[16] = std::byte{0x20};
  store_le(record + 20, crc32c(ByteView(record, 20), crc32c(ByteView(record + 24, 18))));
  const Read result = read(segment, maker.name(kNumber));
  EXPECT_EQ(result.starts, std::vector<Lsn>{first});
  EXPECT_EQ(result.end, WalEnd::kInvalid);
}

// The first segment of a timeline begins with what the one before it wrote.
TEST(WalReader, PagesOfTheTimelineBefore) {
  WalMaker maker = maker_at();
  while (maker.position() < Lsn{kStart.value + 5 * kWalPageBytes + 100}) maker.add_filler(256);
  maker.set_timeline({4});
  while (maker.position() < Lsn{kStart.value + 9 * kWalPageBytes}) maker.add_filler(256);
  const Bytes segment = maker.segment(kNumber);
  const Read own = read(segment, {{4}, kNumber});
  EXPECT_EQ(own.end, WalEnd::kZeros);
  EXPECT_EQ(own.position, maker.position());
  // Under the old timeline's name, the pages of the new one are not valid.
  const Read old = read(segment, {{1}, kNumber});
  EXPECT_EQ(old.end, WalEnd::kInvalid);
  EXPECT_LT(old.position, own.position);
  // A timeline never goes back.
  Bytes back = segment;
  store_le<std::uint32_t>(back.data() + 7 * kWalPageBytes + 4, 2);
  EXPECT_EQ(read(back, {{4}, kNumber}).end, WalEnd::kInvalid);
}

TEST(WalReader, ZerosMayBeCutOff) {
  WalMaker maker = maker_at();
  maker.add({.body = RecordBody().main(Bytes(100)).take()});
  const Lsn last = maker.add({.body = RecordBody().main(Bytes(3000)).take()});
  const Bytes segment = maker.segment(kNumber);
  std::size_t end = segment.size();
  while (segment[end - 1] == std::byte{0}) --end;
  EXPECT_LT(end, (last.value - kStart.value) + 100) << "the zeros of the record are cut, too";
  const Read result = read(ByteView(segment).first(end), maker.name(kNumber));
  EXPECT_EQ(result.starts.size(), 2U);
  EXPECT_EQ(result.position, maker.position());
}

TEST(WalReader, WhatIsNoSegment) {
  const SegmentName name{{1}, kNumber};
  EXPECT_EQ(read({}, name).end, WalEnd::kZeros);
  EXPECT_EQ(read(Bytes(kSize.bytes), name).end, WalEnd::kZeros);
  EXPECT_EQ(read(Bytes(100, std::byte{1}), name).end, WalEnd::kInvalid);
  EXPECT_EQ(read(Bytes(kSize.bytes + 8192), name).end, WalEnd::kInvalid);
  EXPECT_EQ(read(Bytes(100), name, {12'345}).end, WalEnd::kInvalid);
  WalMaker maker = maker_at();
  maker.add_filler(64);
  Bytes segment = maker.segment(kNumber);
  EXPECT_EQ(read(segment, {{1}, kNumber + 1}).end, WalEnd::kInvalid) << "another address";
  EXPECT_EQ(read(segment, name, {2U << 20U}).end, WalEnd::kInvalid) << "another size";
  store_le<std::uint16_t>(segment.data(), 0xD1FF);
  EXPECT_EQ(read(segment, name).end, WalEnd::kInvalid) << "another version";
  EXPECT_TRUE(read(segment, name).starts.empty());
}

TEST(WalReader, ARecordOfBeforeIsNotTakenForOneOfNow) {
  WalMaker maker = maker_at();
  const Lsn first = maker.add_filler(64);
  maker.set_previous({kStart.value - 4096});  // what it follows is not what is there
  maker.add_filler(64);
  const Read result = read(maker);
  EXPECT_EQ(result.starts, std::vector<Lsn>{first});
  EXPECT_EQ(result.end, WalEnd::kInvalid);
}

// Whatever is changed: no record comes out that was not written, and none with changed bytes.
TEST(WalReader, DamageNeverMakesARecord) {
  const std::uint64_t seed = test::random_seed();
  std::printf("HOLDFAST_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  WalMaker maker = maker_at();
  for (int i = 0; i < 60; ++i) {
    i % 9 == 8 ? add_large(maker, random() % 20'000) : maker.add_filler(32 + 8 * (random() % 30));
  }
  const std::uint64_t used = maker.position().value - kStart.value;
  const Bytes segment = maker.segment(kNumber);
  std::map<Lsn, Bytes> written;  // what is compared is the data, which fills nearly all of each
  WalReader good(in_memory(segment), maker.name(kNumber), kSize);
  while (const WalRecord* const record = good.next()) {
    written.emplace(record->start, to_bytes(record->main_data));
  }
  ASSERT_EQ(written.size(), 60U);
  for (int round = 0; round < 2000; ++round) {
    Bytes bad(segment.begin(), segment.begin() + static_cast<std::ptrdiff_t>(used));
    const std::uint64_t at = random() % used;
    switch (random() % 3) {
      case 0:
        bad[at] ^= static_cast<std::byte>(1U << random() % 8);
        break;
      case 1:
        store_le(bad.data() + std::min(at, used - 8), random());
        break;
      default:
        bad.resize(at);
    }
    WalReader reader(in_memory(bad), maker.name(kNumber), kSize);
    while (const WalRecord* const record = reader.next()) {
      const auto found = written.find(record->start);
      ASSERT_TRUE(found != written.end()) << "seed " << seed << " round " << round;
      ASSERT_EQ(to_bytes(record->main_data), found->second)
          << "seed " << seed << " round " << round;
    }
    ASSERT_NE(reader.end(), WalEnd::kOpen);
    ASSERT_LE(reader.position(), maker.position());
  }
}

// A length that reaches over everything takes no memory that the segment does not have.
TEST(WalReader, AHugeLengthIsNoRecord) {
  WalMaker maker = maker_at();
  const Lsn first = maker.add_filler(64);
  while (maker.position() < Lsn{kStart.value + 3 * kWalPageBytes}) maker.add_filler(64);
  Bytes segment = maker.segment(kNumber);
  store_le<std::uint32_t>(segment.data() + 40 + 64, 0xFFFFFFF0U);
  const Read result = read(segment, maker.name(kNumber));
  EXPECT_EQ(result.starts, std::vector<Lsn>{first});
  EXPECT_EQ(result.end, WalEnd::kInvalid);
}

}  // namespace
}  // namespace holdfast
