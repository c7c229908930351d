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

// Found in a review: as the first one of the window it was taken for the one before the window.
TEST(RetentionWindow, IsNotCutWhereTheFirstBackupHasATimeOfThePast) {
  Line line({40, 60, 10, 80, 99});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, true, true, true}));
}

// … and one with a time of the future must not keep everything behind it until then.
TEST(RetentionWindow, IsNotStretchedByABackupWithATimeOfTheFuture) {
  Line line({20, 900, 40, 60, 75, 99});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, false, true, true, true}));
}

// Found in a review: the damaged newest one of a month cost the good ones of it.
TEST(RetentionPeriod, KeepsAGoodOneBesideADamagedOne) {
  Line line({31, 40, 50, 58, 61, 70});  // two months: February and March of 1970
  line.input.policy = {.monthly = 2};
  line.input.known_bad = [](std::size_t i) { return i == 3; };
  EXPECT_EQ(line.kept(), (std::vector{false, false, true, true, false, true}));
  line.input.known_bad = [](std::size_t i) { return i >= 1 && i != 5; };
  EXPECT_EQ(line.kept(), (std::vector{true, true, true, true, false, true}))
      << "as far back as it takes";
}

// Found in a review: a month of damaged backups took the place of one with a good backup.
TEST(RetentionPeriod, WithoutAGoodOneDoesNotCount) {
  Line line({31, 58, 61, 70, 95});  // February, March and April of 1970
  line.input.policy = {.monthly = 2};
  EXPECT_EQ(line.kept(), (std::vector{false, false, false, true, true}));
  line.input.known_bad = [](std::size_t i) { return i == 2 || i == 3; };
  EXPECT_EQ(line.kept(), (std::vector{false, true, true, true, true}));
}

// The other line in use has a good one, which does not bring back what this one holds.
TEST(RetentionLastGood, IsAskedForOfEachLineInUse) {
  Line line({10, 20, 99});
  line.input.policy = {.keep_last = 1};
  line.input.lines = {{.backups = {2}}, {.backups = {0, 1}}};
  EXPECT_EQ(line.kept(), (std::vector{false, true, true}));
  line.input.known_bad = [](std::size_t i) { return i < 2; };
  EXPECT_EQ(line.kept(), (std::vector{true, true, true})) << "nothing of it is good";
  line.input.lines[1].live = false;
  EXPECT_EQ(line.kept(), (std::vector{false, false, true})) << "nobody is on it any more";
}

// What a policy keeps of the backups of one line, each with the texts of its reasons of that kind.
struct PeriodsCase {
  std::string name;
  RetentionPolicy policy;
  std::string zone, now;
  std::vector<std::pair<std::string, std::string>> backups;  // times and, if it is kept, periods
};
void PrintTo(const PeriodsCase& given, std::ostream* out) {
  *out << given.name;
}

class RetentionPeriods : public testing::TestWithParam<PeriodsCase> {};

TEST_P(RetentionPeriods, KeepTheNewestOfEach) {
  const PeriodsCase& given = GetParam();
  RetentionInput input{.policy = given.policy, .now = *parse_rfc3339(given.now)};
  input.zone = *TimeZone::find(given.zone);
  input.lines.emplace_back();
  for (const auto& [time, period] : given.backups) {
    input.lines[0].backups.push_back(input.backups.size());
    input.backups.push_back({.time = *parse_rfc3339(time)});
  }
  const RetentionPlan plan = plan_retention(input);
  for (std::size_t i = 0; i < given.backups.size(); ++i) {
    std::string periods;
    for (const KeepReason& reason : plan.verdicts[i].reasons) periods += reason.detail;
    EXPECT_EQ(periods, given.backups[i].second) << given.backups[i].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, RetentionPeriods,
                         testing::Values(PeriodsCase{"DaysOfTheZone",
                                                     {.daily = 5},
                                                     "Europe/Berlin",
                                                     "2026-01-12T12:00:00Z",
                                                     {{"2026-01-10T20:00:00Z", ""},
                                                      {"2026-01-10T22:30:00Z", "2026-01-10"},
                                                      {"2026-01-10T23:30:00Z", "2026-01-11"}}},
                                         PeriodsCase{"DaysOfUtc",
                                                     {.daily = 5},
                                                     "UTC",
                                                     "2026-01-12T12:00:00Z",
                                                     {{"2026-01-10T20:00:00Z", ""},
                                                      {"2026-01-10T22:30:00Z", ""},
                                                      {"2026-01-10T23:30:00Z", "2026-01-10"}}},
                                         PeriodsCase{"ADayOf23Hours",
                                                     {.daily = 5},
                                                     "Europe/Berlin",
                                                     "2026-04-01T12:00:00Z",
                                                     {{"2026-03-28T22:30:00Z", "2026-03-28"},
                                                      {"2026-03-28T23:30:00Z", ""},
                                                      {"2026-03-29T21:30:00Z", "2026-03-29"},
                                                      {"2026-03-29T22:30:00Z", "2026-03-30"}}},
                                         PeriodsCase{"ADayOf25Hours",
                                                     {.daily = 5},
                                                     "Europe/Berlin",
                                                     "2026-11-01T12:00:00Z",
                                                     {{"2026-10-24T21:30:00Z", "2026-10-24"},
                                                      {"2026-10-24T22:30:00Z", ""},
                                                      {"2026-10-25T22:30:00Z", "2026-10-25"},
                                                      {"2026-10-25T23:30:00Z", "2026-10-26"}}},
                                         PeriodsCase{
                                             "AWeekOverTheNewYear",
                                             {.weekly = 9},
                                             "UTC",
                                             "2027-01-05T12:00:00Z",
                                             {{"2026-12-27T23:59:59Z", "week of 2026-12-21"},
                                              {"2026-12-28T00:00:00Z", ""},
                                              {"2026-12-31T12:00:00Z", ""},
                                              {"2027-01-03T23:59:59Z", "week of 2026-12-28"},
                                              {"2027-01-04T00:00:00Z", "week of 2027-01-04"}}},
                                         PeriodsCase{"MonthsAndYears",
                                                     {.monthly = 2, .yearly = 2},
                                                     "UTC",
                                                     "2027-02-05T12:00:00Z",
                                                     {{"2025-12-31T12:00:00Z", ""},
                                                      {"2026-11-30T12:00:00Z", ""},
                                                      {"2026-12-01T12:00:00Z", "2026-122026"},
                                                      {"2027-02-01T12:00:00Z", "2027-022027"}}},
                                         PeriodsCase{"OnlyThoseThatHaveOneCount",
                                                     {.daily = 2},
                                                     "UTC",
                                                     "2026-02-01T12:00:00Z",
                                                     {{"2026-01-01T12:00:00Z", ""},
                                                      {"2026-01-05T12:00:00Z", "2026-01-05"},
                                                      {"2026-01-20T12:00:00Z", "2026-01-20"}}},
                                         PeriodsCase{"ATimeOfThePastCostsTheOthersNothing",
                                                     {.daily = 4},
                                                     "UTC",
                                                     "2026-01-12T12:00:00Z",
                                                     {{"2026-01-08T12:00:00Z", "2026-01-08"},
                                                      {"2026-01-09T12:00:00Z", "2026-01-09"},
                                                      {"1970-01-02T00:00:00Z", "1970-01-02"},
                                                      {"2026-01-11T12:00:00Z", "2026-01-11"}}}),
                         [](const auto& given) { return given.param.name; });

// A server whose clock is a little ahead has just been backed up.
TEST(RetentionWindow, TheNewestBackupMayBeYoungerThanTheStoresTime) {
  Line line({40, 60, 101});
  EXPECT_EQ(line.reach(), kDay * 60);
  EXPECT_EQ(line.kept(), (std::vector{false, true, true}));
}

}  // namespace
}  // namespace holdfast
