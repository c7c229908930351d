// What the archive is compared with before a backup trusts it: the last segments in pg_wal.

#include "repository/wal_compare.h"

#include <fstream>

#include <gtest/gtest.h>

#include "archive_maker.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr TimelineId kLine{1};

struct WalCompareTest : testing::Test {
  void SetUp() override {
    archive.segments(kLine, 1, 20);
    for (std::uint64_t number = 1; number <= 20; ++number) write(number, std::to_string(number));
  }
  void write(std::uint64_t number, const std::string& text) { std::ofstream(path(number)) << text; }
  fs::path path(std::uint64_t number) const {
    return folder.path() / to_string(SegmentName{kLine, number}, kMadeSegmentSize);
  }
  // The number of the one that is other in the archive.
  std::optional<std::uint64_t> other_before(std::uint64_t number) {
    const LocalSegments local{.place = archive.place(),
                              .segment_size = kMadeSegmentSize,
                              .wal_directory = folder.path(),
                              .known_same = &known_same};
    const auto other =
        other_content_before(*archive.opened, local, {kLine, number}, kSegmentsLookedBack, kNoStop);
    return other ? std::optional(other->number) : std::nullopt;
  }

  ArchiveMaker archive;
  TempFolder folder;
  std::set<SegmentName> known_same;
};

TEST_F(WalCompareTest, TellsTheNewestThatIsOther) {
  EXPECT_EQ(other_before(21), std::nullopt);
  known_same.clear();
  write(14, "another line's");
  write(16, "another line's");
  EXPECT_EQ(other_before(21), 16U);
  EXPECT_EQ(other_before(16), 14U);
  EXPECT_EQ(other_before(14), std::nullopt);
}

TEST_F(WalCompareTest, LooksNoFurtherBackThanEightAndNotBehindAMissingOne) {
  write(12, "another line's");
  EXPECT_EQ(other_before(20), 12U);
  EXPECT_EQ(other_before(21), std::nullopt);
  write(17, "another line's");
  known_same.clear();
  fs::remove(path(18));
  EXPECT_EQ(other_before(21), std::nullopt);
  EXPECT_EQ(other_before(2), std::nullopt);
  EXPECT_EQ(other_before(1), std::nullopt);
}

// A backup is what helps against a damaged archive: it must not be kept from being taken.
TEST_F(WalCompareTest, PassesOverWhatCannotBeRead) {
  Bytes& object =
      archive.repository.object(names::wal_segment(archive.place(), {kLine, 19}, kMadeSegmentSize));
  object[object.size() / 2] ^= std::byte{1};
  EXPECT_EQ(other_before(21), std::nullopt);
  EXPECT_FALSE(known_same.contains({kLine, 19}));
  write(17, "another line's");
  known_same.clear();
  EXPECT_EQ(other_before(21), 17U);
}

TEST_F(WalCompareTest, NotesOnlyWhatWasFoundTheSame) {
  archive.remove_segment(kLine, 19);
  EXPECT_EQ(other_before(21), std::nullopt);
  EXPECT_TRUE(known_same.contains({kLine, 20}));
  EXPECT_FALSE(known_same.contains({kLine, 19}));  // not archived yet: by whom it will be is open
  EXPECT_FALSE(known_same.contains({kLine, 12}));  // not looked at
  write(20, "not read again");
  EXPECT_EQ(other_before(21), std::nullopt);
  archive.segment(kLine, 19);
  write(19, "another line's");
  EXPECT_EQ(other_before(21), 19U);
}

}  // namespace
}  // namespace holdfast::test
