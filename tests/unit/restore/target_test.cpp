// Room for a restore: for the backup, and for the WAL behind it.
#include "restore/target.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "core/error.h"
#include "support/temp_folder.h"
#include "system/files.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

class RoomForARestore : public testing::Test {
 protected:
  // A backup that fits, with less left beside it than the WAL may take.
  RoomForARestore() {
    const std::uint64_t free = free_bytes(folder_.path());
    backup_.content_bytes = free - std::min(kGiB, free / 2);
  }
  std::vector<SpaceNeed> need(std::uint64_t wal) {
    return space_needed(examine_target(backup_, options(wal)), backup_);
  }
  TargetOptions options(std::uint64_t wal) {
    return {.data_directory = folder_ / "target", .wal_to_replay = wal};
  }
  test::TempFolder folder_;
  BackupInfo backup_;
};

TEST_F(RoomForARestore, IsForTheBackupAlonePassedWithoutWal) {
  const auto needs = need(0);
  ASSERT_EQ(needs.size(), 1U);
  EXPECT_EQ(needs[0].bytes, backup_.content_bytes);
  EXPECT_EQ(needs[0].wal_bytes, 0U);
}

TEST_F(RoomForARestore, IsRefusedWithItsPartsWhereTheWalHasNone) {
  try {
    need(100 * kGiB);
    ADD_FAILURE() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_THAT(error.message(), HasSubstr("for the backup, 2.0 GiB for WAL while it is replayed"));
  }
}

TEST_F(RoomForARestore, CountsSmallWalWholeAndMuchOfItUpToABound) {
  backup_.content_bytes = 1000;
  EXPECT_EQ(need(3).at(0).bytes, 1003U);
  RestoreTarget target{.data_directory = folder_ / "target", .wal_to_replay = 100 * kGiB};
  EXPECT_EQ(space_needed(target, backup_).at(0).wal_bytes, kReplayedWalKept);
  EXPECT_EQ(space_needed(target, backup_).at(0).bytes, kReplayedWalKept + 1000);
}

TEST(GrowthWarnings, AreOfTheDataAndOfADiskOfTheWalAlone) {
  const std::uint64_t wal = 10 * kGiB;
  const SpaceNeed data{.path = "/data", .bytes = 5 * kGiB, .free = 15 * kGiB};
  const SpaceNeed both{
      .path = "/both", .bytes = 7 * kGiB, .wal_bytes = 2 * kGiB, .free = 17 * kGiB};
  const SpaceNeed own{.path = "/wal", .bytes = 2 * kGiB, .wal_bytes = 2 * kGiB, .free = 10 * kGiB};
  EXPECT_TRUE(growth_warnings({data, both, own}, wal).empty());
  EXPECT_TRUE(growth_warnings({own}, 2 * kGiB).empty()) << "all of it is asked for";
  const auto smaller = [](SpaceNeed need) {
    need.free -= 1;
    return need;
  };
  const auto warnings = growth_warnings({smaller(data), smaller(both), smaller(own)}, wal);
  ASSERT_EQ(warnings.size(), 3U);
  EXPECT_THAT(warnings[0], HasSubstr("the data may grow by as much"));
  EXPECT_THAT(warnings[1], HasSubstr("free at /both"));
  EXPECT_THAT(warnings[2], HasSubstr("more than 2.0 GiB of it may lie in pg_wal at a time"));
}

}  // namespace
}  // namespace holdfast
