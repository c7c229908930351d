// Histories: two lines of WAL never mix, every refusal names the way out, and both lines stay
// restorable.
#include <fmt/format.h>

#include "repository/names.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// As a virtual machine's snapshot of a stopped server, which then runs on.
fs::path take_snapshot(PostgresCluster& server) {
  const fs::path snapshot = server.data_directory().parent_path() / "snapshot";
  server.stop();
  run_or_throw({.arguments = as_server_user(
                    {"cp", "-a", server.data_directory().string(), snapshot.string()})});
  server.start();
  return snapshot;
}

void set_back_to(const fs::path& snapshot, PostgresCluster& server) {
  server.stop();
  fs::remove_all(server.data_directory());
  fs::rename(snapshot, server.data_directory());
  server.start();
}

std::string kept(const PostgresCluster& server) {
  return server.sql("select string_agg(n::text, ' ' order by n) from kept");
}

std::string recovered(ArchivedCluster& archived, const std::vector<std::string>& options) {
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target, options);
  PostgresCluster restored = start_recovered(target);
  const std::string rows = kept(restored);
  restored.stop(PostgresCluster::Shutdown::kImmediate);
  return rows;
}

void wait_for_failure(PostgresCluster& server, const std::string& said) {
  server.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  EXPECT_NE(server.log().find(said), std::string::npos) << server.log();
}

void wait_until_archiving_flows(PostgresCluster& server) {
  server.sql("select pg_create_restore_point('flows')");
  const std::string segment = server.sql("select pg_walfile_name(pg_switch_wal())");
  server.wait_for(fmt::format("(select last_archived_wal >= '{}' from pg_stat_archiver)", segment));
}

TEST(History, AServerThatWasSetBackTakesOverAndBothLinesStayRestorable) {
  ArchivedCluster archived;
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  server.sql("create table kept (n int); insert into kept values (1)");
  holdfast.backup({"--name", "common"});
  archived.archive();
  const fs::path snapshot = take_snapshot(server);
  server.sql("insert into kept values (2)");
  for (int i = 0; i < 4; ++i) archived.archive();
  // Found in a review: this backup, beyond the fork, made the new line's end a gap.
  holdfast.backup({"--name", "left"});

  set_back_to(snapshot, server);
  server.sql("insert into kept values (30)");
  server.sql("select pg_switch_wal()");
  wait_for_failure(server, "init --take-over");
  const Json taken = holdfast.must({"init", "--take-over"});
  const std::string history = taken.at("history");
  EXPECT_EQ(history.substr(0, 5), "0002-");
  wait_until_archiving_flows(server);

  EXPECT_EQ(recovered(archived, {}), "1 30");
  EXPECT_EQ(recovered(archived, {"--history", "0001" + history.substr(4)}), "1 2");
  // Found in a review: a standby was bound to its backup's history, and could not archive.
  const fs::path standby = holdfast.new_path("standby");
  holdfast.must({"restore", "--standby", "--to", standby.string()});
  EXPECT_NE(read_text(standby / "holdfast.history").find(history), std::string::npos);
  holdfast.backup({"--name", "after"});
  server.sql("insert into kept values (40)");
  archived.archive();
  EXPECT_EQ(recovered(archived, {}), "1 30 40");
  EXPECT_EQ(holdfast.must({"init", "--take-over"}).at("history"), history);  // nothing to take over
  EXPECT_EQ(holdfast.init().at("history"), history);  // what this server writes
  EXPECT_EQ(recovered(archived, {"common", "--history", "0001" + history.substr(4)}), "1 2");
}

// Found by an attack: the fork was put behind segments that had never been compared.
TEST(History, TheForkLiesBeforeWalThatNoLongerWaitsForTheArchive) {
  ArchivedCluster archived;
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  server.sql("create table kept (n int); insert into kept values (1)");
  holdfast.backup();
  archived.archive();
  const fs::path snapshot = take_snapshot(server);
  for (const int n : {2, 3, 4}) {
    server.sql(fmt::format("insert into kept values ({})", n));
    archived.archive();
  }
  set_back_to(snapshot, server);
  const std::string command = server.sql("show archive_command");
  server.sql("alter system set archive_command = '/bin/true'");
  server.sql("select pg_reload_conf()");
  for (const int n : {102, 103, 104}) {
    server.sql(fmt::format("insert into kept values ({})", n));
    archived.archive();
  }
  server.sql(fmt::format("alter system set archive_command = '{}'", command));
  server.sql("select pg_reload_conf()");
  server.wait_for("current_setting('archive_command') like '%archive-push%'");
  // Neither may another line's segment count as this server's.
  EXPECT_EQ(holdfast.run({"check"}).outcome.exit_code, 1);
  EXPECT_EQ(holdfast.run({"backup"}).outcome.exit_code, 3);
  holdfast.must({"init", "--take-over"});
  holdfast.backup();
  server.sql("insert into kept values (105)");
  wait_until_archiving_flows(server);
  EXPECT_EQ(recovered(archived, {}), "1 102 103 104 105");
}

// A server that was set back, and whose segments were acknowledged by something else until it had
// passed what the other line stored: no name is taken, and only the segment before tells.
TEST(History, WalThatWouldFollowAnotherLinesInTheArchiveIsRefused) {
  ArchivedCluster archived;
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  server.sql("create table kept (n int); insert into kept values (1)");
  holdfast.backup();
  archived.archive();
  const fs::path snapshot = take_snapshot(server);
  for (const int n : {2, 3}) {
    server.sql(fmt::format("insert into kept values ({})", n));
    archived.archive();
  }
  set_back_to(snapshot, server);
  const std::string command = server.sql("show archive_command");
  server.sql("alter system set archive_command = '/bin/true'");
  server.sql("select pg_reload_conf()");
  server.wait_for("current_setting('archive_command') = '/bin/true'");
  for (const int n : {102, 103}) {
    server.sql(fmt::format("insert into kept values ({})", n));
    archived.archive();
  }
  server.sql(fmt::format("alter system set archive_command = '{}'", command));
  server.sql("select pg_reload_conf()");
  server.wait_for("current_setting('archive_command') like '%archive-push%'");
  server.sql("insert into kept values (104)");
  server.sql("select pg_switch_wal()");
  wait_for_failure(server, "which is before this segment, with other content");
  EXPECT_NE(server.log().find("init --take-over"), std::string::npos);
  holdfast.must({"init", "--take-over"});
  wait_until_archiving_flows(server);
  holdfast.backup();
  EXPECT_EQ(recovered(archived, {}), "1 102 103 104");
}

TEST(History, TwoCopiesThatWerePromotedToOneTimelineDoNotMix) {
  ArchivedCluster archived;
  PostgresCluster& source = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  source.sql("create table kept (n int); insert into kept values (1)");
  holdfast.backup();
  archived.archive();
  source.stop();
  std::vector<std::string> rows;
  for (const int number : {20, 30}) {
    const fs::path target = holdfast.new_path();
    // Each is restored from the first line, and both become timeline 2.
    const std::string first = holdfast.must({"list"}).at("backups").at(0).at("history");
    holdfast.restore(target, {"--history", first, "--archive", "on"});
    PostgresCluster copy = start_recovered(target);
    EXPECT_EQ(copy.sql("select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), "00000002");
    copy.sql(fmt::format("insert into kept values ({})", number));
    holdfast.other_connection = copy.connection();
    holdfast.other_data_directory = target;
    holdfast.must({"init", "--take-over"});
    wait_until_archiving_flows(copy);
    rows.push_back(recovered(archived, {}));
    copy.stop();
  }
  EXPECT_EQ(rows, (std::vector<std::string>{"1 20", "1 30"}));
}

TEST(History, AClusterThatWasMadeAnewIsRegisteredByUpgrade) {
  ArchivedCluster archived;
  archived.server().sql("create table kept (n int); insert into kept values (1)");
  archived.holdfast().backup({"--name", "before"});
  archived.archive();
  const std::string command = archived.server().sql("show archive_command");
  archived.server().stop();

  PostgresCluster anew({.settings = {"archive_mode = on", "archive_command = '" + command + "'"}});
  anew.start();
  HoldfastProgram& holdfast = archived.holdfast();
  holdfast.other_connection = anew.connection();
  holdfast.other_data_directory = anew.data_directory();
  EXPECT_EQ(holdfast.run({"backup"}).outcome.exit_code, 3);
  EXPECT_NE(holdfast.run({"backup"}).error().find("init --upgrade"), std::string::npos);
  anew.sql("create table kept (n int); insert into kept values (70)");
  anew.sql("select pg_switch_wal()");
  wait_for_failure(anew, "init --upgrade");
  holdfast.must({"init", "--upgrade"});
  wait_until_archiving_flows(anew);
  holdfast.backup({"--name", "after"});
  anew.sql("insert into kept values (80)");
  wait_until_archiving_flows(anew);
  EXPECT_EQ(recovered(archived, {}), "70 80");
  EXPECT_EQ(recovered(archived, {"before"}), "1");
}

TEST(History, ATakeOverThatWasKilledGoesOnAndOpensNoSecondHistory) {
  for (const char* const point : {"take_over.opened", "take_over.bound"}) {
    SCOPED_TRACE(point);
    ArchivedCluster archived;
    HoldfastProgram& holdfast = archived.holdfast();
    archived.server().sql("create table kept (n int); insert into kept values (1)");
    holdfast.backup();
    archived.archive();
    archived.server().stop();
    const fs::path target = holdfast.new_path();
    holdfast.restore(target, {"--archive", "on"});
    PostgresCluster copy = start_recovered(target);
    holdfast.other_connection = copy.connection();
    holdfast.other_data_directory = target;
    const Answer killed = holdfast.run({"init", "--take-over"},
                                       {{"HOLDFAST_FAULT_POINT", std::string(point) + ":kill"}});
    EXPECT_EQ(killed.outcome.signal, SIGKILL);
    holdfast.must({"init", "--take-over"});
    wait_until_archiving_flows(copy);
    copy.sql("insert into kept values (2)");
    holdfast.backup();
    wait_until_archiving_flows(copy);
    EXPECT_EQ(recovered(archived, {}), "1 2");
    int histories = 0;
    for (const auto& entry : fs::directory_iterator(holdfast.repository_folder() / "demo")) {
      histories += parse_history_name(entry.path().filename().string()) ? 1 : 0;
    }
    // One that nothing was written to may stay behind where the name was not known yet.
    EXPECT_LE(histories, std::string_view(point) == "take_over.opened" ? 3 : 2);
  }
}

}  // namespace
}  // namespace holdfast::test
