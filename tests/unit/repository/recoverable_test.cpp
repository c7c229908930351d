// Which intervals backups and WAL reach, and what lies between.
#include "repository/recoverable.h"

#include <gtest/gtest.h>

#include "archive_maker.h"
#include "repository/recoverable_window.h"

namespace holdfast::test {
namespace {

using Reach = RecoverableInterval::Reach;
using LastCommit = RecoverableInterval::LastCommit;
using Wal = ArchiveMaker::Wal;
constexpr TimelineId kFirst{1}, kSecond{2};

RecoverableLine line_at(const ArchiveMaker& archive, TimelineId timeline = kFirst,
                        std::uint64_t max_heads = 64) {
  const ArchiveSurvey survey = survey_archive(*archive.opened, "demo", kNoStop);
  return recoverable_line(*archive.opened, survey, archive.history, timeline,
                          {.max_heads = max_heads}, kNoStop);
}

TEST(Recoverable, reaches_from_the_first_backup_to_the_last_commit) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 40);
  const BackupName first = archive.backup({.start = 5, .stop = 6});
  const BackupName second = archive.backup({.start = 20, .stop = 20});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 1U);
  const RecoverableInterval& interval = line.intervals[0];
  EXPECT_EQ(interval.from.lsn, at(6, 0x100));
  EXPECT_EQ(interval.from.time, minute(6) - std::chrono::seconds(30));
  EXPECT_EQ(interval.to.lsn, at(40, 0x2040));
  EXPECT_EQ(interval.to.time, minute(40));
  EXPECT_EQ(interval.last_record, at(40, 0x2000));
  EXPECT_EQ(interval.last_commit, LastCommit::kKnown);
  ASSERT_EQ(interval.backups.size(), 2U);
  EXPECT_EQ(interval.backups[0].name, first);
  EXPECT_EQ(interval.backups[1].name, second);
  EXPECT_TRUE(line.gaps.empty());  // segments before the first backup are no loss
  EXPECT_TRUE(line.unusable.empty());
}

TEST(Recoverable, ends_at_a_missing_segment_and_goes_on_with_the_next_backup) {
  ArchiveMaker archive;
  archive.segments(kFirst, 3, 9);
  archive.segments(kFirst, 12, 12);
  archive.segments(kFirst, 14, 30);
  archive.backup({.start = 5, .stop = 5});
  archive.backup({.start = 20, .stop = 21});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 2U);
  EXPECT_EQ(line.intervals[0].to.time, minute(9));
  EXPECT_EQ(line.intervals[1].from.lsn, at(21, 0x100));
  ASSERT_EQ(line.gaps.size(), 1U);
  const RecoveryGap& gap = line.gaps[0];
  EXPECT_EQ(gap.from.lsn, at(9, 0x2040));
  EXPECT_EQ(gap.to->lsn, at(21, 0x100));
  EXPECT_EQ(gap.missing, (std::vector<SegmentRange>{{10, 11}, {13, 13}}));
  EXPECT_EQ(gap.missing_segments, 3U);
  EXPECT_EQ(gap.unreachable_segments, 1U);  // segment 12
}

TEST(Recoverable, wal_behind_a_gap_without_a_backup_is_out_of_reach) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segments(kFirst, 11, 30);
  archive.backup({.start = 2, .stop = 2});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 1U);
  ASSERT_EQ(line.gaps.size(), 1U);
  EXPECT_FALSE(line.gaps[0].to.has_value());
  EXPECT_EQ(line.gaps[0].missing, (std::vector<SegmentRange>{{10, 10}}));
  EXPECT_EQ(line.gaps[0].unreachable_segments, 20U);
}

TEST(Recoverable, a_backup_whose_own_wal_is_missing_is_unusable_unless_it_carries_it) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 4);
  archive.segments(kFirst, 6, 9);
  const BackupName broken = archive.backup({.start = 4, .stop = 6});
  const BackupName carried = archive.backup({.start = 4, .stop = 6, .wal = Wal::kCarried});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.unusable.size(), 1U);
  EXPECT_EQ(line.unusable[0].name, broken);
  EXPECT_NE(line.unusable[0].reason.find("000000010000000000000005"), std::string::npos);
  ASSERT_EQ(line.intervals.size(), 1U);
  EXPECT_EQ(line.intervals[0].reach, Reach::kOwnEnd);
  EXPECT_EQ(line.intervals[0].backups.at(0).name, carried);
  EXPECT_EQ(line.intervals[0].from.lsn, line.intervals[0].to.lsn);
  ASSERT_EQ(line.gaps.size(), 1U);  // 6 to 9 are out of its reach: archive-get stops at 5
  EXPECT_EQ(line.gaps[0].missing, (std::vector<SegmentRange>{{5, 5}}));
}

TEST(Recoverable, a_standalone_backup_goes_on_through_archived_wal) {
  ArchiveMaker archive;
  archive.segments(kFirst, 5, 9);
  archive.backup({.start = 5, .stop = 6, .wal = Wal::kCarried});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 1U);
  EXPECT_EQ(line.intervals[0].reach, Reach::kArchive);
  EXPECT_EQ(line.intervals[0].to.time, minute(9));
}

TEST(Recoverable, without_any_wal_a_standalone_backup_reaches_its_end) {
  ArchiveMaker archive;
  archive.backup({.start = 5, .stop = 6, .wal = Wal::kCarried});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 1U);
  EXPECT_EQ(line.intervals[0].reach, Reach::kOwnEnd);
  EXPECT_TRUE(line.gaps.empty());
}

// A promoted server that archives nothing: the backup brings the history file of its timeline.
TEST(Recoverable, without_its_timelines_history_a_standalone_backup_reaches_its_end) {
  ArchiveMaker archive;
  const BackupName name =
      archive.backup({.start = 5, .stop = 6, .timeline = kSecond, .wal = Wal::kCarried});
  const RecoverableLine line = line_at(archive, kSecond);
  ASSERT_EQ(line.intervals.size(), 1U);
  EXPECT_EQ(line.intervals[0].reach, Reach::kOwnEnd);
  EXPECT_EQ(line.intervals[0].backups[0].name, name);
  // One that needs the archive needs the file there.
  ArchiveMaker other;
  other.segments(kSecond, 5, 6);
  other.backup({.start = 5, .stop = 6, .timeline = kSecond});
  EXPECT_EQ(kind_of([&] { line_at(other, kSecond); }), ErrorKind::kNotFound);
}

TEST(Recoverable, without_any_wal_each_standalone_backup_reaches_its_own_end) {
  ArchiveMaker archive;
  archive.backup({.start = 5, .stop = 6, .wal = Wal::kCarried});
  archive.backup({.start = 8, .stop = 8, .wal = Wal::kCarried});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 2U);
  ASSERT_EQ(line.gaps.size(), 1U);
  EXPECT_EQ(line.gaps[0].unreachable_segments, 0U);
}

TEST(Recoverable, looks_behind_idle_segments_for_the_last_commit) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 10);
  for (std::uint64_t n = 11; n <= 40; ++n) {
    archive.segment(kFirst, n, {.commits = MadeSegment::Commits::kNone});
  }
  archive.backup({.start = 2, .stop = 2});
  EXPECT_EQ(line_at(archive).intervals.at(0).to.time, minute(10));
  const RecoverableInterval limited = line_at(archive, kFirst, 4).intervals.at(0);
  EXPECT_FALSE(limited.to.time.has_value());
  EXPECT_EQ(limited.last_commit, LastCommit::kUnknown);
  EXPECT_EQ(limited.to.lsn, at(40, 0x2040));
}

TEST(Recoverable, a_last_commit_across_the_border_of_two_segments_counts) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.crossing(kFirst, 10);
  archive.backup({.start = 2, .stop = 2});
  const RecoverableInterval interval = line_at(archive).intervals.at(0);
  EXPECT_EQ(interval.to.time, minute(1000));
  EXPECT_EQ(interval.last_commit, LastCommit::kKnown);
  EXPECT_EQ(interval.to.lsn, at(12));
}

TEST(Recoverable, says_that_no_transaction_followed_the_backup) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 5);
  archive.segment(kFirst, 6, {.time = minute(6) - std::chrono::seconds(40)});  // before its stop
  archive.segment(kFirst, 7, {.commits = MadeSegment::Commits::kNone});
  archive.backup({.start = 6, .stop = 6});
  EXPECT_EQ(line_at(archive).intervals.at(0).last_commit, LastCommit::kNone);
}

TEST(Recoverable, segments_without_an_index_leave_the_time_open) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 8);
  archive.segment(kFirst, 9, {.indexed = MadeSegment::Indexed::kNo});
  archive.backup({.start = 2, .stop = 2});
  const RecoverableInterval interval = line_at(archive).intervals.at(0);
  EXPECT_EQ(interval.last_commit, LastCommit::kUnknown);
  EXPECT_EQ(interval.to.time, minute(8));
  EXPECT_EQ(interval.to.lsn, at(10));
  EXPECT_FALSE(interval.last_record.valid());
}

TEST(Recoverable, follows_a_timeline_through_its_fork) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 12);  // the old primary went on to 12
  archive.history_file(kSecond, "1\t0/A00800\tno recovery target specified\n");
  archive.segments(kSecond, 10, 20);
  archive.backup({.start = 3, .stop = 3});
  const RecoverableLine second = line_at(archive, kSecond);
  ASSERT_EQ(second.intervals.size(), 1U);
  EXPECT_EQ(second.intervals[0].segments, (SegmentRange{1, 20}));
  EXPECT_EQ(second.intervals[0].to.time, minute(20));
  EXPECT_EQ(line_at(archive, kFirst).intervals.at(0).segments, (SegmentRange{1, 12}));

  // The segment of the fork counts as the newer timeline has it.
  archive.remove_segment(kSecond, 10);
  EXPECT_EQ(line_at(archive, kSecond).intervals.at(0).segments, (SegmentRange{1, 9}));
}

TEST(Recoverable, a_backup_behind_the_fork_is_of_its_own_timeline_only) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 15);
  archive.history_file(kSecond, "1\t0/A00800\tno recovery target specified\n");
  archive.segments(kSecond, 10, 20);
  archive.backup({.start = 12, .stop = 12});
  EXPECT_EQ(line_at(archive, kFirst).intervals.size(), 1U);
  EXPECT_TRUE(line_at(archive, kSecond).intervals.empty());
}

TEST(Recoverable, a_new_history_goes_on_from_the_old_one_where_it_forked) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 15);
  archive.backup({.start = 3, .stop = 3});
  archive.backup({.start = 12, .stop = 12});  // of the line that was left
  const HistoryName old = archive.history;
  archive.take_over(kFirst, at(10));
  archive.segments(kFirst, 10, 11);
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 1U);
  EXPECT_EQ(line.intervals[0].segments, (SegmentRange{1, 11}));
  EXPECT_EQ(line.intervals[0].backups.size(), 1U);
  EXPECT_EQ(find_segment(line.path, 9)->place.history, old);
  EXPECT_EQ(find_segment(line.path, 10)->place.history, archive.history);

  archive.remove_segment(kFirst, 10);  // the old history's is not of this line
  EXPECT_EQ(line_at(archive).intervals.at(0).segments, (SegmentRange{1, 9}));
}

// Its first backup lies before the fork, and nothing finished in the first segment behind that.
TEST(RecoverableWindow, of_a_taken_over_history_begins_at_its_first_commit_at_the_latest) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 12);
  archive.backup({.start = 5, .stop = 5});
  archive.take_over(kFirst, at(10));
  archive.segment(kFirst, 10, {.commits = MadeSegment::Commits::kNone});
  archive.segments(kFirst, 11, 14);
  const auto window = recoverable_window(*archive.opened, "demo", kNoStop);
  ASSERT_EQ(window.size(), 2U);
  ASSERT_EQ(window[1].timelines.size(), 1U);
  const RecoverableInterval& interval = window[1].timelines[0].intervals.at(0);
  EXPECT_EQ(interval.from.lsn, at(10));
  EXPECT_EQ(interval.from.time, minute(11));
  EXPECT_EQ(interval.to.time, minute(14));
}

// Whatever is archived: its stop is the target of the copy.
TEST(Recoverable, does_not_go_beyond_a_safety_backup) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 40);
  const BackupName full = archive.backup({.start = 5, .stop = 6});
  const BackupName copy =
      archive.backup({.start = 8, .stop = 9, .wal = Wal::kCarried, .of_a_copy = true});
  const RecoverableLine line = line_at(archive);
  ASSERT_EQ(line.intervals.size(), 2U);
  EXPECT_EQ(line.intervals[0].backups.at(0).name, full);
  EXPECT_EQ(line.intervals[0].to.time, minute(40));
  EXPECT_EQ(line.intervals[1].backups.at(0).name, copy);
  EXPECT_EQ(line.intervals[1].reach, Reach::kOwnEnd);
  EXPECT_EQ(line.intervals[1].to.lsn, at(9, 0x100));
}

TEST(Recoverable, a_side_line_is_nobodys_history_until_it_is_taken_over) {
  ArchiveMaker archive;
  const HistoryName source = archive.history;
  const HistoryName side = archive.side_line();
  const auto histories = [&] { return list_histories(*archive.opened, "demo", kNoStop); };
  EXPECT_EQ(histories().at(1).side, (SideLine{1, "recovery of today"}));
  EXPECT_EQ(newest_history(histories()).name, source);
  EXPECT_EQ(line_of(histories(), side).size(), 1U);
  EXPECT_EQ(taken_over_by(histories(), source), nullptr);
  EXPECT_EQ(history_to_write(histories(), "demo", ArchiveMaker::identity(), {}).name, source);
  EXPECT_FALSE(
      register_cluster(*archive.opened, "demo", ArchiveMaker::identity(), kNoStop).created);
  archive.history = side;
  archive.take_over(kFirst, at(7));  // by a server that was restored from it
  const auto now = histories();
  ASSERT_NE(taken_over_by(now, source), nullptr);
  EXPECT_EQ(taken_over_by(now, source)->name, archive.history);
  EXPECT_EQ(newest_history(now).name, archive.history);
  EXPECT_THROW(history_to_write(now, "demo", ArchiveMaker::identity(), {}), Error);
}

}  // namespace
}  // namespace holdfast::test
