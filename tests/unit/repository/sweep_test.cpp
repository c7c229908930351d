#include "repository/sweep.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace holdfast::test
