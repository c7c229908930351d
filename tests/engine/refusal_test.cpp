// What a backup refuses or fails with, and with which exit code; two backups at a time.
#include <csignal>

#include <fmt/format.h>
#include <sys/wait.h>

#include "app/open.h"
#include "suite.h"
#include "support/small_disk.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class Refusal : public testing::Test {
 protected:
  PostgresCluster& cluster() { return small_cluster(); }
  // Exit code, after which nothing is listed.
  Answer refused(const std::vector<std::string>& arguments, int exit_code) {
    Answer answer = holdfast_.run(arguments);
    EXPECT_EQ(answer.outcome.exit_code, exit_code) << answer.text();
    EXPECT_NE(answer.error(), "");
    return answer;
  }
  HoldfastProgram holdfast_{small_cluster()};
};

#define EXPECT_SAYS(answer, words) \
  EXPECT_NE((answer).error().find(words), std::string::npos) << (answer).text()

TEST_F(Refusal, NamesThatAreTakenOrMeanSomething) {
  holdfast_.init();
  const std::string id = holdfast_.backup({"--name", "once"}).at("id");
  EXPECT_SAYS(refused({"backup", "--name", "once"}, 3), id);
  refused({"backup", "--name", "latest"}, 2);
  refused({"backup", "--name", "oldest"}, 2);
  refused({"backup", "--name", id}, 2);
  EXPECT_EQ(holdfast_.listed().size(), 1U);
  EXPECT_EQ(holdfast_.must({"show", "once"}).at("id"), id);
}

TEST_F(Refusal, ASecondBackupAtTheSameTimeAndSaysWhoHoldsIt) {
  holdfast_.init();
  Process first = holdfast_.start({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.started:stop"}});
  wait_until_stopped(first);
  const Answer second = refused({"backup"}, 3);
  EXPECT_SAYS(second, host_name());
  EXPECT_SAYS(second, std::to_string(first.pid()));
  EXPECT_SAYS(second, "since 20");
  // From another state directory, as another host would have, too.
  HoldfastProgram other(cluster(), {.url = holdfast_.settings().url});
  const Answer third = other.run({"backup"});
  EXPECT_EQ(third.outcome.exit_code, 3) << third.text();
  EXPECT_SAYS(third, host_name());
  first.send(SIGCONT);
  const Answer finished = HoldfastProgram::answer_of(first.wait(60s));
  EXPECT_TRUE(finished.ok()) << finished.text();
  EXPECT_EQ(holdfast_.listed_ids(), (std::vector<std::string>{finished.result().at("id")}));
}

TEST_F(Refusal, ADeadBackupBlocksNobodyAndIsSwept) {
  holdfast_.init();
  Process first = holdfast_.start({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.stopped:stop"}});
  wait_until_stopped(first);
  first.send(SIGKILL);
  first.wait(10s);
  const Json next = holdfast_.backup();
  ASSERT_EQ(next.at("swept").size(), 1U);
  const std::string dead = next.at("swept").at(0);
  std::vector<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(holdfast_.repository_folder())) {
    if (entry.is_regular_file() && entry.path().string().find(dead) != std::string::npos) {
      left.push_back(entry.path().filename());
    }
  }
  std::ranges::sort(left);
  EXPECT_EQ(left, (std::vector<std::string>{"begin", "outcome"}));
}

TEST_F(Refusal, RepositoryOfAnotherCluster) {
  holdfast_.init();
  PostgresCluster stranger;
  stranger.start();
  HoldfastProgram other(stranger, {.url = holdfast_.settings().url});
  const Answer backup = other.run({"backup"});
  EXPECT_EQ(backup.outcome.exit_code, 3) << backup.text();
  EXPECT_EQ(other.run({"init"}).outcome.exit_code, 3);
  // Directory and server of different clusters.
  holdfast_.other_data_directory = stranger.data_directory();
  EXPECT_SAYS(refused({"backup"}, 3), "another cluster");
  EXPECT_TRUE(holdfast_.listed().empty());
}

TEST_F(Refusal, ServerThatIsDown) {
  holdfast_.init();
  holdfast_.other_connection = "host=/nowhere port=1 user=postgres dbname=postgres";
  EXPECT_EQ(refused({"backup"}, 5).kind(), "postgres");
}

TEST_F(Refusal, MinimalWal) {
  PostgresCluster minimal({.settings = {"wal_level = minimal", "max_wal_senders = 0"}});
  minimal.start();
  HoldfastProgram holdfast(minimal);
  holdfast.run({"init"});  // may refuse as well
  const Answer answer = holdfast.run({"backup"});
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
}

TEST_F(Refusal, RepositoryThatIsMissingOrClosed) {
  EXPECT_EQ(refused({"backup"}, 4).kind(), "repository") << "no folder";
  holdfast_.init();
  fs::permissions(holdfast_.repository_folder(), fs::perms::none);
  refused({"backup"}, 4);
  refused({"list"}, 4);
  fs::permissions(holdfast_.repository_folder(), fs::perms::owner_all);
  const fs::path aside = holdfast_.new_path("aside");
  fs::rename(holdfast_.repository_folder(), aside);
  fs::create_directory(holdfast_.repository_folder());
  give_to_server_user(holdfast_.repository_folder());
  refused({"backup"}, 4);  // as an unmounted file system leaves it
}

TEST_F(Refusal, FullRepositoryDisk) {
  const SmallDisk disk(holdfast_.folder() / "small", 4);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a file system";
  holdfast_.settings().url = "file://" + (holdfast_.folder() / "small/repository").string();
  holdfast_.init();
  const Answer answer = refused({"backup"}, 4);
  EXPECT_SAYS(answer, "space");
  EXPECT_TRUE(holdfast_.listed().empty());
  EXPECT_EQ(cluster().sql("select count(*) from pg_replication_slots"), "0");
}

TEST_F(Refusal, TargetDiskThatIsTooSmallBeforeAnythingIsWritten) {
  const SmallDisk disk(holdfast_.folder() / "small", 4);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a file system";
  holdfast_.init();
  holdfast_.backup();
  const fs::path target = holdfast_.folder() / "small/target";
  const Answer answer = refused({"restore", "--to", target.string()}, 6);
  EXPECT_SAYS(answer, "space");
  EXPECT_FALSE(fs::exists(target));
}

class Interrupted : public testing::TestWithParam<int> {};

TEST_P(Interrupted, BackupEndsWithinTwoSecondsByThatSignalAndLeavesBackupMode) {
  PostgresCluster& cluster = small_cluster();
  HoldfastProgram holdfast(cluster);
  holdfast.init();
  // At a megabyte a second it would last a minute.
  holdfast.settings().lines = {"backup: {rate: 1MiB}"};
  Process backup = holdfast.start({"backup"});
  cluster.wait_for("exists (select from pg_replication_slots where temporary)");
  std::this_thread::sleep_for(500ms);
  const auto sent = std::chrono::steady_clock::now();
  backup.send(GetParam());
  const Outcome outcome = backup.wait(20s);
  EXPECT_LT(std::chrono::steady_clock::now() - sent, 2s);
  EXPECT_EQ(outcome.signal, GetParam()) << outcome.exit_code << outcome.out << outcome.err;
  cluster.wait_for("not exists (select from pg_stat_activity where application_name = 'holdfast')");
  cluster.wait_for("not exists (select from pg_replication_slots)");
  EXPECT_TRUE(holdfast.listed().empty());
  holdfast.settings().lines = {};
  EXPECT_EQ(holdfast.backup().at("swept").size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Signal, Interrupted, testing::Values(SIGINT, SIGTERM),
                         [](const auto& given) { return given.param == SIGINT ? "Int" : "Term"; });

}  // namespace
}  // namespace holdfast::test
