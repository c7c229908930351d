// Tablespaces that WAL makes behind a backup, or while it runs: replay makes them in the same
// places.
#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class NewTablespace : public testing::Test {
 protected:
  NewTablespace() { make_private(place_); }

  static void make_private(const fs::path& folder) {
    fs::create_directories(folder);
    give_to_server_user(folder);
  }
  void backup_while_it_is_made(std::vector<std::string> command) {
    Process backup =
        holdfast().start(std::move(command), {{"HOLDFAST_FAULT_POINT", "backup.started:stop"}});
    wait_until_stopped(backup);
    make_tablespace();
    backup.send(SIGCONT);
    ASSERT_TRUE(HoldfastProgram::answer_of(backup.wait(std::chrono::seconds(120))).ok());
  }
  void make_tablespace() {
    server().sql(fmt::format("create tablespace late location '{}'", place_.string()));
    server().sql("create table kept tablespace late as select generate_series(1, 100) n");
  }
  void expect_refused(const std::vector<std::string>& command) {
    const Answer answer = holdfast().run(command);
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    EXPECT_NE(answer.error().find(place_.string()), std::string::npos) << answer.text();
  }
  std::vector<std::string> restore_to(const fs::path& target) {
    return {"restore", "--to", target.string(), "--archive", "off"};
  }

  PostgresCluster& server() { return archived_.server(); }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  ArchivedCluster archived_;
  const fs::path place_ = archived_.holdfast().new_path("place");
};

TEST_F(NewTablespace, BehindABackupIsRefusedWhereAServerHasItAndTakenInANewBackup) {
  holdfast().backup();
  server().sql("create table before_it (n int)");
  const std::string before = server().sql("select pg_current_wal_lsn()");
  make_tablespace();
  archived_.archive();
  expect_refused(restore_to(holdfast().new_path()));
  expect_refused({"drill"});
  expect_refused({"recover", "start"});
  EXPECT_EQ(server().sql("select count(*) from kept"), "100");

  auto to_before = restore_to(holdfast().new_path());
  to_before.insert(to_before.end(), {"--target-lsn", before});
  holdfast().must(to_before);

  server().stop();
  expect_refused(restore_to(holdfast().new_path()));  // it may be started again
  fs::rename(place_, place_.string() + ".aside");
  const Answer absent = holdfast().run(restore_to(holdfast().new_path()));
  EXPECT_TRUE(absent.ok()) << absent.text();
  EXPECT_NE(absent.document.dump().find("make the directory " + place_.string()), std::string::npos)
      << absent.text();
  fs::rename(place_.string() + ".aside", place_);
  server().start();

  holdfast().backup();
  auto moved = restore_to(holdfast().new_path());
  moved.insert(moved.end(), {"--tablespaces-under", holdfast().new_path("spaces").string()});
  holdfast().must(moved);
}

// Found in a review: the backup carried the folder, and replay failed on it at every start.
TEST_F(NewTablespace, MadeWhileABackupRunsIsLeftToReplay) {
  ASSERT_NO_FATAL_FAILURE(backup_while_it_is_made({"backup"}));
  archived_.archive();
  server().stop();
  fs::rename(place_, place_.string() + ".aside");
  make_private(place_);
  const fs::path target = holdfast().new_path();
  holdfast().must(restore_to(target));
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select count(*) from kept"), "100");
}

// Found in a review: segments of more than one part had no index, and that was a warning.
TEST(NewTablespaceInLargeSegments, IsRefusedToo) {
  ArchivedCluster archived({.settings = {"max_wal_size = 1GB"}, .wal_segment_mib = 64});
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  holdfast.backup();
  // Beyond the first part of the segment.
  server.sql(
      "create table noise as select sha512(g::text::bytea) from generate_series(1, 350000) g");
  const fs::path place = holdfast.new_path("place");
  fs::create_directories(place);
  give_to_server_user(place);
  server.sql(fmt::format("create tablespace late location '{}'", place.string()));
  archived.archive();
  const Answer refused = holdfast.run({"drill"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_NE(refused.error().find(place.string()), std::string::npos) << refused.text();
  // Neither is a restore point unknown that is not there.
  const std::vector<std::string> nowhere{"restore", "--to", holdfast.new_path().string(),
                                         "--target-name", "nowhere"};
  const Answer no_point = holdfast.run(nowhere);
  EXPECT_EQ(no_point.outcome.exit_code, 3) << no_point.text();
  EXPECT_NE(no_point.error().find("nowhere"), std::string::npos) << no_point.text();
}

// Found in a review: what could not be looked at was a warning also beside the server.
TEST_F(NewTablespace, ThatMayBeInDamagedWalIsNotReplayedBesideTheServer) {
  holdfast().backup();
  server().sql("create table before_it (n int)");
  const std::string segment = server().sql("select pg_walfile_name(pg_current_wal_lsn())");
  archived_.archive();
  holdfast().must({"drill"});
  const fs::path object = archived_.object_of(segment);
  const std::string good = read_text(object);
  std::string bad = good;
  for (std::size_t i = 200; i < 260 && i < bad.size(); ++i) {
    bad[i] = static_cast<char>(bad[i] ^ 1);
  }
  fs::permissions(object, fs::perms::owner_all);
  write_text(object, bad);
  give_to_server_user(object);
  const Answer refused = holdfast().run({"drill"});
  EXPECT_EQ(refused.outcome.exit_code, 1) << refused.text();
  EXPECT_NE(refused.text().find(segment), std::string::npos) << refused.text();
}

// Found in a review: such a backup needs no archive, so nobody looked into the WAL that it carries.
TEST_F(NewTablespace, MadeWhileAStandaloneBackupRunsIsRefusedBesideTheServer) {
  ASSERT_NO_FATAL_FAILURE(backup_while_it_is_made({"backup", "--standalone"}));
  auto beside = restore_to(holdfast().new_path());
  beside.emplace_back("--target-immediate");
  expect_refused(beside);
  expect_refused({"drill", "--target-immediate"});
  EXPECT_EQ(server().sql("select count(*) from kept"), "100");
}

}  // namespace
}  // namespace holdfast::test
