// Which archived WAL goes, when, and what keeps it.

#include "repository/hold.h"
#include "repository/proof.h"
#include "repository/wal_mark.h"
#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

// A backup a day, each with ten segments behind it: day d starts and stops in segment 10 d.
struct Archive : ExpireBed {
  Archive() { options.policy.window = kDay * 3; }
  BackupName day() {
    const std::uint64_t first = days++ * 10;
    const BackupName name = backup({.start = first, .stop = first});
    segments(first, first + 9);
    pass(kDay);
    return name;
  }
  std::uint64_t oldest() const {
    std::uint64_t number = 0;
    while (!has_segment(number) && number < 1000) ++number;
    return number;
  }
  std::uint64_t days = 0;
};

TEST(ExpireWal, GoesTwoGracePeriodsAfterTheBackupThatNeededIt) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  // Day 6 begins: the window reaches back to the begin of day 3, whose backup is the anchor.
  const ExpireResult first = bed.expire();
  ASSERT_EQ(first.window.size(), 1U);
  EXPECT_EQ(first.window[0].time, bed.time->current - kDay * 3);
  EXPECT_EQ(bed.oldest(), 0U);
  bed.pass(kDay);
  bed.expire();  // days 0 to 2 go; their WAL is marked
  EXPECT_EQ(bed.oldest(), 0U);
  bed.pass(kDay);
  bed.day();
  bed.expire();
  EXPECT_EQ(bed.oldest(), 30U);
  EXPECT_TRUE(bed.has_segment(30) && bed.has_segment(69));
}

TEST(ExpireWal, GoesAlsoWhenARunEachHourWritesNewMarks) {
  Archive bed;
  for (int day = 0; day < 12; ++day) {
    bed.day();
    bed.pass(-kDay);
    for (int hour = 0; hour < 24; ++hour) {
      bed.expire();
      bed.pass(std::chrono::hours(1));
    }
  }
  EXPECT_GE(bed.oldest(), 50U);
  EXPECT_LE(bed.oldest(), 80U);
  EXPECT_LT(list_wal_marks(*bed.opened, {"demo", bed.history}, kNoStop).size(), 30U);
}

TEST(ExpireWal, AKeptOlderBackupKeepsItsOwnWalAlone) {
  Archive bed;
  const BackupName held = bed.day();
  place_hold(*bed.opened,
             {.backup = held, .until = bed.time->current + kDay * 300, .reason = "audit"}, kNoStop);
  for (int i = 0; i < 9; ++i) {
    bed.day();
    bed.expire();
  }
  EXPECT_TRUE(bed.has_segment(0));
  EXPECT_FALSE(bed.has_segment(1));
  EXPECT_TRUE(bed.has_segment(99));
}

TEST(ExpireWal, WithoutAPolicyNoneGoes) {
  Archive bed;
  bed.options.policy = {};
  const BackupName first = bed.day();
  for (int i = 0; i < 3; ++i) bed.day();
  bed.remove(first);
  bed.expire_fully();
  bed.expire_fully();
  EXPECT_EQ(bed.oldest(), 0U);
}

// What belongs to a segment goes with it, timeline history files stay.
TEST(ExpireWal, TakesAlongWhatBelongsToASegment) {
  Archive bed;
  const std::string segment =
      names::wal_segment({"demo", bed.history}, {TimelineId{1}, 4}, kTestSegmentSize);
  const std::vector<std::string> with_it{segment + ".partial-0123", segment + ".00000028.backup-01",
                                         segment + ".part-0123/0001"};
  const std::string history = names::timeline_history({"demo", bed.history}, TimelineId{1});
  const std::string foreign = segment.substr(0, segment.rfind('/')) + "/README";
  for (const std::string& object : with_it) bed.put(object);
  bed.put(history);
  bed.put(foreign);
  for (int i = 0; i < 10; ++i) {
    bed.day();
    bed.expire();
  }
  EXPECT_FALSE(bed.has(segment));
  for (const std::string& object : with_it) EXPECT_FALSE(bed.has(object)) << object;
  EXPECT_TRUE(bed.has(history));
  EXPECT_TRUE(bed.has(foreign));
}

// A copy that began before the mark may rely on the WAL.
TEST(ExpireWal, StaysWhileABackupIsUndecidedThatBeganBeforeTheMark) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  bed.expire();
  const BackupName copy = bed.begin();
  const auto alive = [&] { bed.put_pack(copy, static_cast<std::uint32_t>(bed.days * 100)); };
  bed.pass(kDay);
  alive();
  bed.expire();
  ++bed.days;
  bed.pass(kDay);
  alive();
  bed.expire();
  EXPECT_EQ(bed.oldest(), 0U);
  abort_backup(*bed.opened, copy, "test", kNoStop);
  bed.expire();
  EXPECT_EQ(bed.oldest(), 30U);
}

TEST(ExpireWal, WhatIsYoungerThanTheMarkStays) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  bed.expire_fully();
  bed.objects().erase(
      names::wal_segment({"demo", bed.history}, {TimelineId{1}, 7}, kTestSegmentSize));
  bed.pass(std::chrono::hours(1));
  bed.segments(7, 7);  // archived late
  bed.pass(kDay);
  bed.expire();
  EXPECT_FALSE(bed.has_segment(6));
  EXPECT_TRUE(bed.has_segment(7));
}

// … of what it named, until a readable one is due.
TEST(ExpireWal, AnUnreadableMarkIsNotActedOn) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  bed.expire();
  const auto marks = list_wal_marks(*bed.opened, {"demo", bed.history}, kNoStop);
  ASSERT_EQ(marks.size(), 1U);
  bed.objects().at(names::wal_mark({"demo", bed.history}, 1))[70] ^= std::byte{1};
  bed.pass(kDay);
  EXPECT_NE(bed.expire().wal.kept_because, "");
  EXPECT_TRUE(bed.has_segment(1));
  EXPECT_EQ(list_wal_marks(*bed.opened, {"demo", bed.history}, kNoStop).size(), 2U);
  bed.pass(kDay);
  EXPECT_EQ(bed.expire().wal.kept_because, "");
  EXPECT_FALSE(bed.has_segment(1));
}

TEST(ExpireWal, ADamagedHistoryRecordKeepsAll) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  bed.expire_fully();
  bed.objects().at(names::history("demo", bed.history))[70] ^= std::byte{1};
  bed.pass(kDay);
  EXPECT_NE(bed.expire().wal.kept_because, "");
  EXPECT_EQ(bed.oldest(), 0U);
}

// Timeline 2 is stored and its history file is not: nobody knows where it forked.
TEST(ExpireWal, AMissingTimelineHistoryKeepsAll) {
  Archive bed;
  for (int i = 0; i < 6; ++i) bed.day();
  bed.segments(60, 65, TimelineId{2});
  bed.expire_fully();
  bed.pass(kDay);
  EXPECT_NE(bed.expire().wal.kept_because, "");
  EXPECT_EQ(bed.oldest(), 0U);
}

// A damaged commit record does not say which WAL its backup needs; the manifest does.
TEST(ExpireWal, ADamagedCommitRecordStillProtectsItsWal) {
  Archive bed;
  const BackupName damaged = bed.day();
  bed.objects().at(names::outcome(damaged))[70] ^= std::byte{1};
  for (int i = 0; i < 9; ++i) {
    bed.day();
    bed.expire();
  }
  EXPECT_TRUE(bed.has_segment(0));
  EXPECT_FALSE(bed.has_segment(1));
}

// It stays undecided for ever, which must not keep all other WAL for ever.
TEST(ExpireWal, ABackupThatLostItsCommitRecordKeepsItsOwnWalAlone) {
  Archive bed;
  const BackupName lost = bed.day();
  write_proof(*bed.opened, lost, {.mode = "full", .ok = true}, kNoStop);
  bed.objects().erase(names::outcome(lost));
  ExpireResult result;
  for (int i = 0; i < 9; ++i) {
    bed.day();
    result = bed.expire();
  }
  EXPECT_TRUE(bed.has_segment(0));
  EXPECT_FALSE(bed.has_segment(1));
  EXPECT_EQ(result.wal.kept_because, "");
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_NE(result.warnings[0].find(lost.id.text), std::string::npos) << result.warnings[0];
}

TEST(ExpireWal, ALostBackupOfWhichNobodyKnowsWhatItNeedsKeepsAllAndIsNamed) {
  Archive bed;
  const BackupName lost = bed.day();
  write_proof(*bed.opened, lost, {.mode = "full", .ok = true}, kNoStop);
  bed.objects().erase(names::outcome(lost));
  bed.objects().erase(names::manifest(lost));
  ExpireResult result;
  for (int i = 0; i < 9; ++i) {
    bed.day();
    result = bed.expire();
  }
  EXPECT_EQ(bed.oldest(), 0U);
  EXPECT_NE(result.wal.kept_because.find(lost.id.text), std::string::npos)
      << result.wal.kept_because;
}

}  // namespace
}  // namespace holdfast::test
