// Moments that are left to chance: every one can be planned, and all are as likely.
#include "restore/reachable_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/repository/archive_maker.h"

namespace holdfast::test {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
constexpr TimelineId kFirst{1};

std::vector<MomentRange> ranges(const ArchiveMaker& archive,
                                const RecoveryPlanRequest& request = {}) {
  return reachable_times(*archive.opened, "demo", request, kNoStop);
}

Timestamp end_of_backup_in(std::uint64_t segment) {
  return minute(segment) - seconds(30);
}

bool is_planned(const ArchiveMaker& archive, Timestamp time) {
  const RecoveryTarget target{
      .kind = RecoveryTarget::Kind::kTime, .time = time, .time_text = to_rfc3339(time)};
  const auto failure =
      failure_of([&] { plan_recovery(*archive.opened, "demo", {.target = target}, kNoStop); });
  return !failure;
}

// Segments 10 and 11 are missing; backups end in 5 and 20.
struct WithGap : ArchiveMaker {
  WithGap() {
    segments(kFirst, 1, 9);
    segments(kFirst, 12, 40);
    older = backup({.start = 5, .stop = 5});
    newer = backup({.start = 20, .stop = 20});
  }
  BackupName older, newer;
};

TEST(ReachableTimes, AreWhatAPlanTakesToTheMicrosecond) {
  const WithGap archive;
  const auto found = ranges(archive);
  EXPECT_THAT(found, ElementsAre(MomentRange{end_of_backup_in(5), minute(9)},
                                 MomentRange{end_of_backup_in(20), minute(40)}));
  for (const MomentRange& range : found) {
    EXPECT_FALSE(is_planned(archive, range.from - microseconds(1)));
    EXPECT_TRUE(is_planned(archive, range.from));
    EXPECT_TRUE(is_planned(archive, range.to - microseconds(1)));
    EXPECT_FALSE(is_planned(archive, range.to));
  }
}

TEST(ReachableTimes, OfABackupBeginWithItsEnd) {
  const WithGap archive;
  EXPECT_THAT(ranges(archive, {.backup = archive.newer.id.text}),
              ElementsAre(MomentRange{end_of_backup_in(20), minute(40)}));
  EXPECT_THAT(ranges(archive, {.backup = archive.older.id.text}),
              ElementsAre(MomentRange{end_of_backup_in(5), minute(9)}));
}

TEST(ReachableTimes, AreNoneWhereNoTransactionIsKnownToFollow) {
  ArchiveMaker archive;
  EXPECT_THAT(ranges(archive), IsEmpty());
  archive.segments(kFirst, 1, 9);
  archive.backup({.start = 10, .stop = 10});
  for (std::uint64_t number = 10; number < 13; ++number) {
    archive.segment(kFirst, number, {.commits = MadeSegment::Commits::kNone});
  }
  EXPECT_THAT(ranges(archive), IsEmpty());
  archive.segment(kFirst, 13, {.indexed = MadeSegment::Indexed::kNo});
  EXPECT_THAT(ranges(archive), IsEmpty());
}

TEST(ReachableTimes, CountNoMomentTwiceWhereTheClockWasSetBack) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 8);
  archive.segment(kFirst, 9, {.time = minute(30)});  // then the clock is set right
  archive.segments(kFirst, 12, 40);
  archive.backup({.start = 5, .stop = 5});
  archive.backup({.start = 20, .stop = 20});
  EXPECT_THAT(ranges(archive), ElementsAre(MomentRange{end_of_backup_in(5), end_of_backup_in(20)},
                                           MomentRange{end_of_backup_in(20), minute(40)}));
}

TEST(ReachableTimes, AreDrawnFromAllOfThemWithTheSameLikelihood) {
  const WithGap archive;
  const auto found = ranges(archive);  // 4.5 minutes, and 20.5
  Chance chance(1);
  int in_first = 0;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const Timestamp moment = draw_moment(chance, found);
    const bool first = found[0].from <= moment && moment < found[0].to;
    in_first += first ? 1 : 0;
    EXPECT_TRUE(first || (found[1].from <= moment && moment < found[1].to)) << to_rfc3339(moment);
  }
  EXPECT_NEAR(static_cast<double>(in_first) / kDraws, 4.5 / 25, 0.02);
}

TEST(ReachableTimes, AreDrawnTheSameWithTheSameSeed) {
  const std::vector<MomentRange> one{{minute(1), minute(2)}};
  Chance first(7), again(7), other(8);
  const Timestamp drawn = draw_moment(first, one);
  EXPECT_EQ(draw_moment(again, one), drawn);
  EXPECT_NE(draw_moment(other, one), drawn);
  EXPECT_EQ(draw_moment(first, {{minute(1), minute(1) + microseconds(1)}}), minute(1));
}

}  // namespace
}  // namespace holdfast::test
