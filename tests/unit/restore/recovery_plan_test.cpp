// Which backup, line and timeline a recovery takes, and what is refused before anything is written.
#include "restore/recovery_plan.h"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repository/wal_rollup.h"
#include "unit/repository/archive_maker.h"

namespace holdfast::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = RecoveryTarget::Kind;
using Stop = RecoveryTarget::Stop;
using Wal = ArchiveMaker::Wal;
constexpr TimelineId kFirst{1}, kSecond{2};
constexpr std::chrono::seconds kSecondOfTime{1};

RecoveryTarget to_time(Timestamp time, Stop stop = Stop::kInclusive) {
  return {.kind = Kind::kTime, .time = time, .time_text = to_rfc3339(time), .stop = stop};
}
RecoveryTarget to_lsn(Lsn lsn) {
  return {.kind = Kind::kLsn, .lsn = lsn};
}
RecoveryTarget to_xid(std::uint32_t xid) {
  return {.kind = Kind::kXid, .xid = xid};
}
RecoveryTarget to_name(const std::string& name) {
  return {.kind = Kind::kName, .name = name};
}
RecoveryTarget on_timeline(RecoveryTarget target, RecoveryTimeline timeline) {
  target.timeline = timeline;
  return target;
}

RecoveryPlan plan(const ArchiveMaker& archive, const RecoveryPlanRequest& request) {
  return plan_recovery(*archive.opened, "demo", request, kNoStop);
}
// The refusal's message and hint.
std::string refusal(const ArchiveMaker& archive, const RecoveryPlanRequest& request) {
  const auto failure = failure_of([&] { plan(archive, request); });
  if (!failure) return "not refused";
  EXPECT_EQ(failure->kind(), ErrorKind::kRefused) << failure->message();
  return failure->message() + " | " + failure->hint();
}

// Backups that end in segments 5 and 20 and carry no WAL; segments 1 to 40.
struct Simple : ArchiveMaker {
  Simple() {
    segments(kFirst, 1, 40);
    older = backup({.start = 5, .stop = 5, .label = "older"});
    newer = backup({.start = 20, .stop = 20});
  }
  BackupName older, newer;
};

TEST(RecoveryPlan, takes_the_newest_backup_for_the_end_of_the_archive) {
  const Simple archive;
  const RecoveryPlan found = plan(archive, {});
  EXPECT_EQ(found.backup.name, archive.newer);
  EXPECT_EQ(found.history, archive.history);
  EXPECT_EQ(found.timeline, kFirst);
  EXPECT_EQ(found.point->time, minute(40));
  EXPECT_TRUE(found.needs_archive);
  EXPECT_TRUE(found.warnings.empty());
}

TEST(RecoveryPlan, takes_the_newest_backup_before_a_time) {
  const Simple archive;
  EXPECT_EQ(plan(archive, {to_time(minute(10))}).backup.name, archive.older);
  const Timestamp stop = minute(20) - std::chrono::seconds(30);
  EXPECT_EQ(plan(archive, {to_time(stop - kSecondOfTime)}).backup.name, archive.older);
  EXPECT_EQ(plan(archive, {to_time(stop)}).backup.name, archive.newer);
}

TEST(RecoveryPlan, refuses_a_time_before_the_first_backup_ended) {
  const Simple archive;
  EXPECT_THAT(refusal(archive, {to_time(minute(5) - std::chrono::seconds(31))}),
              AllOf(HasSubstr("before the end of"), HasSubstr(archive.older.id.text),
                    HasSubstr("2026-01-01T00:04:30Z")));
}

TEST(RecoveryPlan, refuses_a_time_that_no_archived_transaction_follows) {
  const Simple archive;
  EXPECT_EQ(plan(archive, {to_time(minute(40) - kSecondOfTime)}).backup.name, archive.newer);
  EXPECT_THAT(refusal(archive, {to_time(minute(40))}),
              AllOf(HasSubstr("2026-01-01T00:40:00Z"), HasSubstr("pg_switch_wal")));
  EXPECT_EQ(plan(archive, {to_time(minute(40), Stop::kExclusive)}).backup.name, archive.newer);
  EXPECT_THAT(refusal(archive, {to_time(minute(40) + kSecondOfTime, Stop::kExclusive)}),
              HasSubstr("pg_switch_wal"));
}

TEST(RecoveryPlan, takes_the_newest_backup_before_a_position) {
  const Simple archive;
  EXPECT_EQ(plan(archive, {to_lsn(at(20, 0xff))}).backup.name, archive.older);
  EXPECT_EQ(plan(archive, {to_lsn(at(20, 0x100))}).backup.name, archive.newer);
  EXPECT_EQ(plan(archive, {to_lsn(at(40, 0x2000))}).backup.name, archive.newer);
  EXPECT_THAT(refusal(archive, {to_lsn(at(40, 0x2001))}),
              AllOf(HasSubstr(to_string(at(40, 0x2000))), HasSubstr("pg_switch_wal")));
  EXPECT_THAT(refusal(archive, {to_lsn(at(5))}), HasSubstr("before the end of"));
}

TEST(RecoveryPlan, keeps_to_the_wanted_backup) {
  const Simple archive;
  EXPECT_EQ(plan(archive, {.target = {}, .backup = "older"}).backup.name, archive.older);
  EXPECT_EQ(plan(archive, {to_time(minute(30)), "older"}).backup.name, archive.older);
  EXPECT_THAT(refusal(archive, {to_time(minute(10)), archive.newer.id.text}),
              AllOf(HasSubstr(archive.newer.id.text), HasSubstr("2026-01-01T00:19:30Z")));
  EXPECT_EQ(kind_of([&] { plan(archive, {.target = {}, .backup = "nonsense"}); }),
            ErrorKind::kNotFound);
}

TEST(RecoveryPlan, goes_to_the_end_of_the_wanted_or_newest_backup) {
  const Simple archive;
  const RecoveryTarget immediate{.kind = Kind::kImmediate};
  EXPECT_EQ(plan(archive, {immediate}).backup.name, archive.newer);
  const RecoveryPlan wanted = plan(archive, {immediate, "older"});
  EXPECT_EQ(wanted.backup.name, archive.older);
  EXPECT_EQ(wanted.point->lsn, at(5, 0x100));
}

// Segments 10 and 11 are missing; backups in 5 and 20.
struct WithGap : ArchiveMaker {
  WithGap() {
    segments(kFirst, 1, 9);
    segments(kFirst, 12, 40);
    older = backup({.start = 5, .stop = 5});
    newer = backup({.start = 20, .stop = 20});
  }
  BackupName older, newer;
};

TEST(RecoveryPlan, refuses_targets_in_a_gap_and_names_what_is_missing) {
  const WithGap archive;
  EXPECT_EQ(plan(archive, {to_time(minute(9) - kSecondOfTime)}).backup.name, archive.older);
  const std::string at_15 = refusal(archive, {to_time(minute(15))});
  EXPECT_THAT(at_15,
              AllOf(HasSubstr("2 WAL segments are missing"), HasSubstr("00000001000000000000000A"),
                    HasSubstr("2026-01-01T00:09:00Z"), HasSubstr("2026-01-01T00:19:30Z")));
  EXPECT_THAT(refusal(archive, {to_lsn(at(15))}), HasSubstr("2 WAL segments are missing"));
  EXPECT_EQ(plan(archive, {to_time(minute(30))}).backup.name, archive.newer);
  EXPECT_THAT(refusal(archive, {.target = {}, .backup = archive.older.id.text}),
              AllOf(HasSubstr("the end of the archive cannot be reached"),
                    HasSubstr("2026-01-01T00:09:00Z")));
}

TEST(RecoveryPlan, refuses_the_end_of_the_archive_behind_a_gap) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segments(kFirst, 11, 12);
  archive.backup({.start = 5, .stop = 5});
  EXPECT_THAT(refusal(archive, {}), HasSubstr("00000001000000000000000A is missing"));
  EXPECT_THAT(refusal(archive, {to_time(minute(11))}), HasSubstr("in a gap"));
}

TEST(RecoveryPlan, a_standalone_backup_without_archive_reaches_its_own_end) {
  ArchiveMaker archive;
  const BackupName name = archive.backup({.start = 5, .stop = 5, .wal = Wal::kCarried});
  const RecoveryPlan latest = plan(archive, {});
  EXPECT_EQ(latest.backup.name, name);
  EXPECT_FALSE(latest.needs_archive);
  EXPECT_THAT(refusal(archive, {to_time(minute(6))}), HasSubstr("no WAL is archived"));
  EXPECT_THAT(refusal(archive, {to_lsn(at(6))}), HasSubstr("no WAL is archived"));
}

TEST(RecoveryPlan, without_archive_each_wanted_standalone_backup_is_an_end_of_its_own) {
  ArchiveMaker archive;
  const BackupName older = archive.backup({.start = 5, .stop = 5, .wal = Wal::kCarried});
  archive.backup({.start = 9, .stop = 9, .wal = Wal::kCarried});
  const RecoveryPlan wanted = plan(archive, {.target = {}, .backup = older.id.text});
  EXPECT_EQ(wanted.backup.name, older);
  EXPECT_FALSE(wanted.needs_archive);
}

TEST(RecoveryPlan, explains_a_backup_without_its_wal) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 4);
  const BackupName name = archive.backup({.start = 4, .stop = 6});
  EXPECT_THAT(refusal(archive, {}),
              AllOf(HasSubstr(name.id.text), HasSubstr("000000010000000000000005")));
  EXPECT_THAT(refusal(archive, {.target = {}, .backup = name.id.text}),
              HasSubstr("000000010000000000000005"));
}

TEST(RecoveryPlan, goes_on_with_a_warning_where_the_last_segments_have_no_index) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 8);
  archive.segment(kFirst, 9, {.indexed = MadeSegment::Indexed::kNo});
  archive.backup({.start = 2, .stop = 2});
  EXPECT_TRUE(plan(archive, {to_time(minute(7))}).warnings.empty());
  const auto two = ElementsAre(HasSubstr("could not be checked"), HasSubstr("make tablespaces"));
  EXPECT_THAT(plan(archive, {to_time(minute(9))}).warnings, two);
  EXPECT_THAT(plan(archive, {to_lsn(at(9, 0x3000))}).warnings, two);
}

// Timeline 2 left 1 in segment 10, whose old primary went on to 15.
struct Forked : ArchiveMaker {
  Forked() {
    segments(kFirst, 1, 15);
    before = backup({.start = 5, .stop = 5});
    old_line = backup({.start = 12, .stop = 12});
    history_file(kSecond, "1\t0/A00800\tno recovery target specified\n");
    segments(kSecond, 10, 30);
    after = backup({.start = 20, .stop = 20, .timeline = kSecond});
  }
  BackupName before, old_line, after;
};

TEST(RecoveryPlan, follows_the_newest_timeline_unless_told) {
  const Forked archive;
  const RecoveryPlan latest = plan(archive, {});
  EXPECT_EQ(latest.timeline, kSecond);
  EXPECT_EQ(latest.backup.name, archive.after);
  const RecoveryPlan early = plan(archive, {to_time(minute(14))});
  EXPECT_EQ(early.timeline, kSecond);
  EXPECT_EQ(early.backup.name, archive.before);  // not the one of the line that was left

  const RecoveryTimeline first{RecoveryTimeline::Kind::kNumber, kFirst};
  EXPECT_EQ(plan(archive, {on_timeline(to_time(minute(14)), first)}).backup.name, archive.old_line);
  EXPECT_THAT(refusal(archive, {on_timeline(to_time(minute(16)), first)}),
              HasSubstr("2026-01-01T00:15:00Z"));
  EXPECT_THAT(refusal(archive, {on_timeline({}, {RecoveryTimeline::Kind::kNumber, TimelineId{7}})}),
              AllOf(HasSubstr("no timeline 7"), HasSubstr("1, 2")));
}

TEST(RecoveryPlan, current_is_the_timeline_of_the_backup) {
  const Forked archive;
  const RecoveryTimeline current{RecoveryTimeline::Kind::kCurrent, {}};
  const RecoveryPlan wanted = plan(archive, {on_timeline({}, current), archive.before.id.text});
  EXPECT_EQ(wanted.timeline, kFirst);
  EXPECT_EQ(wanted.point->time, minute(15));
  EXPECT_EQ(plan(archive, {on_timeline({}, current)}).timeline, kSecond);
  EXPECT_EQ(plan(archive, {on_timeline(to_time(minute(8)), current)}).backup.name, archive.before);
}

TEST(RecoveryPlan, a_backup_of_the_line_that_was_left_needs_its_own_timeline) {
  const Forked archive;
  EXPECT_THAT(
      refusal(archive, {.target = {}, .backup = archive.old_line.id.text}),
      AllOf(HasSubstr("not on the way to timeline 2"), HasSubstr("--target-timeline current")));
}

// Segments 1 to 15, taken over at 10 and gone on to 30 on the same timeline.
struct TakenOver : ArchiveMaker {
  TakenOver() {
    segments(kFirst, 1, 15);
    common = backup({.start = 5, .stop = 5});
    left = backup({.start = 12, .stop = 12});
    old = history;
    take_over(kFirst, at(10));
    for (std::uint64_t n = 10; n <= 30; ++n) segment(kFirst, n, {.time = minute(n + 100)});
  }
  BackupName common, left;
  HistoryName old;
};

TEST(RecoveryPlan, both_lines_stay_recoverable_after_a_take_over) {
  const TakenOver archive;
  const RecoveryPlan newest = plan(archive, {});
  EXPECT_EQ(newest.history, archive.history);
  EXPECT_EQ(newest.backup.name, archive.common);
  EXPECT_EQ(newest.point->time, minute(130));

  const RecoveryPlan older = plan(archive, {.target = {}, .history = archive.old});
  EXPECT_EQ(older.backup.name, archive.left);
  EXPECT_EQ(older.point->time, minute(15));

  const RecoveryPlan by_backup = plan(archive, {.target = {}, .backup = archive.left.id.text});
  EXPECT_EQ(by_backup.history, archive.old);
  EXPECT_EQ(by_backup.warnings.size(), 1U);
  EXPECT_EQ(plan(archive, {.target = {}, .backup = archive.common.id.text}).history,
            archive.history);
  EXPECT_EQ(kind_of([&] { plan(archive, {.target = {}, .history = HistoryName{9, 77}}); }),
            ErrorKind::kNotFound);
}

// Segments of WAL that is not there are joined at their borders by nobody: their indexes say that
// no record crosses.
TEST(RecoveryPlan, finds_a_transaction_and_the_backup_before_it) {
  const Simple archive;
  const RecoveryPlan late = plan(archive, {to_xid(1030)});
  EXPECT_EQ(late.backup.name, archive.newer);
  EXPECT_EQ(late.point->lsn, at(30, 0x1040));
  EXPECT_EQ(late.point->time, minute(30));
  EXPECT_TRUE(late.warnings.empty());
  EXPECT_EQ(plan(archive, {to_xid(1019)}).backup.name, archive.older);
  EXPECT_EQ(plan(archive, {to_xid(1030), "older"}).backup.name, archive.older);
}

TEST(RecoveryPlan, finds_a_transaction_across_the_border_of_two_segments) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.crossing(kFirst, 10);
  archive.backup({.start = 2, .stop = 2});
  const RecoveryPlan found = plan(archive, {to_xid(424242)});
  EXPECT_EQ(found.point->time, minute(1000));
  EXPECT_LT(found.point->lsn, at(12));
  EXPECT_GT(found.point->lsn, at(11));
  EXPECT_THAT(refusal(archive, {to_xid(424243)}), HasSubstr("424242 (committed"));
}

TEST(RecoveryPlan, refuses_a_transaction_that_is_not_there_and_names_its_neighbours) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segment(kFirst, 10, {.xid = 1020});
  archive.segments(kFirst, 21, 21);
  archive.segments(kFirst, 11, 12);
  archive.backup({.start = 2, .stop = 2});
  EXPECT_THAT(refusal(archive, {to_xid(1015)}),
              AllOf(HasSubstr("no end of a transaction 1015"), HasSubstr("1012 (committed"),
                    HasSubstr("1020 (committed"), HasSubstr("pg_switch_wal")));
}

TEST(RecoveryPlan, refuses_a_transaction_before_the_end_of_the_backup) {
  const Simple archive;
  EXPECT_THAT(refusal(archive, {to_xid(1010), archive.newer.id.text}),
              HasSubstr("no end of a transaction 1010"));
  ArchiveMaker long_backup;
  long_backup.segments(kFirst, 1, 9);
  long_backup.backup({.start = 2, .stop = 6});
  EXPECT_THAT(refusal(long_backup, {to_xid(1004)}), HasSubstr("before the end of"));
}

TEST(RecoveryPlan, refuses_a_transaction_behind_a_gap_in_front_of_the_next_backup) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segments(kFirst, 12, 40);
  archive.backup({.start = 5, .stop = 5});
  archive.backup({.start = 14, .stop = 20});
  EXPECT_THAT(refusal(archive, {to_xid(1016)}), HasSubstr("in a gap"));
}

TEST(RecoveryPlan, refuses_what_is_there_twice) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segment(kFirst, 10, {.restore_point = "before", .xid = 1005});
  archive.segments(kFirst, 11, 12);
  archive.segment(kFirst, 13, {.restore_point = "before"});
  archive.segment(kFirst, 14, {.restore_point = "alone"});
  archive.backup({.start = 2, .stop = 2});
  archive.backup({.start = 12, .stop = 12, .label = "late"});
  EXPECT_THAT(refusal(archive, {to_xid(1005)}),
              AllOf(HasSubstr("2 times"), HasSubstr(to_string(at(5, 0x1040))),
                    HasSubstr(to_string(at(10, 0x1040)))));
  EXPECT_THAT(refusal(archive, {to_name("before")}),
              AllOf(HasSubstr("2 times"), HasSubstr("2026-01-01T00:10:10Z")));
  EXPECT_EQ(plan(archive, {to_name("before"), "late"}).point->lsn, at(13, 0x1880));
  EXPECT_EQ(plan(archive, {to_name("alone")}).point->time, minute(14) + std::chrono::seconds(10));
  EXPECT_THAT(
      refusal(archive, {to_name("alonee")}),
      AllOf(HasSubstr("no restore point"), HasSubstr("\"alone\""), Not(HasSubstr("\"before\""))));
}

TEST(RecoveryPlan, does_not_refuse_what_could_not_be_checked) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 8);
  archive.segment(kFirst, 9, {.indexed = MadeSegment::Indexed::kNo});
  archive.segments(kFirst, 10, 20);
  const BackupName first = archive.backup({.start = 2, .stop = 2});
  archive.backup({.start = 12, .stop = 12});
  for (const RecoveryTarget& target : {to_name("unknown"), to_xid(5)}) {
    const RecoveryPlan found = plan(archive, {target});
    EXPECT_THAT(found.warnings,
                ElementsAre(HasSubstr("could not be checked"), HasSubstr("make tablespaces")));
    EXPECT_EQ(found.backup.name, first);  // it may lie in segment 9
  }
  EXPECT_TRUE(plan(archive, {to_xid(1015)}).warnings.empty());

  ArchiveMaker doubtful;
  doubtful.segments(kFirst, 1, 8);
  doubtful.segment(kFirst, 9, {.coverage = WalCoverage::kUndecodable});
  doubtful.backup({.start = 2, .stop = 2});
  const RecoveryPlan unchecked = plan(doubtful, {to_name("unknown")});
  EXPECT_THAT(unchecked.warnings,
              ElementsAre(HasSubstr("could not be checked"), HasSubstr("make tablespaces")));
  EXPECT_EQ(unchecked.unchecked_for_tablespaces, 1U);
}

TEST(RecoveryPlan, finds_a_transaction_through_roll_ups_too) {
  ArchiveMaker archive;
  archive.segments(kFirst, 250, 800);
  archive.backup({.start = 251, .stop = 251});
  const auto listing = list_wal(*archive.opened, archive.place(), kMadeSegmentSize, kNoStop);
  EXPECT_EQ(write_due_rollups(*archive.opened, listing, 100, kNoStop), 2U);
  EXPECT_EQ(plan(archive, {to_xid(1600)}).point->lsn, at(600, 0x1040));
  EXPECT_THAT(refusal(archive, {to_xid(9000)}), HasSubstr("1800 (committed"));
  EXPECT_THAT(refusal(archive, {to_name("nothing")}), HasSubstr("no restore point"));
}

// Counts what is read to find tablespaces.
class IndexesLookedAt final : public Progress {
 public:
  void phase(std::string_view name, std::uint64_t total_bytes) override {
    if (name.find("tablespaces") != std::string_view::npos) total_ = total_bytes;
  }
  void advance(std::uint64_t bytes) override { done_ += bytes; }
  void note(std::string_view) override {}
  std::uint64_t count() const {
    EXPECT_EQ(done_, total_);
    return total_ / kMadeSegmentSize.bytes;
  }

 private:
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> done_ = 0;
};

// Found in a review: planning read two indexes for each segment behind the backup.
TEST(RecoveryPlan, finds_tablespaces_through_roll_ups) {
  ArchiveMaker archive;
  archive.segments(kFirst, 250, 599);
  archive.segment(kFirst, 600, {.tablespace = "/srv/space"});
  archive.segments(kFirst, 601, 800);
  archive.backup({.start = 251, .stop = 251});
  const auto listing = list_wal(*archive.opened, archive.place(), kMadeSegmentSize, kNoStop);
  ASSERT_EQ(write_due_rollups(*archive.opened, listing, 100, kNoStop), 2U);
  IndexesLookedAt to_the_end;
  EXPECT_THAT(plan(archive, {.target = {}, .progress = to_the_end}).new_tablespaces,
              ElementsAre("/srv/space"));
  EXPECT_EQ(to_the_end.count(), 4U + 1U + 33U);  // 252 to 255, 600, 768 to 800
  EXPECT_THAT(plan(archive, {.target = to_time(minute(600))}).new_tablespaces,
              ElementsAre("/srv/space"));
  IndexesLookedAt to_a_time;
  EXPECT_THAT(
      plan(archive, {.target = to_time(minute(598)), .progress = to_a_time}).new_tablespaces,
      ElementsAre());
  EXPECT_EQ(to_a_time.count(), 4U + 1U);  // 252 to 255, 599
  EXPECT_THAT(plan(archive, {.target = to_lsn(at(600, 0x700))}).new_tablespaces, ElementsAre());
}

TEST(RecoveryPlan, a_cluster_that_is_not_there_is_not_found) {
  const ArchiveMaker archive;
  EXPECT_EQ(kind_of([&] { plan_recovery(*archive.opened, "other", {}, kNoStop); }),
            ErrorKind::kNotFound);
  EXPECT_THAT(refusal(archive, {}), HasSubstr("no backup"));
}

}  // namespace
}  // namespace holdfast::test
