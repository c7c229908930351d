#include "wal/drop_ledger.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

constexpr WalSegmentSize kSize{16U << 20U};

class DropLedgerTest : public testing::Test {
 protected:
  void drop(std::uint64_t number, std::uint32_t timeline = 1) {
    DropLedger(folder_.path())
        .drop({.segment = to_string(SegmentName{{timeline}, number}, kSize),
               .segment_size = kSize,
               .host = "here",
               .reason = "away",
               .at = Timestamp{std::chrono::seconds(1'700'000'000 + number)}});
  }
  std::vector<DropEntry> entries() { return DropLedger(folder_.path()).entries(); }

  TempFolder folder_;
};

TEST_F(DropLedgerTest, WhatFollowsGoesOnWithTheEntryUntilItIsRecorded) {
  EXPECT_TRUE(DropLedger(folder_.path()).empty());
  for (const std::uint64_t number : {254, 255, 256}) drop(number);  // over the border of a log
  ASSERT_EQ(entries().size(), 1U);
  EXPECT_EQ(entries()[0].what.first, "0000000100000000000000FE");
  EXPECT_EQ(entries()[0].what.last, "000000010000000100000000");
  EXPECT_EQ(entries()[0].what.segments, 3U);
  EXPECT_LT(entries()[0].what.from, entries()[0].what.to);
  DropLedger(folder_.path()).recorded(entries()[0].what, "file:///a");
  drop(257);
  ASSERT_EQ(entries().size(), 2U);
  EXPECT_EQ(entries()[0].recorded_in, std::vector<std::string>{"file:///a"});
  EXPECT_EQ(entries()[1].what.segments, 1U);
}

TEST_F(DropLedgerTest, TheSameAgainIsOneAndAnotherTimelineOrAHoleIsAnother) {
  drop(5);
  drop(5);
  EXPECT_EQ(entries().at(0).what.segments, 1U);
  drop(7);
  drop(8, 2);
  EXPECT_EQ(entries().size(), 3U);
}

TEST_F(DropLedgerTest, OwesEachFileOnceUntilItIsPaid) {
  DropLedger ledger(folder_.path());
  ledger.owe("00000002.history");
  ledger.owe("00000002.history");
  EXPECT_EQ(ledger.owed(), std::vector<std::string>{"00000002.history"});
  ledger.paid("00000002.history");
  EXPECT_TRUE(ledger.owed().empty());
  EXPECT_FALSE(ledger.empty());
}

TEST_F(DropLedgerTest, NothingIsDroppedWhereTheListCannotBeRead) {
  drop(5);
  write_text(folder_ / "wal" / "dropped.json", "{\"dropped\":");
  EXPECT_THROW(drop(6), Error);
  EXPECT_THROW(entries(), Error);
}

TEST(WalBacklog, WithoutALimitItIsNeverTooMuch) {
  EXPECT_FALSE((WalBacklog{.waiting = 1'000'000}).too_much());
  EXPECT_FALSE((WalBacklog{.waiting = 5, .allowed = 5}).too_much());
  EXPECT_TRUE((WalBacklog{.waiting = 6, .allowed = 5}).too_much());
}

}  // namespace
}  // namespace holdfast::test
