// What the archive proves about the changes between two positions, and that it never says more.
#include "backup/wal_changes.h"

#include <gtest/gtest.h>

#include "repository/recoverable.h"
#include "support/temp_folder.h"
#include "unit/repository/archive_maker.h"

namespace holdfast::test {
namespace {

constexpr TimelineId kTimeline{1};
constexpr std::uint64_t kFirst = 5, kLast = 8;  // segments
constexpr std::uint32_t kRelation = 16'384;
constexpr std::uint8_t kOfAnExtension = 200;

// Four segments in the archive, of which each changes the block with its own number.
class WalChanges : public testing::Test {
 protected:
  void SetUp() override {
    for (std::uint64_t number = kFirst; number <= kLast; ++number) {
      change_block(static_cast<std::uint32_t>(number));
      end_segment();
    }
  }
  void change_block(std::uint32_t number, std::uint8_t manager = 10) {
    maker_.add(
        {.manager = manager, .body = RecordBody().block(0, 1663, 5, kRelation, 0, number).take()});
  }
  void end_segment(std::uint64_t left = 0) { maker_.fill_segment_up_to(left); }
  SegmentIndex index_of(std::uint64_t number) const {
    return index_segment(in_memory(maker_.segment(number)), {kTimeline, number}, kMadeSegmentSize);
  }
  void archive(std::uint64_t number) { archive_.put({kTimeline, number}, index_of(number)); }
  void archive_all_but(std::uint64_t left_out) {
    for (std::uint64_t number = kFirst; number <= kLast; ++number) {
      if (number != left_out) archive(number);
    }
  }
  std::string name_of(std::uint64_t number) const {
    return to_string(SegmentName{kTimeline, number}, kMadeSegmentSize);
  }

  // Why not everything is proven from the first segment's first record up to `end`.
  std::string why_not(Lsn end = at(kLast + 1)) {
    const ArchiveSurvey survey = survey_archive(*archive_.opened, "demo", kNoStop);
    return read_wal_changes(
        *archive_.opened,
        {.path = wal_path_of(*archive_.opened, survey, archive_.history, kTimeline, kNoStop),
         .begin = at(kFirst, 0x28),
         .end = end,
         .wal_directory = pg_wal_.path(),
         .threads = 2},
        changes_, kNoStop);
  }
  std::vector<BlockRun> changed() const {
    return changes_.in_file("base/5/" + std::to_string(kRelation), 0, 1000).value();
  }
  void expect_unproven(const std::string& because) {
    const std::string reason = why_not();
    EXPECT_NE(reason.find(because), std::string::npos) << reason;
    EXPECT_EQ(changed(), std::vector<BlockRun>{}) << "half an answer";
  }

  ArchiveMaker archive_;
  WalMaker maker_{17, kMadeSegmentSize, at(kFirst), kTimeline};
  TempFolder pg_wal_;
  ChangedBlocks changes_{{}};
};

TEST_F(WalChanges, AreThoseOfEveryRecordInBetween) {
  archive_all_but(0);
  EXPECT_EQ(why_not(), "");
  EXPECT_EQ(changed(), (std::vector<BlockRun>{{kFirst, kLast - kFirst + 1}}));
}

TEST_F(WalChanges, TheNewestSegmentMayBeInPgWalStill) {
  change_block(700);
  const Lsn end = maker_.position();
  archive_all_but(0);
  write_text(pg_wal_.path() / name_of(kLast + 1), as_text(maker_.segment(kLast + 1)));
  EXPECT_EQ(why_not(end), "");
  EXPECT_EQ(changed().back(), (BlockRun{700, 1}));
  // It does not reach further than it was written.
  EXPECT_NE(why_not(Lsn{end.value + 8192}), "");
}

TEST_F(WalChanges, AMissingSegmentIsNamed) {
  archive_all_but(6);
  expect_unproven(name_of(6));
}

TEST_F(WalChanges, ASegmentWithoutAnIndexIsNamed) {
  archive_all_but(6);
  archive_.put({kTimeline, 6}, std::nullopt);
  expect_unproven(name_of(6) + " or its index is missing");
}

TEST_F(WalChanges, ADamagedObjectIsNamed) {
  archive_all_but(0);
  Bytes& object = archive_.repository.object(
      names::wal_segment(archive_.place(), {kTimeline, 6}, kMadeSegmentSize));
  object[object.size() / 2] ^= std::byte{1};
  expect_unproven(name_of(6) + " or its index is missing");
}

TEST_F(WalChanges, TheIndexOfAnotherSegmentIsNotTaken) {
  archive_all_but(6);
  archive_.put({kTimeline, 6}, index_of(7));
  expect_unproven("the border in front of " + name_of(6));
}

// Two indexes of two lines: each is sound, but the one does not follow the other.
TEST_F(WalChanges, ASegmentThatDoesNotFollowTheOneBeforeIsNamed) {
  archive_all_but(6);
  SegmentIndex index = index_of(6);
  index.borders.previous_record.value -= 64;
  archive_.put({kTimeline, 6}, index);
  expect_unproven("the border in front of " + name_of(6));
}

TEST_F(WalChanges, MinimalWalProvesNothing) {
  archive_all_but(6);
  SegmentIndex index = index_of(6);
  index.summary.minimal_wal = {at(6, 0x100)};
  archive_.put({kTimeline, 6}, index);
  expect_unproven("wal_level was minimal in " + name_of(6));
}

class WalOfAnExtension : public WalChanges {
 protected:
  void SetUp() override { change_block(kFirst); }
  void end_all_segments() {
    while (maker_.position() < at(kLast + 1)) end_segment();
    archive_all_but(0);
  }
};

TEST_F(WalOfAnExtension, ProvesNothing) {
  end_segment();
  change_block(7, kOfAnExtension);
  end_all_segments();
  expect_unproven("the index of " + name_of(6) +
                  " does not prove everything: a record of resource "
                  "manager 200");
}

TEST_F(WalOfAnExtension, ProvesNothingOverABorderEither) {
  constexpr std::uint64_t kOfItInTheFirst = 32;
  end_segment(kOfItInTheFirst);
  change_block(7, kOfAnExtension);
  end_all_segments();
  expect_unproven("the record across the border in front of " + name_of(6));
}

TEST_F(WalOfAnExtension, ARecordOfPostgresqlOverABorderIsRead) {
  constexpr std::uint64_t kOfItInTheFirst = 32;
  end_segment(kOfItInTheFirst);
  change_block(7);
  end_all_segments();
  EXPECT_EQ(why_not(), "");
  EXPECT_EQ(changed(), (std::vector<BlockRun>{{kFirst, 1}, {7, 1}}));
}

}  // namespace
}  // namespace holdfast::test
