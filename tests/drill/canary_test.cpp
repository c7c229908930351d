// `canary`: it writes what a drill measures by, and stands in nobody's way.
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "core/time.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

struct Written {
  Written() : holdfast(server) {
    server.start();
    holdfast.init();
  }
  Json once() { return holdfast.must({"canary", "--once"}); }

  PostgresCluster server{ClusterOptions{}};
  HoldfastProgram holdfast;
};

TEST(Canary, KeepsTheNewestRowsAndLeavesNoSession) {
  Written written;
  written.holdfast.settings().lines = {"canary: {keep: 3}"};
  for (int number = 1; number <= 5; ++number) {
    const Json row = written.once();
    EXPECT_EQ(row.at("state"), "written");
    EXPECT_EQ(row.at("number"), number);
  }
  EXPECT_EQ(written.server.sql("select string_agg(number::text, ',' order by number) from "
                               "holdfast.canary where lsn <= pg_current_wal_insert_lsn()"),
            "3,4,5");
  EXPECT_EQ(written.server.sql("select count(*) from holdfast.canary where written > now() - "
                               "interval '1 hour' and written <= clock_timestamp()"),
            "3");
  written.server.wait_for(
      "(select count(*) = 0 from pg_stat_activity where application_name like 'holdfast%')");
  EXPECT_THAT(written.holdfast.must({"log"}).dump(), Not(HasSubstr("canary")))
      << "a single row is not for the audit log";
}

TEST(Canary, WritesNothingOnAStandbyAndTheServersLogStaysSilent) {
  Written written;
  written.once();
  written.server.sql("alter system set default_transaction_read_only = on");
  written.server.sql("select pg_reload_conf()");
  written.server.wait_for("current_setting('default_transaction_read_only') = 'on'");
  EXPECT_EQ(written.once().at("state"), "read-only");

  written.server.stop();
  write_text(written.server.data_directory() / "standby.signal", "");
  give_to_server_user(written.server.data_directory() / "standby.signal");
  written.server.start();
  const std::string before = written.server.log();
  EXPECT_EQ(written.once().at("state"), "read-only");
  EXPECT_TRUE(written.once().at("number").is_null());
  EXPECT_THAT(written.server.log().substr(before.size()), Not(HasSubstr("ERROR")));
  EXPECT_EQ(written.server.sql("select count(*) from holdfast.canary"), "1");
}

TEST(Canary, RunsNobodyElsesCode) {
  Written written;
  written.server.sql("create role mallory; create schema holdfast authorization mallory");
  const Answer schema = written.holdfast.run({"canary", "--once"});
  EXPECT_EQ(schema.outcome.exit_code, 3) << schema.text();
  EXPECT_THAT(schema.error(), HasSubstr("schema holdfast"));

  written.server.sql(
      "alter schema holdfast owner to postgres; grant all on schema holdfast to mallory;"
      "set role mallory; create table holdfast.canary (number bigint primary key, written "
      "timestamptz, lsn pg_lsn)");
  const Answer table = written.holdfast.run({"canary", "--once"});
  EXPECT_EQ(table.outcome.exit_code, 3) << table.text();
  EXPECT_THAT(table.error(), HasSubstr("table holdfast.canary"));
  EXPECT_EQ(written.server.sql("select count(*) from holdfast.canary"), "0");
}

TEST(Canary, GivesUpOnALockThatSomebodyHolds) {
  Written written;
  written.once();
  const std::string holder = "begin; lock table holdfast.canary; select pg_sleep(600)";
  std::thread session([&] { EXPECT_ANY_THROW(written.server.sql(holder)); });
  written.server.wait_for(
      "(select count(*) > 0 from pg_locks where relation = 'holdfast.canary'::regclass and mode = "
      "'AccessExclusiveLock' and granted)");
  const Answer answer = written.holdfast.run({"canary", "--once"});
  EXPECT_EQ(answer.outcome.exit_code, 5) << answer.text();
  EXPECT_THAT(answer.error(), HasSubstr("55P03"));
  written.server.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%' and "
      "pid <> pg_backend_pid()");
  session.join();
}

// libpq reads the service file for each connection, so that a restarted server is found on its new
// port.
TEST(Canary, GoesOnAfterARestartAndEndsWhenItIsTold) {
  Written written;
  const fs::path services = written.holdfast.folder() / "services";
  const auto tell_port = [&] {
    write_text(services,
               fmt::format("[here]\nhost={}\nport={}\nuser=postgres\ndbname=postgres\n",
                           written.server.socket_directory().string(), written.server.port()));
    give_to_server_user(services);
  };
  tell_port();
  written.holdfast.other_connection = "service=here";
  Process canary = written.holdfast.start({"canary", "--interval", "200ms"},
                                          {{"PGSERVICEFILE", services.string()}});
  written.server.wait_for("to_regclass('holdfast.canary') is not null");
  written.server.wait_for("(select max(number) > 2 from holdfast.canary)");
  written.server.stop();
  written.server.start();
  const std::string last = written.server.sql("select max(number) from holdfast.canary");
  tell_port();
  written.server.wait_for(fmt::format("(select max(number) > {} from holdfast.canary)", last));
  EXPECT_TRUE(canary.running());
  canary.send(SIGTERM);
  EXPECT_EQ(canary.wait(60s).signal, SIGTERM);
  written.holdfast.other_connection.reset();
  const Json log = written.holdfast.must({"log"});
  EXPECT_THAT(log.dump(), HasSubstr("canary"));
}

std::string verdict_of(const Json& report, const std::string& name) {
  for (const Json& check : report.at("checks")) {
    if (check.at("name") == name) return check.at("verdict");
  }
  return "absent";
}

TEST(Canary, SaysInADrillHowMuchWasLost) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  holdfast.backup({"--type", "full"});
  holdfast.must({"canary", "--once"});
  const Json first = holdfast.must({"canary", "--once"});
  const std::string target = cluster.server().sql(
      "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
  holdfast.must({"canary", "--once"});
  cluster.archive();
  holdfast.settings().lines = {"objectives: {recovery_point: 100d}"};
  const Json report = holdfast.must({"drill", "--target-time", target});
  EXPECT_EQ(report.at("canary").at("number"), 2) << "the third row is behind the target";
  EXPECT_EQ(report.at("canary").at("written"), first.at("written"));
  EXPECT_EQ(report.at("recovery_point_by"), "canary");
  const Seconds lost =
      *parse_rfc3339(target) - *parse_rfc3339(first.at("written").get<std::string>());
  EXPECT_NEAR(report.at("recovery_point_seconds").get<double>(), lost.count(), 1e-6);
  EXPECT_EQ(verdict_of(report, "recovery point"), "passed");
  const Json proof = holdfast.must({"show", "latest"}).at("proof");
  EXPECT_NEAR(proof.at("recovery_point_seconds").get<double>(), lost.count(), 1e-6);

  // It stopped long before the end: what came back is newer.
  cluster.server().sql("update holdfast.canary set written = written - interval '1 day'");
  cluster.archive();
  const Json later = holdfast.must({"drill"});
  EXPECT_EQ(later.at("canary").at("number"), 3);
  EXPECT_EQ(later.at("recovery_point_by"), "transaction");
  EXPECT_LT(later.at("recovery_point_seconds").get<double>(), 80'000);
}

}  // namespace
}  // namespace holdfast::test
