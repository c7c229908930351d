#include "repository/sweep.h"

#include <gtest/gtest.h>

#include "repository/intent.h"
#include "repository/proof.h"
#include "unit/repository/repository_testing.h"

namespace holdfast::test {
namespace {

SweepResult sweep(const Repository& repository) {
  return sweep_dead_backups(repository, list_backups(repository, "demo", kNoStop),
                            {.host = "test", .data_directory = "/data"}, kNoStop);
}

// As if the backup had been begun on this host.
void begin_here(TestRepository& shared, const Repository& repository, const BackupName& name) {
  shared.objects->objects.erase(names::begin(name));
  write_begin(repository, name, {.host = "test", .data_directory = "/data"}, kNoStop);
}

TEST(Sweep, RemovesWhatADeadBackupLeft) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {});
  begin_here(shared, *repository, backup_name());
  shared.objects->objects.erase(names::outcome(backup_name()));
  EXPECT_EQ(sweep(*repository).swept, std::vector<std::string>{backup_name().id.text});
  EXPECT_FALSE(shared.objects->objects.contains(names::manifest(backup_name())));
}

// A commit record that somebody deleted must not cost the backup as well.
TEST(Sweep, LeavesABackupAloneThatHasAProofButLostItsCommitRecord) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {});
  begin_here(shared, *repository, backup_name());
  write_proof(*repository, backup_name(), {.mode = "full", .ok = true}, kNoStop);
  shared.objects->objects.erase(names::outcome(backup_name()));
  const SweepResult result = sweep(*repository);
  EXPECT_EQ(result.lost_commit, std::vector<std::string>{backup_name().id.text});
  EXPECT_TRUE(result.swept.empty());
  EXPECT_TRUE(shared.objects->objects.contains(names::manifest(backup_name())));
  EXPECT_FALSE(shared.objects->objects.contains(names::outcome(backup_name())));
}

// An unfinished backup that another host began.
class SweepOfAnotherHost : public testing::Test {
 protected:
  void SetUp() override {
    write_backup(*repository_, {});
    shared_.objects->objects.erase(names::outcome(backup_name()));
  }
  bool is_whole() { return shared_.objects->objects.contains(names::manifest(backup_name())); }

  TestRepository shared_;
  std::unique_ptr<Repository> repository_ = shared_.open();
};

TEST_F(SweepOfAnotherHost, WaitsUntilItHasBeenQuiet) {
  const Timestamp now = repository_->store().now(kNoStop);
  // One object that is younger than the quiet time is a sign of life, whichever it is.
  shared_.objects->modified[names::manifest(backup_name())] =
      now - kQuietTime + std::chrono::minutes(5);
  EXPECT_TRUE(sweep(*repository_).swept.empty());
  EXPECT_TRUE(is_whole());
  EXPECT_FALSE(shared_.objects->objects.contains(names::outcome(backup_name())))
      << "its writer must still be able to commit";
  shared_.objects->modified[names::manifest(backup_name())] =
      now - kQuietTime - std::chrono::minutes(5);
  EXPECT_EQ(sweep(*repository_).swept.size(), 1U);
  EXPECT_FALSE(is_whole());
}

TEST_F(SweepOfAnotherHost, KeepsTheRecordsThatItsIdWasUsed) {
  sweep(*repository_);
  EXPECT_TRUE(shared_.objects->objects.contains(names::begin(backup_name())));
  const auto found = list_backups(*repository_, "demo", kNoStop);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].state, BackupState::kAborted);
  EXPECT_TRUE(sweep(*repository_).swept.empty()) << "once is enough";
}

TEST_F(SweepOfAnotherHost, CannotBeCommittedAnyMore) {
  sweep(*repository_);
  Outcome outcome{.committed = true, .time = "2026-01-01T00:00:01Z", .by = "late"};
  outcome.info.name = backup_name();
  EXPECT_EQ(kind_of([&] { commit_backup(*repository_, outcome, kNoStop); }), ErrorKind::kRefused);
}

TEST_F(SweepOfAnotherHost, WithoutTheRightToDeleteSaysWhatStays) {
  shared_.objects->undeletable.insert(names::manifest(backup_name()));
  const SweepResult result = sweep(*repository_);
  EXPECT_EQ(result.not_removed, std::vector{names::manifest(backup_name())});
  EXPECT_EQ(result.swept.size(), 1U);
}

TEST_F(SweepOfAnotherHost, KeepsPacksThatACopyMayCite) {
  write_intent(*repository_,
               {.cited = backup_name(), .citing = backup_name("20260102T000000Z-0002")}, kNoStop);
  const SweepResult result = sweep(*repository_);
  EXPECT_EQ(result.cited, std::vector{backup_name().id.text});
  EXPECT_TRUE(result.swept.empty());
  EXPECT_TRUE(is_whole());
}

TEST(Sweep, LeavesCommittedBackupsAlone) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {});
  const auto before = shared.objects->objects;
  const SweepResult result = sweep(*repository);
  EXPECT_TRUE(result.swept.empty());
  EXPECT_EQ(shared.objects->objects, before);
}

}  // namespace
}  // namespace holdfast::test
