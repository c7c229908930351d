// Records that lie across segments, put together from the indexes; and borders that do not fit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repository/wal_border.h"
#include "support/wal_maker.h"

namespace holdfast {
namespace {

using test::RecordBody;
using test::WalMaker;
using State = WalBorder::State;

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kNumber = 5;
constexpr Lsn kStart{kNumber << 20U};

WalMaker maker_with(std::uint64_t left) {
  WalMaker maker(16, kSize, kStart);
  maker.set_previous({kStart.value - 64});
  maker.fill_segment_up_to(left);
  return maker;
}

SegmentIndex index(const WalMaker& maker, std::uint64_t number) {
  return index_segment(in_memory(maker.segment(number)), maker.name(number), kSize);
}

// A commit of `xid` that drops so many relations.
Lsn add_commit(WalMaker& maker, std::uint32_t xid, std::uint32_t drops) {
  Encoder data;
  data.u64(1'000'000);
  data.u32(4);
  data.u32(drops);
  for (std::uint32_t i = 0; i < drops; ++i) {
    data.u32(1663);
    data.u32(5);
    data.u32(20'000 + i);
  }
  RecordBody body;
  body.block(0, 1663, 5, 16'384, 0, 7).main(data.view());
  return maker.add({.manager = 1, .info = 0x80, .xid = xid, .body = body.take()});
}

TEST(WalBorders, ACommitOverTheBorder) {
  for (const std::uint64_t left : {8U, 16U, 24U, 32U, 120U}) {
    WalMaker maker = maker_with(left);
    const Lsn start = add_commit(maker, 700, 3000);
    const Lsn end = maker.position();
    add_commit(maker, 701, 1);
    maker.add_switch();
    WalBorders borders;
    EXPECT_EQ(borders.add(index(maker, kNumber)).state, State::kFirst);
    EXPECT_EQ(borders.open_record(), start);
    SegmentIndex next = index(maker, kNumber + 1);
    const WalBorder border = borders.add(next);
    ASSERT_EQ(border.state, State::kProven) << border.reason;
    EXPECT_FALSE(borders.open_record().valid());
    EXPECT_EQ(border.record.summary.coverage, WalCoverage::kComplete);
    ASSERT_EQ(border.record.transactions.size(), 1U);
    EXPECT_EQ(border.record.transactions[0].xid, 700U);
    EXPECT_EQ(border.record.transactions[0].start, start);
    EXPECT_EQ(border.record.transactions[0].end, end);
    EXPECT_EQ(border.record.file_events.size(), 3000U);
    EXPECT_EQ(border.record.blocks,
              (std::vector<RelationBlocks>{{{1663, 5, 16'384}, 0, {{7, 1}}}}));

    add_border_record(next, border.record);
    ASSERT_EQ(next.transactions.size(), 2U);
    EXPECT_EQ(next.transactions[0].xid, 700U);
    EXPECT_EQ(next.summary.first_finished->start, start);
    EXPECT_GT(next.summary.last_finished->start, start);
    EXPECT_EQ(next.summary.finished_count, 2U);
    EXPECT_EQ(next.summary.oldest_xid, 700U);
    EXPECT_EQ(next.file_events.size(), 3001U);
    EXPECT_EQ(next.blocks.size(), 1U);
    EXPECT_EQ(decode_index(encode_index(next)), next);
  }
}

TEST(WalBorders, SegmentsWithoutAndWithASwitchBetweenThem) {
  WalMaker maker = maker_with(0);
  maker.add_filler(64);
  maker.add_switch();
  maker.add_filler(64);
  maker.fill_segment_up_to(0);
  WalBorders borders;
  EXPECT_EQ(borders.add(index(maker, kNumber)).state, State::kFirst);
  EXPECT_EQ(borders.add(index(maker, kNumber + 1)).state, State::kProven);
  EXPECT_EQ(borders.add(index(maker, kNumber + 2)).state, State::kProven);
  EXPECT_EQ(borders.add(index(maker, kNumber + 3)).state, State::kUnproven) << "nothing is there";
}

TEST(WalBorders, ARecordOverFourSegments) {
  WalMaker maker = maker_with(512);
  add_commit(maker, 700, 250'000);
  maker.add_switch();
  WalBorders borders;
  borders.add(index(maker, kNumber));
  EXPECT_EQ(borders.add(index(maker, kNumber + 1)).state, State::kOpen);
  EXPECT_EQ(borders.add(index(maker, kNumber + 2)).state, State::kOpen);
  const WalBorder border = borders.add(index(maker, kNumber + 3));
  ASSERT_EQ(border.state, State::kProven) << border.reason;
  EXPECT_EQ(border.record.file_events.size(), 250'000U);
  // Who begins in the middle does not know the record's front, and so not what is before it.
  WalBorders late;
  EXPECT_EQ(late.add(index(maker, kNumber + 1)).state, State::kFirst);
  EXPECT_EQ(late.add(index(maker, kNumber + 2)).state, State::kFirst);
  EXPECT_EQ(late.add(index(maker, kNumber + 3)).state, State::kFirst);
  // A missing one in the middle.
  WalBorders gap;
  gap.add(index(maker, kNumber));
  gap.add(index(maker, kNumber + 1));
  EXPECT_EQ(gap.add(index(maker, kNumber + 3)).state, State::kUnproven);
}

TEST(WalBorders, ARecordThatWasNeverCompleted) {
  for (const std::uint64_t pages : {0U, 3U}) {
    WalMaker maker = maker_with(64);
    add_commit(maker, 700, 8000);
    maker.break_last_record_off({kStart.value + kSize.bytes + pages * 8192});
    add_commit(maker, 701, 1);
    maker.add_switch();
    WalBorders borders;
    borders.add(index(maker, kNumber));
    SegmentIndex next = index(maker, kNumber + 1);
    const WalBorder border = borders.add(next);
    ASSERT_EQ(border.state, State::kProven) << border.reason;
    EXPECT_TRUE(border.record.transactions.empty());
    // It names the record that it overwrites, and that must be the one that is open.
    next.borders.overwritten.value += 8;
    borders = WalBorders();
    borders.add(index(maker, kNumber));
    EXPECT_EQ(borders.add(next).state, State::kUnproven);
  }
}

// 8 or 16 bytes before a segment's end, a switch lies across the border and empties the next one.
TEST(WalBorders, ASwitchOverTheBorder) {
  for (const std::uint64_t left : {8U, 16U}) {
    WalMaker maker = maker_with(left);
    maker.add_switch();
    maker.add_filler(64);
    maker.add_switch();
    WalBorders borders;
    borders.add(index(maker, kNumber));
    SegmentIndex emptied = index(maker, kNumber + 1);
    EXPECT_EQ(emptied.summary.coverage, WalCoverage::kEndsEarly);
    const WalBorder border = borders.add(emptied);
    ASSERT_EQ(border.state, State::kProven) << border.reason;
    add_border_record(emptied, border.record);
    EXPECT_EQ(emptied.summary.coverage, WalCoverage::kComplete);
    EXPECT_TRUE(emptied.summary.ends_in_switch);
    const WalBorder after = borders.add(index(maker, kNumber + 2));
    EXPECT_EQ(after.state, State::kProven) << after.reason;
  }
}

TEST(WalBorders, WhatDoesNotFit) {
  WalMaker maker = maker_with(64);
  add_commit(maker, 700, 3000);
  maker.add_filler(64);
  maker.fill_segment_up_to(0);
  maker.add_switch();
  const SegmentIndex one = index(maker, kNumber);
  const SegmentIndex two = index(maker, kNumber + 1);
  const SegmentIndex three = index(maker, kNumber + 2);
  const auto reason = [](const SegmentIndex& before, const SegmentIndex& next) {
    WalBorders borders;
    borders.add(before);
    const WalBorder border = borders.add(next);
    EXPECT_TRUE(border.record.transactions.empty() || border.state == State::kProven);
    return border.state == State::kUnproven ? border.reason : "";
  };
  EXPECT_EQ(reason(one, two), "");
  EXPECT_EQ(reason(two, three), "");
  EXPECT_THAT(reason(one, three), testing::HasSubstr("0/600000 is missing"));
  EXPECT_NE(reason(two, one), "");

  SegmentIndex changed = two;
  changed.borders.head[17] ^= std::byte{1};
  EXPECT_THAT(reason(one, changed), testing::HasSubstr("wrong CRC"));
  changed = two;
  changed.borders.head.pop_back();
  --changed.borders.head_size;
  EXPECT_THAT(reason(one, changed), testing::HasSubstr("bytes instead of"));
  changed = two;
  changed.borders.head_state = WalHead::State::kNone;
  EXPECT_THAT(reason(one, changed), testing::HasSubstr("does not go on"));
  changed = two;
  changed.borders.previous_record.value += 8;
  EXPECT_THAT(reason(one, changed), testing::HasSubstr("follows"));
  changed = one;
  changed.summary.last_record.value += 8;
  EXPECT_THAT(reason(changed, two), testing::HasSubstr("follows"));
  changed = one;
  changed.summary.coverage = WalCoverage::kEndsEarly;
  EXPECT_THAT(reason(changed, two), testing::HasSubstr("ends early"));
  changed = one;
  changed.borders.tail.clear();  // too large to be kept
  changed.borders.tail_size = kMaxWalPieceBytes + 1;
  EXPECT_THAT(reason(changed, two), testing::HasSubstr("too large"));
  changed = three;
  changed.borders.previous_record.value -= 8;
  EXPECT_THAT(reason(two, changed), testing::HasSubstr("follows"));
  changed = three;
  changed.borders.head_state = WalHead::State::kComplete;
  EXPECT_THAT(reason(two, changed), testing::HasSubstr("does not have"));
  changed = two;
  changed.summary.major_version = 17;
  EXPECT_THAT(reason(one, changed), testing::HasSubstr("another major version"));
}

TEST(WalBorders, AfterAGapItBeginsAnew) {
  WalMaker maker = maker_with(64);
  for (int i = 0; i < 3; ++i) {
    add_commit(maker, 700, 3000);
    maker.fill_segment_up_to(64);
  }
  WalBorders borders;
  borders.add(index(maker, kNumber));
  EXPECT_EQ(borders.add(index(maker, kNumber + 2)).state, State::kUnproven);
  EXPECT_EQ(borders.add(index(maker, kNumber + 3)).state, State::kProven);
}

}  // namespace
}  // namespace holdfast
