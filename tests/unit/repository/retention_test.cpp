// Which backups a policy keeps, where clocks were wrong.

#include "repository/retention.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr std::chrono::days kDay{1};

// A line with a backup on each of some days, in the order of its WAL, on day 100.
struct Line {
  explicit Line(const std::vector<int>& days) {
    input.policy.window = kDay * 30;
    input.now = Timestamp{} + kDay * 100;
    input.lines.emplace_back();
    for (const int day : days) {
      input.lines[0].backups.push_back(input.backups.size());
      input.backups.push_back({.time = Timestamp{} + kDay * day});
    }
  }
  // By day of the one from which on WAL must be unbroken.
  std::chrono::days reach() {
    const auto plan = plan_retention(input);
    return std::chrono::floor<std::chrono::days>(
        input.backups.at(plan.reach_from.at(0).value()).time.time_since_epoch());
  }
  std::vector<bool> kept() {
    std::vector<bool> kept;
    for (const RetentionVerdict& verdict : plan_retention(input).verdicts) {
      kept.push_back(verdict.keep());
    }
    return kept;
  }

  RetentionInput input;
};

TEST(RetentionWindow, ReachesBackToTheBackupBeforeIt) {
  Line line({40, 60, 75, 90, 99});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, true, true, true}));
}

// The server's clock was set back for a while: one backup must not cost the others their WAL.
TEST(RetentionWindow, IsNotCutByABackupWithATimeOfThePast) {
  Line line({40, 60, 75, 80, 10, 99});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, true, true, true, true}));
}

// … and one with a time of the future must not keep everything behind it until then.
TEST(RetentionWindow, IsNotStretchedByABackupWithATimeOfTheFuture) {
  Line line({20, 900, 40, 60, 75, 99});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, false, true, true, true}));
}

// A server whose clock is a little ahead has just been backed up.
TEST(RetentionWindow, TheNewestBackupMayBeYoungerThanTheStoresTime) {
  Line line({40, 60, 101});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, true}));
}

}  // namespace
}  // namespace holdfast
