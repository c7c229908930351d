// The reference case over eight years, with the store's clock: a hot repository of 30 days that
// takes an incremental backup each day, and a cold one that takes a standalone copy each month and
// keeps twelve of these and seven yearly ones. What is left, of each age, restores.

#include "restore/restore.h"
#include "support/temp_folder.h"
#include "unit/expire/expire_testing.h"
#include "verify/verify.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kSegmentsADay = 3;
constexpr std::uint64_t kDaysCited = 10;  // how far back a backup takes packs over

std::vector<std::string> days_of(const std::vector<std::string>& ids) {
  std::vector<std::string> days;
  for (const std::string& id : ids) days.push_back(id.substr(0, 8));
  return days;
}

std::chrono::year_month_day date_of(Timestamp time) {
  return {std::chrono::floor<std::chrono::days>(time)};
}

// Content that tells which day or month wrote it.
TestFile file_of(const std::string& path, std::uint64_t number, std::uint64_t size = 20000) {
  const auto content = [number](std::uint64_t offset, std::size_t length) {
    return numbered_content((number << 32U) + offset, length);
  };
  return {path, size, content};
}

// The least that a restore takes for a data directory, of one day or month.
std::vector<TestFile> data_directory_of(std::uint64_t number) {
  return {{.path = "base", .type = FileType::kFolder},
          {.path = "base/1", .type = FileType::kFolder},
          {.path = "global", .type = FileType::kFolder},
          file_of("global/pg_control", number, 8192)};
}

// Restores a backup, and compares every file.
void expect_restores(const Repository& repository, const CatalogueEntry& backup,
                     const std::vector<TestFile>& expected) {
  const TempFolder folder;
  const std::filesystem::path target = folder / "target";
  restore_backup(repository, backup, {.target = {.data_directory = target}}, null_progress(),
                 kNoStop);
  for (const TestFile& file : expected) {
    if (file.type != FileType::kRegular) continue;
    EXPECT_TRUE(read_text(target / file.path) == as_text(file.content(0, file.size)))
        << file.path << " of " << backup.name.id.text;
  }
}

class HotYears : public ExpireBed {
 public:
  HotYears() {
    options.policy = {.window = kDay * 30, .keep_last = 2};
    time->current = time_at("2026-01-01T02:00:00Z");
  }
  // What a day brings: a backup that builds on the one before, and WAL. Only in the last months has
  // it content, which takes time.
  void day() {
    const std::uint64_t segment = days_ * kSegmentsADay;
    const MadeBackup made{.packs = 2, .start = segment, .stop = segment};
    if (date_of(time->current) < std::chrono::year(2033) / 10 / 1) {
      take_names(made);
    } else {
      take_content(made);
    }
    segments(segment, segment + kSegmentsADay - 1);
    ++days_;
    pass(kDay);
  }
  // Each of those that are left.
  void expect_all_restore() {
    for (const CatalogueEntry& entry : list_backups(*opened, "demo", kNoStop)) {
      if (entry.state != BackupState::kCommitted) continue;
      const std::uint64_t day = day_of_.at(entry.name.id.text);
      std::vector<TestFile> expected = data_directory_of(day);
      for (std::uint64_t written = day - kDaysCited + 1; written <= day; ++written) {
        expected.push_back(file_of(path_of(written), written));
      }
      expect_restores(*opened, entry, expected);
    }
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
  void take_names(MadeBackup made) {
    const BackupName name = begin();
    if (!taken_.empty()) {
      write_intent(*opened, {.cited = taken_.back(), .citing = name}, kNoStop);
    }
    for (const BackupName& older : taken_) made.cites.push_back({older, 1});
    commit(name, made);
    taken_.push_back(name);
    if (taken_.size() > kDaysCited) taken_.erase(taken_.begin());
  }
  // All files but one are taken over; after kDaysCited days every one has been written again.
  void take_content(const MadeBackup& made) {
    std::vector<TestFile> files = data_directory_of(days_);
    files.push_back(file_of(path_of(days_), days_));
    latest_ = backup_of(files, made, latest_);
    day_of_[latest_->id.text] = days_;
  }
  static std::string path_of(std::uint64_t day) {
    return fmt::format("base/1/{}", 16384 + day % kDaysCited);
  }

  std::uint64_t days_ = 0;
  std::vector<BackupName> taken_;
  std::optional<BackupName> latest_;
  std::map<std::string, std::uint64_t> day_of_;  // by id
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
  bed.expect_all_restore();
  // All WAL from the oldest complete backup on, and not much more.
  std::uint64_t oldest = 0;
  while (!bed.has_segment(oldest)) ++oldest;
  const std::uint64_t needed_from = (bed.days() - left.size()) * kSegmentsADay;
  EXPECT_LE(oldest, needed_from);
  EXPECT_GE(oldest, needed_from - 12 * kSegmentsADay);
  for (std::uint64_t n = needed_from; n < bed.days() * kSegmentsADay; ++n) {
    EXPECT_TRUE(bed.has_segment(n)) << n;
  }
  // Packs that nothing cites are gone: there is one of each complete backup, of ten older ones that
  // these cite, and of the few that wait for their removal.
  std::size_t packs = 0;
  for (const auto& [object, content] : bed.objects()) packs += object.find("/pack/") < 200 ? 1 : 0;
  EXPECT_LE(packs, left.size() + kDaysCited + 10);
}

TEST(ReferencePolicy, TheColdRepositoryKeepsTwelveMonthsAndSevenYears) {
  ExpireBed bed;
  bed.options.policy = {.monthly = 12, .yearly = 7};
  std::vector<std::string> expected;
  for (int year = 2027; year < 2033; ++year) expected.push_back(std::to_string(year) + "1201");
  for (int month = 1; month <= 12; ++month) expected.push_back(fmt::format("2033{:02}01", month));
  std::map<std::string, std::uint64_t> month_of;  // by id
  for (int year = 2026; year < 2034; ++year) {
    for (unsigned month = 1; month <= 12; ++month) {
      bed.time->current = std::chrono::sys_days(std::chrono::year(year) / month / 1);
      const std::uint64_t number = month_of.size();
      std::vector<TestFile> files = data_directory_of(number);
      files.push_back(file_of("base/1/16384", number));
      month_of[bed.backup_of(files, {.standalone = true}).id.text] = number;
      bed.expire();
      bed.pass(kDay * 2);
      bed.expire();
      bed.expect_whole();
    }
  }
  EXPECT_EQ(days_of(bed.complete()), expected);
  std::size_t packs = 0;
  for (const auto& [object, content] : bed.objects()) packs += object.find("/pack/") < 200 ? 1 : 0;
  EXPECT_EQ(packs, expected.size());
  const auto backups = list_backups(*bed.opened, "demo", kNoStop);
  EXPECT_EQ(verify_backups(*bed.opened, backups,
                           {.mode = VerifyMode::kDeep, .cluster = "demo", .host = "t"},
                           null_progress(), kNoStop)
                .findings.size(),
            0U);
  for (const CatalogueEntry& entry : backups) {
    if (entry.state != BackupState::kCommitted) continue;
    const std::uint64_t number = month_of.at(entry.name.id.text);
    std::vector<TestFile> expected_files = data_directory_of(number);
    expected_files.push_back(file_of("base/1/16384", number));
    expect_restores(*bed.opened, entry, expected_files);
  }
}

}  // namespace
}  // namespace holdfast::test
