// Which WAL summaries prove a way along the timelines. What stands in them, real servers write in
// the suite "incremental".
#include "backup/summary_changes.h"

#include <gtest/gtest.h>

#include "core/bytes.h"
#include "postgres/crc32c.h"
#include "postgres/wal_summary_file.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

const std::stop_token kNoStop;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

Lsn at(std::uint64_t mib) {
  return {mib * kMiB};
}

// A summary in which nothing changed.
std::string empty_summary() {
  Encoder out;
  out.u32(0x652b137b);
  for (int i = 0; i < 6; ++i) out.u32(0);
  out.u32(crc32c(out.view()));
  return std::string(as_text(out.view()));
}

class SummaryChanges : public testing::Test {
 protected:
  // Of `timeline`, from and to so many MiB.
  void summarised(std::uint32_t timeline, std::uint64_t from, std::uint64_t to) {
    const WalSummaryName name{{timeline}, at(from), at(to)};
    test::write_text(folder_ / to_string(name), empty_summary());
  }
  // Why nothing is proven; empty where everything is.
  std::string why_not(std::uint64_t begin, std::uint64_t end) {
    ChangedBlocks changes({});
    return read_summary_changes({.folder = folder_.path(),
                                 .timelines = timelines_,
                                 .begin = at(begin),
                                 .end = at(end),
                                 .patience = {}},
                                changes, kNoStop);
  }

  test::TempFolder folder_;
  TimelineHistory timelines_{.timeline = {3}, .switches = {{{1}, at(10), ""}, {{2}, at(20), ""}}};
};

TEST_F(SummaryChanges, AreProvenAlongTheTimelines) {
  summarised(1, 5, 10);
  summarised(2, 10, 20);
  summarised(3, 20, 30);
  EXPECT_EQ(why_not(7, 30), "");
  EXPECT_NE(why_not(7, 31), "");
  EXPECT_NE(why_not(4, 30), "");
}

TEST_F(SummaryChanges, OfATimelineBehindItsEndProveNothing) {
  summarised(1, 5, 15);
  summarised(2, 12, 20);
  summarised(3, 20, 30);
  EXPECT_NE(why_not(7, 30), "") << "from 10 to 12 on timeline 2";
}

// Found in a review: behind a fork everything from the fork on was asked for.
TEST_F(SummaryChanges, FromBehindAForkOnNeedNoneFromBeforeIt) {
  summarised(3, 24, 30);
  EXPECT_EQ(why_not(25, 30), "");
  summarised(2, 17, 20);
  summarised(3, 20, 24);
  EXPECT_EQ(why_not(18, 30), "");
}

}  // namespace
}  // namespace holdfast
