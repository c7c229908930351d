// Expiry beside what may run at the same moment: whoever wins, no backup that is listed lacks
// anything.
#include <thread>

#include "repository/hold.h"
#include "repository/tombstone.h"
#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

constexpr int kRounds = 25;

// A full backup, one that cites it, and the last good one, with a policy that keeps this one alone.
struct Going : ExpireBed {
  Going() {
    options.policy = {.keep_last = 1};
    options.grace = std::chrono::milliseconds(0);
    parent = backup({.packs = 3});
    pass(kDay);
    child = backup({.packs = 1, .cites = {{parent, 2}}, .start = 1, .stop = 1});
    pass(kDay);
    last = backup({.packs = 1, .start = 2, .stop = 2});
    segments(0, 3);
    pass(kDay);
  }
  // A run of another host; in a thread of its own, where nothing may be thrown.
  void expire_as(const std::string& host) {
    ExpireOptions as = options;
    as.host = host;
    const auto failure = failure_of([&] { run_expire(*opened, as, kNoStop); });
    if (failure) ADD_FAILURE() << failure->message();
  }
  BackupName parent, child, last;
};

TEST(ExpireConcurrent, TwoRunsDoTheWorkOfOne) {
  for (int round = 0; round < kRounds; ++round) {
    Going bed;
    {
      std::jthread one([&] { bed.expire_as("one"); });
      std::jthread other([&] { bed.expire_as("other"); });
    }
    bed.expire_fully();
    bed.expect_whole();
    EXPECT_EQ(bed.complete(), std::vector<std::string>{bed.last.id.text});
    EXPECT_FALSE(bed.has_pack(bed.parent, 1));
    EXPECT_FALSE(bed.has_pack(bed.parent, 2));
  }
}

TEST(ExpireConcurrent, AHoldIsRefusedOrTheBackupStays) {
  for (int round = 0; round < kRounds; ++round) {
    Going bed;
    std::optional<Error> refused;
    {
      std::jthread expiry([&] { bed.expire_as("one"); });
      std::jthread holder([&] {
        refused = failure_of([&] {
          place_hold(*bed.opened, {.backup = bed.parent, .until = bed.time->current + kDay * 30},
                     kNoStop);
        });
      });
    }
    EXPECT_TRUE(!refused || refused->kind() == ErrorKind::kRefused) << refused->message();
    bed.expire_fully();
    bed.expect_whole();
    EXPECT_EQ(bed.state_of(bed.parent) == BackupState::kCommitted, !refused);
  }
}

TEST(ExpireConcurrent, ABackupCitesWhatStaysOrNothing) {
  int built = 0;
  for (int round = 0; round < kRounds; ++round) {
    Going bed;
    const BackupName running = bed.begin();
    bed.put_pack(running, 1);  // a sign of life
    {
      std::jthread expiry([&] { bed.expire_as("one"); });
      std::jthread writer([&] {
        write_intent(*bed.opened, {.cited = bed.parent, .citing = running}, kNoStop);
        const bool may_cite = !is_tombstoned(*bed.opened, bed.parent, kNoStop);
        MadeBackup made{.packs = 1, .start = 3, .stop = 3};
        if (may_cite) made.cites = {{bed.parent, 2}};
        bed.commit(running, made);
        built += may_cite ? 1 : 0;
      });
    }
    bed.expect_whole();
    bed.expire_fully();
    bed.expect_whole();
    EXPECT_EQ(bed.complete(), std::vector<std::string>{running.id.text});
  }
  std::cout << built << " of " << kRounds << " built on what was going\n";
}

}  // namespace
}  // namespace holdfast::test
