// What an expiry takes of memory does not grow with what is archived.
#include "support/archived_cluster.h"
#include "support/peak_memory.h"
#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

TEST(ExpireSize, TwoThousandBackupsAndAMillionSegmentsTakeLittleMemory) {
  const std::uint64_t backups = is_wide_run() ? 2000 : 200;
  const std::uint64_t segments_each = 500;
  ExpireBed bed;
  bed.options.policy = {.window = kDay * 30, .keep_last = 2};
  bed.options.consent = ExpireConsent::kUnusualShare;
  std::vector<BackupName> before;
  for (std::uint64_t n = 0; n < backups; ++n) {
    const std::uint64_t first = n * segments_each;
    MadeBackup made{.packs = 20, .start = first, .stop = first};
    for (const BackupName& older : before) made.cites.push_back({older, 1});
    before.push_back(bed.backup(made));
    if (before.size() > 10) before.erase(before.begin());
    bed.segments(first, first + segments_each - 1);
    bed.pass(kDay);
  }
  bed.segments(backups * segments_each, backups * segments_each);
  for (int run = 0; run < 3; ++run) {
    const long extra = extra_kib([&] { bed.expire(); });
    RecordProperty("extra_kib_of_run_" + std::to_string(run), std::to_string(extra));
    std::cout << "expire of " << backups << " backups and " << backups * segments_each
              << " segments, run " << run << ": " << extra << " KiB\n";
    if (kMeasuresMemory) {
      EXPECT_LT(extra, 64 << 10);
    }
    bed.pass(bed.options.grace);
  }
  EXPECT_LE(bed.complete().size(), 34U);
  EXPECT_FALSE(bed.has_segment(0));
  EXPECT_TRUE(bed.has_segment((backups - 30) * segments_each));
  bed.expect_whole();
}

}  // namespace
}  // namespace holdfast::test
