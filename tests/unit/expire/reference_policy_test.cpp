// The reference case over eight years, with the store's clock: a hot repository
// of 30 days that takes an incremental backup each day, and a cold one that
// takes a standalone copy each month and keeps twelve of these and seven yearly
// ones.

#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kSegmentsADay = 3;
constexpr std::size_t kDaysCited = 10;  // how far back a backup takes packs over

std::vector<std::string> days_of(const std::vector<std::string>& ids) {
  std::vector<std::string> days;
  for (const std::string& id : ids) days.push_back(id.substr(0, 8));
  return days;
}

std::chrono::year_month_day date_of(Timestamp time) {
  return {std::chrono::floor<std::chrono::days>(time)};
}

class HotYears : public ExpireBed {
 public:
  HotYears() {
    options.policy = {.window = kDay * 30, .keep_last = 2};
    time->current = time_at("2026-01-01T02:00:00Z");
  }
  // What a day brings: a backup that builds on the one before, and WAL.
  void day() {
    const std::uint64_t segment = days_++ * kSegmentsADay;
    MadeBackup made{.packs = 2, .start = segment, .stop = segment};
    const BackupName name = begin();
    if (!taken_.empty()) {
      write_intent(*opened, {.cited = taken_.back(), .citing = name}, kNoStop);
    }
    for (const BackupName& older : taken_) made.cites.push_back({older, 1});
    commit(name, made);
    segments(segment, segment + kSegmentsADay - 1);
    taken_.push_back(name);
    if (taken_.size() > kDaysCited) taken_.erase(taken_.begin());
    pass(kDay);
  }
  std::uint64_t days() const { return days_; }
  // Every complete backup has all packs that it needs, and all WAL from the oldest one of the
  // window on is there, so that each age can be restored, and each point of the window reached.
  void expect_recoverable() {
    expect_whole();
    const std::uint64_t window = std::min<std::uint64_t>(days_, 30);
    for (std::uint64_t n = (days_ - window) * kSegmentsADay; n < days_ * kSegmentsADay; ++n) {
      ASSERT_TRUE(has_segment(n)) << n << " on day " << days_;
    }
  }

 private:
  std::uint64_t days_ = 0;
  std::vector<BackupName> taken_;
};

TEST(ReferencePolicy, TheHotRepositoryKeepsThirtyDaysThatCanBeReached) {
  HotYears bed;
  while (date_of(bed.time->current) < std::chrono::year(2034) / 1 / 1) {
    bed.day();
    if (bed.days() % 5 != 0) continue;
    const ExpireResult result = bed.expire();
    ASSERT_EQ(result.window.size(), 1U);
    const Timestamp begin = bed.time->current - kDay * 30;
    if (bed.days() > 31) {
      EXPECT_LE(result.window[0].time, begin);
      EXPECT_GT(result.window[0].time, begin - kDay * 2);
    }
    if (bed.days() % 30 == 0) bed.expect_recoverable();
  }
  const auto left = bed.complete();
  EXPECT_GE(left.size(), 31U);
  EXPECT_LE(left.size(), 31U + 5);
  bed.expect_recoverable();
  // All WAL from the oldest complete backup on, and not much more.
  std::uint64_t oldest = 0;
  while (!bed.has_segment(oldest)) ++oldest;
  const std::uint64_t needed_from = (bed.days() - left.size()) * kSegmentsADay;
  EXPECT_LE(oldest, needed_from);
  EXPECT_GE(oldest, needed_from - 12 * kSegmentsADay);
  for (std::uint64_t n = needed_from; n < bed.days() * kSegmentsADay; ++n) {
    EXPECT_TRUE(bed.has_segment(n)) << n;
  }
  // Packs that nothing cites are gone: two of each complete backup, and one of
  // each of ten others.
  std::size_t packs = 0;
  for (const auto& [object, content] : bed.objects()) packs += object.find("/pack/") < 200 ? 1 : 0;
  EXPECT_LE(packs, left.size() * 2 + kDaysCited + 10);
}

TEST(ReferencePolicy, TheColdRepositoryKeepsTwelveMonthsAndSevenYears) {
  ExpireBed bed;
  bed.options.policy = {.monthly = 12, .yearly = 7};
  std::vector<std::string> expected;
  for (int year = 2027; year < 2033; ++year) expected.push_back(std::to_string(year) + "1201");
  for (int month = 1; month <= 12; ++month) expected.push_back(fmt::format("2033{:02}01", month));
  for (int year = 2026; year < 2034; ++year) {
    for (unsigned month = 1; month <= 12; ++month) {
      bed.time->current = std::chrono::sys_days(std::chrono::year(year) / month / 1);
      bed.backup({.packs = 3, .standalone = true});
      bed.expire();
      bed.pass(kDay * 2);
      bed.expire();
      bed.expect_whole();
    }
  }
  EXPECT_EQ(days_of(bed.complete()), expected);
  std::size_t packs = 0;
  for (const auto& [object, content] : bed.objects()) packs += object.find("/pack/") < 200 ? 1 : 0;
  EXPECT_EQ(packs, expected.size() * 3);
}

}  // namespace
}  // namespace holdfast::test
