// `init` and `backup` killed at every named point and at random moments, and a writer that was only
// paused.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>

#include <fmt/format.h>
#include <sys/wait.h>

#include "app/open.h"
#include "core/fault_point.h"
#include "repository/sweep.h"
#include "suite.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

// Small packs, so that a backup of little data stores several.
const std::vector<std::string> kSmallPacks{"memory: 64MiB", "backup: {compression: lz4, jobs: 2}"};

std::vector<std::string> points_of(std::string_view command) {
  std::vector<std::string> points;
  for (const std::string_view point : kFaultPoints) {
    if (point == "backup.wal_archived") continue;  // needs an archive: wal_crash_test.cpp
    if (point.starts_with(std::string(command) + ".")) points.emplace_back(point);
  }
  return points;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

void expect_nothing_left_of(HoldfastProgram& holdfast, const std::vector<std::string>& dead) {
  const auto aborted = ids_in_state(holdfast, "aborted");
  for (const std::string& id : dead) {
    EXPECT_NE(std::ranges::find(aborted, id), aborted.end()) << id << " is not aborted";
    EXPECT_EQ(objects_of(holdfast, id), "") << "left behind";
  }
}

class InitKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(InitKilledAt, IsFinishedByTheNext) {
  HoldfastProgram holdfast(crash_cluster(), {.encryption = Encryption::kKeyFile});
  const Answer killed = holdfast.run({"init"}, {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  EXPECT_FALSE(holdfast.run({"backup"}).ok()) << "half an init is no repository for a backup";
  holdfast.init();
  const Json again = holdfast.init();
  EXPECT_FALSE(again.at("repository_created"));
  EXPECT_FALSE(again.at("cluster_registered"));
  holdfast.backup();
  EXPECT_EQ(ListedBackups(holdfast).complaints(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Point, InitKilledAt, testing::ValuesIn(points_of("init")), test_name);

class BackupKilledAt : public testing::TestWithParam<std::string> {};

// Incremental ones, which pass every point; BackupKilledAtRandom kills full ones too.
TEST_P(BackupKilledAt, LeavesNothingListedThatDoesNotRestoreAndTheNextSweepsIt) {
  HoldfastProgram holdfast(crash_cluster(), {.lines = kSmallPacks});
  holdfast.init();
  holdfast.backup();  // to build on
  const bool of_many_packs = GetParam() == "backup.pack_stored";
  const std::string point = of_many_packs ? GetParam() + "#2" : GetParam();
  WriteLoad load(crash_cluster());
  load.wait_for_more(10);
  const Answer killed = holdfast.run({"backup", "--type", of_many_packs ? "full" : "incr"},
                                     {{"HOLDFAST_FAULT_POINT", point + ":kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();

  ListedBackups checker(holdfast);
  const bool committed = GetParam() == "backup.committed";
  EXPECT_EQ(holdfast.listed().size(), committed ? 2U : 1U);
  EXPECT_EQ(checker.complaints(), std::vector<std::string>{});
  const auto dead = ids_in_state(holdfast, "unfinished");
  EXPECT_EQ(dead.size(), committed || GetParam() == "backup.locked" ? 0U : 1U);
  crash_cluster().wait_for("not exists (select from pg_replication_slots)");

  const Json next = holdfast.backup();
  EXPECT_EQ(next.at("swept").get<std::vector<std::string>>(), dead);
  load.stop();
  expect_nothing_left_of(holdfast, dead);
  EXPECT_EQ(holdfast.listed().size(), committed ? 3U : 2U);
  EXPECT_EQ(checker.complaints(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Point, BackupKilledAt, testing::ValuesIn(points_of("backup")), test_name);

TEST(BackupKilledAtRandom, NeverListsWhatDoesNotRestore) {
  const std::uint64_t seed = test_seed();
  const int kills = is_wide_run() ? 50 : 12;
  std::cout << "HOLDFAST_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  HoldfastProgram holdfast(crash_cluster(), {.lines = kSmallPacks});
  holdfast.init();
  WriteLoad load(crash_cluster());
  const auto began = std::chrono::steady_clock::now();
  holdfast.backup();
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  ListedBackups checker(holdfast);
  int cut_short = 0;
  for (int i = 0; i < kills; ++i) {
    const std::chrono::milliseconds moment{
        std::uniform_int_distribution<std::int64_t>(0, whole.count())(random)};
    Process backup = holdfast.start({"backup", "--type", i % 2 == 0 ? "full" : "incr"});
    std::this_thread::sleep_for(moment);
    backup.send(SIGKILL);
    cut_short += backup.wait(10s).signal == SIGKILL ? 1 : 0;
    ASSERT_EQ(checker.complaints(), std::vector<std::string>{})
        << "kill " << i << " after " << moment.count() << " ms, seed " << seed;
  }
  EXPECT_GT(cut_short, kills / 3) << "too few were killed in the middle to mean anything";
  const auto dead = ids_in_state(holdfast, "unfinished");
  EXPECT_EQ(holdfast.backup().at("swept").get<std::vector<std::string>>(), dead);
  load.stop();
  expect_nothing_left_of(holdfast, dead);
  EXPECT_EQ(checker.complaints(), std::vector<std::string>{});
}

TEST(PausedWriter, ThatWasSweptCannotCommit) {
  HoldfastProgram holdfast(crash_cluster());
  holdfast.init();
  Process paused =
      holdfast.start({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.before_commit:stop"}});
  wait_until_stopped(paused);
  const auto unfinished = ids_in_state(holdfast, "unfinished");
  ASSERT_EQ(unfinished.size(), 1U);
  EXPECT_NE(objects_of(holdfast, unfinished[0]), "");
  {
    // What another backup would do that believes this writer dead.
    const auto repository =
        Repository::open(open_store({.url = holdfast.settings().url}), std::nullopt, {});
    const auto swept = sweep_dead_backups(
        *repository, list_backups(*repository, "demo", {}),
        {.host = host_name(), .data_directory = crash_cluster().data_directory().string()}, {});
    EXPECT_EQ(swept.swept, unfinished);
    give_to_server_user(holdfast.folder());  // a root test wrote the outcome
  }
  paused.send(SIGCONT);
  const Answer answer = HoldfastProgram::answer_of(paused.wait(30s));
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_TRUE(holdfast.listed().empty());
  expect_nothing_left_of(holdfast, unfinished);
}

TEST(PausedWriter, OfAnotherHostIsLeftAloneAndCommits) {
  HoldfastProgram holdfast(crash_cluster());
  holdfast.init();
  Process paused =
      holdfast.start({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.before_commit:stop"}});
  wait_until_stopped(paused);
  {
    const auto repository =
        Repository::open(open_store({.url = holdfast.settings().url}), std::nullopt, {});
    const auto swept = sweep_dead_backups(
        *repository, list_backups(*repository, "demo", {}),
        {.host = "elsewhere", .data_directory = crash_cluster().data_directory().string()}, {});
    EXPECT_TRUE(swept.swept.empty());
  }
  paused.send(SIGCONT);
  EXPECT_TRUE(paused.wait(30s).ok());
  EXPECT_EQ(holdfast.listed().size(), 1U);
  EXPECT_EQ(ListedBackups(holdfast).complaints(), std::vector<std::string>{});
}

}  // namespace
}  // namespace holdfast::test
