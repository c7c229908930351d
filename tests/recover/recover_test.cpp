// `recover` on real servers: a copy that stands at its target beside its source, readable, goes on
// to later points, is checked, survives the death of holdfast at every step, and leaves nothing.
#include <csignal>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "support/recovering.h"
#include "support/surroundings.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

class RecoverOn : public testing::TestWithParam<ServerPrograms> {};
INSTANTIATE_TEST_SUITE_P(Server, RecoverOn, testing::ValuesIn(available_servers()),
                         [](const auto& tested) {
                           return fmt::format("Version{}", tested.param.major_version);
                         });

// The whole way, with a source that grows beyond the settings that the copy was started with.
TEST_P(RecoverOn, StandsAtItsTargetGoesForwardIsCheckedAndLeavesNothing) {
  ArchivedCluster cluster({.programs = GetParam()});
  Recovering recover(cluster);
  PostgresCluster& source = cluster.server();
  source.sql(
      "create table t as select 1 as n; create unlogged table u as select 1; "
      "create index on t (n)");
  cluster.holdfast().backup({"--type", "full"});
  source.sql("alter system set max_connections = 150");
  source.stop();
  source.start();
  source.sql("insert into t values (2)");
  source.sql("select pg_create_restore_point('before')");
  source.sql("insert into t values (3)");
  cluster.archive();

  cluster.holdfast().settings().lines = {"objectives: {recovery_time: 1h}"};
  const Json started = recover.must({"start", "--target-name", "before"});
  EXPECT_EQ(started.at("objectives").at(0).at("name"), "recovery time");
  EXPECT_EQ(started.at("objectives").at(0).at("result"), "met") << started.dump(1);
  EXPECT_EQ(started.at("state"), "paused") << started.dump(1);
  EXPECT_EQ(recover.rows(), "1,2");
  EXPECT_EQ(recover.ask("current_setting('archive_mode')"), "off");
  EXPECT_EQ(recover.ask("current_setting('listen_addresses')"), "");
  EXPECT_EQ(source.sql("select count(*) from t"), "3");
  EXPECT_EQ(recover.run({"start", "--target-name", "before"}).outcome.exit_code, 3) << "name taken";
  EXPECT_EQ(recover.run({"forward", "--target-name", "before"}).outcome.exit_code, 3) << "is there";

  // To the end that the archive has now, and no further, whatever comes later.
  EXPECT_EQ(recover.must({"forward"}).at("state"), "paused");
  EXPECT_EQ(recover.rows(), "1,2,3");
  source.sql("insert into t values (4)");
  cluster.archive();
  cluster.holdfast().settings().lines = {
      "checks:", "  - {name: rows, sql: select count(*) from t, expect: 3}",
      "  - {name: behind, sql: select count(*) from t, expect: < live}"};
  const Json checked = recover.must({"check"});  // stops the server and starts it again
  EXPECT_TRUE(checked.at("verdict").at("passed")) << checked.dump(1);
  EXPECT_EQ(recover.rows(), "1,2,3");
  cluster.holdfast().settings().lines = {
      "checks: [{name: rows, sql: select count(*) from t, expect: 4}]"};
  const Answer failed = recover.run({"check"});
  EXPECT_EQ(failed.outcome.exit_code, 1) << failed.text();
  EXPECT_FALSE(recover.status().at("verdict").at("passed"));
  EXPECT_EQ(recover.must({"forward"}).at("verdict"), Json()) << "of another point";
  EXPECT_EQ(recover.rows(), "1,2,3,4");

  const fs::path data = recover.status().at("data_directory").get<std::string>();
  const pid_t server = postmaster_of(data);
  ASSERT_GT(server, 0);
  EXPECT_EQ(recover.run({"abandon"}).outcome.exit_code, 3) << "without --yes";
  const fs::path socket_folder =
      Json::parse(read_text(recover.record())).at("server_folder").get<std::string>();
  const Json abandoned = recover.must({"abandon", "--yes"});
  EXPECT_TRUE(fs::exists(abandoned.at("record").get<std::string>()));
  EXPECT_TRUE(becomes_true([&] { return !fs::exists(fmt::format("/proc/{}", server)); }));
  EXPECT_FALSE(fs::exists(data.parent_path()));
  EXPECT_FALSE(fs::exists(socket_folder));
  EXPECT_TRUE(recover.must({"status"}).at("recoveries").empty());
}

// The line of the documentation, word for word, with the programs where they lie here.
std::string documented_line(const std::string& begin) {
  std::istringstream lines(read_text(source_folder() / "docs/recovery.md"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("$ " + begin)) return line.substr(2);
  }
  throw std::runtime_error("no line " + begin + " in docs/recovery.md");
}

// amcheck cannot be added to the copy: the databases that lack it hide nothing of those that have
// it.
TEST_P(RecoverOn, IsCheckedWhereOneDatabaseOfSeveralHasAmcheck) {
  const bool has_amcheck = GetParam().has("pg_amcheck");
  ArchivedCluster cluster({.programs = GetParam()});
  Recovering recover(cluster);
  if (has_amcheck) cluster.server().sql("create extension amcheck");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  recover.must({"start"});
  const Json verdict = recover.must({"check"}).at("verdict");
  EXPECT_TRUE(verdict.at("passed")) << verdict.dump(1);
  std::string said;
  for (const Json& check : verdict.at("checks")) {
    if (check.at("name") != "indexes") continue;
    said = check.at("verdict").get<std::string>() + ": " + check.at("detail").get<std::string>();
  }
  EXPECT_THAT(said, testing::StartsWith(has_amcheck ? "passed: " : "skipped: "));
  EXPECT_THAT(said, HasSubstr(has_amcheck ? ", without those of template1: amcheck cannot be used"
                                          : "amcheck cannot be used"));
  recover.must({"abandon", "--yes"});
}

TEST(Recover, GivesBackOneTableAsTheDocumentationSaysAndNotesWhoOpenedTheCopy) {
  ArchivedCluster cluster;
  Recovering recover(cluster);
  PostgresCluster& source = cluster.server();
  source.sql("create database app");
  const fs::path& bin = source.programs().bin_directory;
  const auto shell = [&](const std::string& script) {
    return test::run({.arguments = as_server_user({"/bin/sh", "-c", script}),
                      .environment = {{"PGHOST", source.socket_directory().string()},
                                      {"PGPORT", std::to_string(source.port())},
                                      {"PGUSER", "postgres"},
                                      {"PATH", bin.string() + ":/usr/bin:/bin"},
                                      {"HOLDFAST_POSTGRES_BIN_DIRECTORY", bin.string()}}});
  };
  ASSERT_TRUE(shell("psql app -c 'create table orders as select 1 as n union select 2'").ok());
  cluster.holdfast().backup({"--type", "full"});
  source.sql("select pg_create_restore_point('before')");
  ASSERT_TRUE(shell("psql app -c 'drop table orders; create table others (n int)'").ok());
  cluster.archive();
  recover.must({"start", "--target-name", "before"});
  const Outcome given_back = shell(fmt::format(
      "holdfast() {{ '{}' --config '{}' \"$@\"; }}\ncd '{}'\n{}\n", HoldfastProgram::path(),
      cluster.holdfast().configuration().string(), source.socket_directory().string(),
      documented_line("pg_dump \"$(holdfast recover connect --print")));
  EXPECT_TRUE(given_back.ok()) << given_back.out << given_back.err;
  EXPECT_EQ(shell("psql app -Atc 'select sum(n) from orders, (select count(*) from others) o'").out,
            "3\n");
  EXPECT_EQ(recover.ask("1"), "1");
  EXPECT_EQ(recover.run({"connect", "--print", "--command", "select 1"}).outcome.exit_code, 2);
  int opened = 0;
  const Json log = cluster.holdfast().must({"log"});
  for (const Json& action : log.at("actions")) {
    if (action.at("command") != "recover connect" || action.at("exit") != 0) continue;
    EXPECT_FALSE(action.at("user").get<std::string>().empty());
    ++opened;
  }
  EXPECT_EQ(opened, 2) << log.dump(1);
  // psql takes the program's place: what nobody has said by then is never said.
  const fs::path audit = cluster.holdfast().state_directory() / "audit.jsonl";
  fs::rename(audit, audit.native() + ".aside");
  fs::create_directory(audit);
  const Outcome asked =
      shell(fmt::format("'{}' --config '{}' recover connect --command 'select 40 + 2'",
                        HoldfastProgram::path(), cluster.holdfast().configuration().string()));
  EXPECT_THAT(asked.out, HasSubstr("42"));
  EXPECT_THAT(asked.err, HasSubstr("missing from the audit log"));
  fs::remove(audit);
  fs::rename(audit.native() + ".aside", audit);
  recover.must({"abandon", "--yes"});
}

// Killed at each step, by SIGKILL, it is explained by status and finished by the next call.
TEST(Recover, GoesOnWhereItWasKilled) {
  ArchivedCluster cluster;
  Recovering recover(cluster);
  cluster.server().sql("create table t as select 1 as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const auto expect_interrupted_in = [&](const std::string& step) {
    const Json status = recover.status();
    EXPECT_EQ(status.at("steps").back().at("name"), step);
    EXPECT_EQ(status.at("steps").back().at("result"), "under way");
    EXPECT_THAT(status.at("next").get<std::string>(), HasSubstr("recover start --name recovery"));
  };
  EXPECT_EQ(recover.run({"start"}, "restore.window_written:kill").outcome.signal, SIGKILL);
  expect_interrupted_in("restore");
  EXPECT_EQ(recover.status().at("state"), "interrupted");
  // The later ones go by the clock: on an odd machine one of them may have ended before it is hit.
  int killed = recover.kill_in_step({"start"}, "replay") ? 1 : 0;
  if (killed == 1) expect_interrupted_in("replay");
  EXPECT_EQ(recover.must({"start"}).at("state"), "paused");
  EXPECT_EQ(recover.rows(), "1,2");

  killed += recover.kill_in_step({"check"}, "check") ? 1 : 0;
  EXPECT_EQ(recover.must({"start"}).at("state"), "paused");
  EXPECT_TRUE(recover.must({"check"}).at("verdict").at("passed"));

  cluster.server().sql("insert into t values (3)");
  cluster.archive();
  killed += recover.kill_in_step({"forward"}, "forward") ? 1 : 0;
  EXPECT_GE(killed, 1);
  recover.must({"start"});   // to the old point or the new one, as far as it had come
  recover.run({"forward"});  // refused where it is there already
  EXPECT_EQ(recover.rows(), "1,2,3");

  const pid_t server = postmaster_of(recover.status().at("data_directory").get<std::string>());
  recover.kill_in_step({"abandon", "--yes"}, "abandon");
  if (fs::exists(recover.record())) {  // else it had got to its end
    EXPECT_EQ(recover.run({"start"}).outcome.exit_code, 3)
        << "what is being abandoned is not begun";
    recover.must({"abandon", "--yes"});
  }
  EXPECT_TRUE(becomes_true([&] { return !fs::exists(fmt::format("/proc/{}", server)); }));
  EXPECT_FALSE(fs::exists(recover.record().parent_path() / "recovery.copy"));
}

TEST(Recover, RefusesASecondOperatorAndAFolderOfSomebodyElse) {
  ArchivedCluster cluster;
  Recovering recover(cluster);
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  const fs::path scratch = cluster.holdfast().new_path("scratch");
  fs::create_directories(scratch / "holdfast-recovery-demo-recovery");
  write_text(scratch / "holdfast-recovery-demo-recovery" / "precious", "data");
  EXPECT_EQ(recover.run({"start", "--scratch", scratch.string()}).outcome.exit_code, 3);
  EXPECT_EQ(read_text(scratch / "holdfast-recovery-demo-recovery" / "precious"), "data");
  EXPECT_FALSE(fs::exists(recover.record()));

  Process first = recover.start({"start"});
  ASSERT_TRUE(becomes_true(
      [&] { return recover.is_under_way("restore") || recover.is_under_way("replay"); }));
  first.send(SIGSTOP);
  for (const std::vector<std::string>& second :
       std::vector<std::vector<std::string>>{{"start"}, {"check"}, {"abandon", "--yes"}}) {
    const Answer answer = recover.run(second);
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    EXPECT_THAT(answer.error(), HasSubstr("somebody else works on"));
  }
  EXPECT_EQ(recover.status().at("state"), "working");
  first.send(SIGCONT);
  EXPECT_TRUE(first.wait(120s).ok());
  EXPECT_EQ(recover.status().at("state"), "paused");
  EXPECT_EQ(recover.run({"status", "another"}).outcome.exit_code, 1);
  recover.must({"abandon", "--yes"});
}

// Whoever restarts the machine finds the copy where it was.
TEST(Recover, StartsAStoppedCopyAgainAtTheSamePoint) {
  ArchivedCluster cluster;
  Recovering recover(cluster);
  cluster.server().sql("create table t as select 1 as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  const fs::path data = recover.must({"start"}).at("data_directory").get<std::string>();
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const pid_t server = postmaster_of(data);
  ::kill(server, SIGQUIT);
  ASSERT_TRUE(becomes_true([&] { return !fs::exists(fmt::format("/proc/{}", server)); }));
  EXPECT_EQ(recover.status().at("state"), "stopped");
  EXPECT_EQ(recover.must({"start"}).at("state"), "paused");
  EXPECT_EQ(recover.rows(), "1");
  recover.must({"abandon", "--yes"});
}

}  // namespace
}  // namespace holdfast::test
