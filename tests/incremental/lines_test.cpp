// What an incremental backup may build on, and when it must read everything: restarts, crashes,
// failovers, servers that were set back, and WAL that does not prove enough.
#include <chrono>
#include <csignal>

#include <fmt/format.h>

#include "suite.h"
#include "support/damage.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kNothing;

void change(PostgresCluster& server, int round) {
  server.sql(fmt::format("update kept set t = 'round {}' where n % 91 = {}", round, round));
}

void make_kept(PostgresCluster& server) {
  server.sql(
      "create table kept (n int primary key, t text);"
      "insert into kept select i, repeat('x', 100) from generate_series(1, 20000) i");
  server.sql("vacuum kept");
}

std::string reason_of(const Json& backup) {
  return backup.at("incremental").at("source_reason");
}

const std::string kRounds = "select string_agg(distinct t, ',') from kept where t like 'r%'";

TEST(Lines, RestartsAndCrashesOfTheServerChangeNothing) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  change(server, 1);
  server.stop();
  server.start();
  change(server, 2);
  const Json first = grown.incremental("wal index");
  EXPECT_EQ(first.at("incremental").at("parent"), full.at("id"));
  EXPECT_EQ(grown.check(first), kNothing);
  change(server, 3);
  server.stop(PostgresCluster::Shutdown::kImmediate);
  server.start();
  change(server, 4);
  EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing);
}

TEST(Lines, ADamagedBackupIsNoParent) {
  Grown grown;
  PostgresCluster& server = grown.server();
  HoldfastProgram& holdfast = grown.holdfast();
  make_kept(server);
  const Json full = grown.full();
  const auto build_on = [&](const std::string& why) {
    const Answer answer = holdfast.run({"backup"});
    EXPECT_TRUE(answer.ok()) << answer.text();
    EXPECT_EQ(answer.result().at("incremental").at("parent"), full.at("id"));
    EXPECT_NE(answer.document.at("warnings").dump().find(why), std::string::npos) << answer.text();
    return answer.result();
  };
  change(server, 1);
  const std::string first = grown.incremental("wal index").at("id");
  damage(holdfast.repository_folder(), first + "/pack/000001");
  EXPECT_EQ(holdfast.run({"verify", first}).outcome.exit_code, 1);
  change(server, 2);
  const Json second = build_on("'holdfast verify' found it damaged");
  EXPECT_EQ(grown.check(second), kNothing);
  damage(holdfast.repository_folder(), second.at("id").get<std::string>() + "/manifest");
  change(server, 3);
  EXPECT_EQ(grown.check(build_on("not building on backup " + second.at("id").get<std::string>())),
            kNothing);
}

TEST(Lines, ABackupThatWasKilledIsNoParent) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  change(server, 1);
  const Answer killed = grown.holdfast().run(
      {"backup"}, {{"HOLDFAST_FAULT_POINT", std::string("backup.manifest_stored:kill")}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id"));
  EXPECT_EQ(grown.check(made), kNothing);
}

TEST(Lines, ABackupWhoseServerCrashedIsNoParent) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  change(server, 1);
  Process backup = grown.holdfast().start(
      {"backup"}, {{"HOLDFAST_FAULT_POINT", std::string("backup.files_read:stop")}});
  wait_until_stopped(backup);
  change(server, 2);
  server.kill();
  backup.send(SIGCONT);
  const Answer failed = HoldfastProgram::answer_of(backup.wait(std::chrono::seconds(60)));
  EXPECT_EQ(failed.outcome.exit_code, 5) << failed.text();
  server.start();
  change(server, 3);
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id"));
  EXPECT_EQ(grown.check(made), kNothing);
}

TEST(Lines, AfterAFailoverItBuildsOnTheOldPrimarysBackup) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  change(server, 1);
  PostgresCluster standby =
      PostgresCluster::standby_of(server, {"archive_mode = on", "autovacuum = off"});
  standby.start();
  change(server, 2);
  grown.archived().archive();
  standby.wait_for(
      fmt::format("pg_last_wal_replay_lsn() >= '{}'", server.sql("select pg_current_wal_lsn()")));
  server.stop();
  standby.promote();
  standby.wait_for("not pg_is_in_recovery()");
  change(standby, 3);
  grown.turn_to(standby);
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id"));
  EXPECT_EQ(made.at("timeline"), 2);
  EXPECT_EQ(grown.check(made), kNothing);
}

// The server was set back to before its last backup: that one holds blocks of a line that is gone.
TEST(Lines, AfterRecoveryToBeforeTheParentAnOlderOneIsTakenThatLiesOnTheLine) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  server.sql("select pg_create_restore_point('before')");
  change(server, 1);
  grown.archived().archive();
  const Json later = grown.incremental("wal index");
  const fs::path target = grown.holdfast().new_path();
  grown.holdfast().restore(
      target, {"--target-name", "before", "--target-action", "promote", "--archive", "on"});
  server.stop();
  PostgresCluster back = start_recovered(target);
  back.wait_for("not pg_is_in_recovery()");
  grown.turn_to(back);
  grown.holdfast().must({"init", "--take-over"});
  change(back, 2);
  back.sql("select pg_create_restore_point('end'); select pg_switch_wal()");
  const Json made = grown.holdfast().backup();
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id")) << later.at("id");
  EXPECT_EQ(made.at("incremental").at("source"), "wal index") << made.dump(2);
  EXPECT_EQ(grown.check_beside(made), kNothing);
  const fs::path again = grown.holdfast().new_path();
  grown.holdfast().restore(again, {made.at("id"), "--target-immediate"});
  PostgresCluster restored = start_recovered(again);
  EXPECT_EQ(restored.sql(kRounds), "round 2");
  restored.stop();
  back.stop();
}

// A virtual machine's snapshot: the same timeline and later the same positions again, but not the
// line of the backups that were taken behind the snapshot.
TEST(Lines, AServerThatWasSetBackBuildsOnWhatIsOlderOnceItHasTakenOver) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  const Json full = grown.full();
  grown.archived().archive();
  const fs::path snapshot = server.data_directory().parent_path() / "snapshot";
  server.stop();
  run_or_throw({.arguments = as_server_user(
                    {"cp", "-a", server.data_directory().string(), snapshot.string()})});
  server.start();
  change(server, 1);
  grown.archived().archive();
  const Json lost = grown.incremental("wal index");
  grown.archived().archive();
  server.stop();
  fs::remove_all(server.data_directory());
  fs::rename(snapshot, server.data_directory());
  server.start();
  change(server, 2);
  // Beyond the lost backup's end.
  while (server.sql(fmt::format("select pg_current_wal_lsn() > '{}'",
                                lost.at("stop_lsn").get<std::string>())) != "t") {
    server.sql("select pg_create_restore_point('on'); select pg_switch_wal()");
  }
  // A backup that carries its own WAL would be recovered with the other line's from the archive.
  const Answer refused = grown.holdfast().run({"backup", "--standalone"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_NE(refused.error().find("init --take-over"), std::string::npos) << refused.error();
  grown.holdfast().must({"init", "--take-over"});
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id")) << "not " << lost.at("id");
  EXPECT_EQ(grown.check_beside(made), kNothing);
  const fs::path target = grown.holdfast().new_path();
  grown.holdfast().restore(target, {made.at("id"), "--target-immediate"});
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql(kRounds), "round 2");
  restored.stop();
}

TEST(Lines, SwitchedChecksumsAreComparedBlockByBlock) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  grown.full();
  server.stop();
  const auto checksums = [&](const char* what) {
    run_or_throw(
        {.arguments = as_server_user({(server.programs().bin_directory / "pg_checksums").string(),
                                      what, "-D", server.data_directory().string()})});
  };
  checksums("--disable");
  server.start();
  change(server, 1);
  const Json off = grown.incremental("comparison");
  EXPECT_NE(reason_of(off).find("checksums"), std::string::npos) << reason_of(off);
  server.stop();
  checksums("--enable");
  server.start();
  const Json on = grown.incremental("comparison");
  EXPECT_NE(reason_of(on).find("checksums"), std::string::npos) << reason_of(on);
  EXPECT_EQ(grown.check(on), kNothing);
}

TEST(Lines, WithoutTheWalInBetweenEverythingIsCompared) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  grown.full();
  change(server, 1);
  const std::string segment = server.sql("select pg_walfile_name(pg_current_wal_lsn())");
  grown.archived().archive();
  change(server, 2);
  grown.archived().archive();
  fs::remove(grown.archived().object_of(segment));
  fs::remove(server.data_directory() / "pg_wal" / segment);
  const Json made = grown.incremental("comparison");
  EXPECT_NE(reason_of(made).find(segment), std::string::npos) << reason_of(made);
  EXPECT_EQ(grown.check(made), kNothing);
}

TEST(Lines, WhereNothingIsArchivedEverythingIsCompared) {
  PostgresCluster server;
  server.start();
  HoldfastProgram holdfast(server);
  holdfast.init();
  make_kept(server);
  holdfast.backup();
  change(server, 1);
  const Json made = holdfast.backup();
  EXPECT_EQ(made.at("type"), "incr");
  EXPECT_EQ(made.at("incremental").at("source"), "comparison");
  EXPECT_EQ(made.at("standalone"), true);
  const Outcome told =
      run({.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                        holdfast.configuration().string(), "backup"})});
  EXPECT_NE(told.out.find("changes from comparison (" + reason_of(made) + ")"), std::string::npos)
      << told.out << told.err;
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  EXPECT_EQ(complaints_about(target, default_server()), kNothing);
}

TEST(Lines, MinimalWalInBetweenIsNoticed) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_kept(server);
  grown.full();
  const auto set = [&](const std::string& level, const std::string& rest) {
    server.sql("alter system set wal_level = " + level);
    for (const std::string& line : {std::string("archive_mode"), std::string("max_wal_senders")}) {
      server.sql(fmt::format("alter system set {} = {}", line,
                             rest == "off" ? (line == "archive_mode" ? "off" : "0")
                                           : (line == "archive_mode" ? "on" : "10")));
    }
    server.stop();
    server.start();
  };
  set("minimal", "off");
  server.sql(
      "begin; create table unlogged_rows as select i n from generate_series(1, 50000) i; "
      "truncate kept; insert into kept select i, 'minimal' from generate_series(1, 20000) i; "
      "commit");
  set("replica", "on");
  change(server, 1);
  const Json made = grown.holdfast().backup();
  EXPECT_EQ(made.at("incremental").at("source"), "comparison") << made.dump(2);
  EXPECT_EQ(grown.check(made), kNothing);
}

}  // namespace
}  // namespace holdfast::test
