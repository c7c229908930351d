// `drill` on real servers: it passes where all is well, leaves nothing behind, reaches nothing
// outside of itself, and fails where something is wrong.
#include <csignal>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

std::string verdict_of(const Json& report, const std::string& name) {
  for (const Json& check : report.at("checks")) {
    if (check.at("name") == name) return check.at("verdict");
  }
  return "absent";
}

std::string detail_of(const Json& report, const std::string& name) {
  for (const Json& check : report.at("checks")) {
    if (check.at("name") == name) return check.at("detail");
  }
  return {};
}

// A cluster that writes no WAL anywhere but into its backups.
struct Alone {
  explicit Alone(ClusterOptions options = {}) : server(std::move(options)), holdfast(server) {
    server.start();
    holdfast.init();
  }
  Answer drill_of_new_backup(const std::vector<std::string>& more = {}) {
    holdfast.backup({"--type", "full"});
    std::vector<std::string> arguments{"drill"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return holdfast.run(arguments);
  }

  PostgresCluster server;
  HoldfastProgram holdfast;
};

class DrillOn : public testing::TestWithParam<ServerPrograms> {};
INSTANTIATE_TEST_SUITE_P(Server, DrillOn, testing::ValuesIn(available_servers()),
                         [](const auto& tested) {
                           return fmt::format("Version{}", tested.param.major_version);
                         });

TEST_P(DrillOn, BringsBackWhatWasArchivedAndLeavesOnlyProofAndReport) {
  ArchivedCluster cluster({.programs = GetParam()});
  cluster.server().sql("create table t as select g n from generate_series(1, 1000) g");
  cluster.server().sql("create index on t (n)");
  cluster.holdfast().backup({"--type", "full"});
  cluster.server().sql("insert into t values (-1)");
  cluster.archive();
  const Json report = cluster.holdfast().must(
      {"drill"}, {{"HOLDFAST_POSTGRES_BIN_DIRECTORY", GetParam().bin_directory.string()}});
  EXPECT_TRUE(report.at("passed"));
  EXPECT_EQ(verdict_of(report, "recovery"), "passed");
  EXPECT_EQ(verdict_of(report, "files"), "passed");
  const auto expect_check = [&](const char* name, bool possible) {
    EXPECT_EQ(verdict_of(report, name), possible ? "passed" : "skipped") << report.dump(1);
  };
  const bool has_amcheck =
      !cluster.server().sql("select 1 from pg_available_extensions where name = 'amcheck'").empty();
  expect_check("indexes", has_amcheck);
  expect_check("tables", has_amcheck && GetParam().major_version >= 14);
  const bool has_checksums = GetParam().has("pg_checksums");
  expect_check("checksums", has_checksums);
  EXPECT_FALSE(report.at("last_transaction").is_null());
  EXPECT_TRUE(report.at("data_directory").is_null());
  EXPECT_FALSE(fs::exists(cluster.holdfast().state_directory() / "drill"));
  EXPECT_TRUE(fs::exists(report.at("report").get<std::string>()));
  EXPECT_THAT(read_text(report.at("reports").at(0).get<std::string>()),
              HasSubstr(has_checksums ? "| checksums | passed |" : "| checksums | skipped |"));
  EXPECT_THAT(read_text(report.at("reports").at(1).get<std::string>()),
              HasSubstr("<td>checksums</td>"));
  EXPECT_EQ(report.at("verdict"), "passed");
  const Json proof = cluster.holdfast().must({"show", "latest"}).at("proof");
  EXPECT_EQ(proof.at("mode"), "drill");
  EXPECT_TRUE(proof.at("ok"));
}

TEST(Drill, ToATargetRecoversNoFurther) {
  ArchivedCluster cluster;
  cluster.server().sql("create table t (n int)");
  cluster.holdfast().backup({"--type", "full"});
  cluster.server().sql("insert into t values (1)");
  cluster.server().sql("select pg_create_restore_point('before')");
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const Json report = cluster.holdfast().must(
      {"drill", "--target-name", "before", "--keep", "--scratch", cluster.holdfast().new_path()});
  EXPECT_THAT(report.at("target").get<std::string>(), HasSubstr("before"));
  PostgresCluster copy = PostgresCluster::on(report.at("data_directory").get<std::string>());
  copy.start();
  EXPECT_EQ(copy.sql("select string_agg(n::text, ',') from t"), "1");
}

// A time needs a transaction behind it: now has none, and nor has an hour ago where nobody writes.
TEST(Drill, OfAnIdleServerReachesNowAndAnyMomentThatThereIs) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  cluster.server().sql("create table t (n int)");
  holdfast.backup({"--type", "full"});
  cluster.server().sql("insert into t values (1)");
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const Json now = holdfast.must({"drill", "--target-time", "now"});
  EXPECT_TRUE(now.at("passed")) << now.dump(1);
  EXPECT_THAT(now.at("target").get<std::string>(), HasSubstr("the end of the archive"));
  EXPECT_FALSE(now.at("recovery_point_seconds").is_null());
  std::this_thread::sleep_for(1100ms);
  const Answer refused = holdfast.run({"drill", "--target-time", "-1s"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_THAT(refused.error(), HasSubstr("the last archived transaction finished at"));
  // What the checklist tells to do.
  EXPECT_TRUE(holdfast.must({"drill", "--target-time", "random"}).at("passed"));
}

// Hostile ones that not every version has.
std::string settings_since(int version) {
  std::string lines;
  if (version >= 14) lines += "min_dynamic_shared_memory = '500GB'\n";
  if (version >= 15) lines += "archive_library = 'no_such_library'\n";
  if (version >= 16) lines += "debug_io_direct = 'data'\n";
  if (version >= 17) {
    lines += "summarize_wal = on\nsync_replication_slots = on\n";
    lines += "transaction_buffers = '1GB'\nmultixact_member_buffers = '1GB'\n";
  }
  if (version >= 18) lines += "io_method = io_uring\nmax_active_replication_origins = 0\n";
  return lines;
}

// Everything by which a copy could do something outside of itself, or not start for what it lacks
// here, stands in the source's configuration. That the drill passes shows that none of it counted.
TEST_P(DrillOn, ReachesNothingOutsideOfItself) {
  const int version = GetParam().major_version;
  ArchivedCluster cluster({.programs = GetParam()});
  const fs::path outside = cluster.holdfast().new_path("outside");
  fs::create_directory(outside);
  fs::permissions(outside, fs::perms::all);
  cluster.server().sql(
      "alter database template1 set session_preload_libraries = 'no_such_library'");
  cluster.server().sql("alter database template1 set local_preload_libraries = 'no_such_library'");
  // An enabled subscription: a copy with a worker for it would look for its publisher.
  cluster.server().sql(
      "create subscription far connection 'host=/nowhere dbname=x' publication p "
      "with (connect = false, slot_name = far)");
  cluster.server().sql("alter subscription far enable");
  if (version >= 17) {
    cluster.server().sql(
        "create function refuse() returns event_trigger language plpgsql as "
        "$$begin if current_setting('port') = '5432' then raise 'fired'; end if; end$$; "
        "create event trigger at_login on login execute function refuse(); "
        "alter event trigger at_login enable always");
  }
  append_text(cluster.server().data_directory() / "postgresql.conf",
              fmt::format("data_directory = '{0}/no'\nhba_file = '{0}/no'\nident_file = '{0}/no'\n"
                          "external_pid_file = '{0}/pid'\n",
                          outside.string()));
  append_text(
      cluster.server().data_directory() / "postgresql.auto.conf",
      fmt::format("\narchive_mode = always\narchive_command = 'touch {0}/archived'\n"
                  "archive_cleanup_command = 'touch {0}/cleaned'\n"
                  "recovery_end_command = 'touch {0}/ended'\n"
                  "external_pid_file = '{0}/pid'\n"
                  "logging_collector = on\nlog_directory = '{0}/log'\n"
                  "log_destination = 'csvlog'\n"
                  "listen_addresses = '*'\nport = {1}\nunix_socket_directories = '{2}'\n"
                  "unix_socket_group = 'no_such_group'\n"
                  "ssl = on\nssl_cert_file = '{0}/no'\n"
                  "primary_conninfo = 'host={2} port={1}'\nprimary_slot_name = 'no_such_slot'\n"
                  "synchronous_standby_names = 'nobody'\n"
                  "shared_preload_libraries = 'no_such_library'\n"
                  "max_wal_senders = 100\nhot_standby = on\nmax_connections = 10\n"
                  "shared_buffers = '500GB'\nhuge_pages = on\ntemp_tablespaces = 'no_such_space'\n"
                  "wal_buffers = '1GB'\nmax_logical_replication_workers = 4\n"
                  "max_wal_size = '4TB'\nmin_wal_size = '1TB'\nwal_keep_size = '1TB'\n"
                  "zero_damaged_pages = on\nignore_checksum_failure = on\n{3}",
                  outside.string(), cluster.server().port(),
                  cluster.server().socket_directory().string(), settings_since(version)));
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  const Json report = cluster.holdfast().must(
      {"drill", "--keep"},
      {{"HOLDFAST_POSTGRES_BIN_DIRECTORY", GetParam().bin_directory.string()}});
  EXPECT_TRUE(report.at("passed")) << report.dump(1);
  const fs::path copy = report.at("data_directory").get<std::string>();
  const std::string log = read_text(copy.parent_path() / "postgresql.log");
  EXPECT_THAT(log, HasSubstr("ready to accept connections"));
  EXPECT_THAT(log, Not(HasSubstr("logical replication")));
  EXPECT_FALSE(fs::exists(copy / "pg_wal" / "summaries") &&
               !fs::is_empty(copy / "pg_wal" / "summaries"));
  EXPECT_TRUE(fs::is_empty(outside));
  EXPECT_EQ(cluster.server().sql("select count(*) from pg_stat_replication"), "0");
}

TEST(Drill, FailsWhereTheRepositoryIsDamagedAndSaysSoBesideTheBackup) {
  Alone alone;
  alone.holdfast.backup({"--type", "full"});
  for (const auto& entry : fs::recursive_directory_iterator(alone.holdfast.repository_folder())) {
    if (entry.path().parent_path().filename() != "pack") continue;
    std::string content = read_text(entry.path());
    for (std::size_t at = 100; at < content.size(); at += 1000) content[at] ^= 1;
    write_text(entry.path(), content);
    give_to_server_user(entry.path());
  }
  const Answer answer = alone.holdfast.run({"drill"});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(answer.kind(), "check_failed");
  EXPECT_EQ(verdict_of(answer.result(), "recovery"), "failed");
  EXPECT_THAT(detail_of(answer.result(), "recovery"), HasSubstr("/pack/"));
  const Json proof = alone.holdfast.must({"show", "latest"}).at("proof");
  EXPECT_EQ(proof.at("mode"), "drill");
  EXPECT_FALSE(proof.at("ok"));
}

TEST(Drill, FailsWhereAnIndexLacksARow) {
  Alone alone;
  // The function that the index was built with is another one now.
  alone.server.sql(
      "create function key(n int) returns int immutable language sql as 'select n';"
      "create table t as select g n from generate_series(1, 500) g; create index found_wrong on t "
      "(key(n));"
      "create or replace function key(n int) returns int immutable language sql as 'select -n'");
  const Answer answer = alone.drill_of_new_backup();
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(verdict_of(answer.result(), "indexes"), "failed");
  EXPECT_THAT(detail_of(answer.result(), "indexes"), HasSubstr("found_wrong"));
  EXPECT_EQ(verdict_of(answer.result(), "tables"), "passed");
}

void write_into_first_page(const fs::path& relation, std::size_t offset, const std::string& bytes) {
  std::string content = read_text(relation);
  content.replace(offset, bytes.size(), bytes);
  write_text(relation, content);
  give_to_server_user(relation);
}

TEST(Drill, FailsWhereATableHoldsTheImpossible) {
  Alone alone({.checksums = Checksums::kOff});
  alone.server.sql("create table broken as select g n from generate_series(1, 100) g; checkpoint");
  const fs::path file =
      alone.server.data_directory() / alone.server.sql("select pg_relation_filepath('broken')");
  alone.server.stop();
  const std::string page = read_text(file);
  // The first line pointer: 15 bits of offset. There the tuple's xmin, now of the far future.
  const auto tuple = (static_cast<unsigned char>(page[24]) |
                      static_cast<std::size_t>(static_cast<unsigned char>(page[25])) << 8U) &
                     0x7fffU;
  write_into_first_page(file, tuple, std::string("\xff\xff\xff\x6f", 4));
  alone.server.start();
  const Answer answer = alone.drill_of_new_backup();
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(verdict_of(answer.result(), "tables"), "failed");
  EXPECT_THAT(detail_of(answer.result(), "tables"), HasSubstr("broken"));
  EXPECT_EQ(verdict_of(answer.result(), "checksums"), "skipped");
}

TEST(Drill, FailsWhereAPageIsNotWhatWasWritten) {
  Alone alone;
  alone.server.sql("create table rotten as select g n from generate_series(1, 5) g; checkpoint");
  const fs::path file =
      alone.server.data_directory() / alone.server.sql("select pg_relation_filepath('rotten')");
  alone.server.stop();
  write_into_first_page(file, 4000, "rot");  // in the hole between line pointers and rows
  alone.server.start();
  const Answer answer = alone.drill_of_new_backup();
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(verdict_of(answer.result(), "checksums"), "failed");
}

TEST(Drill, FailsWhereAFileIsMissing) {
  Alone alone;
  alone.server.sql("create table vanished as select g n from generate_series(1, 5) g; checkpoint");
  const fs::path file =
      alone.server.data_directory() / alone.server.sql("select pg_relation_filepath('vanished')");
  alone.server.stop();
  fs::remove(file);
  alone.server.start();
  const Answer answer = alone.drill_of_new_backup();
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(verdict_of(answer.result(), "files"), "failed");
  EXPECT_THAT(detail_of(answer.result(), "files"), HasSubstr("vanished"));
}

// The postmaster of the copy, from the file that it writes.
pid_t postmaster_in(const fs::path& data_directory) {
  for (int i = 0; i < 3000; ++i) {
    if (fs::exists(data_directory / "postmaster.pid")) {
      const std::string text = read_text(data_directory / "postmaster.pid");
      if (text.find('\n') != std::string::npos) return std::stoi(text);
    }
    std::this_thread::sleep_for(10ms);
  }
  throw std::runtime_error("no server began in " + data_directory.string());
}

bool is_gone(pid_t pid) {
  for (int i = 0; i < 3000; ++i) {
    if (!fs::exists(fmt::format("/proc/{}", pid))) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST(Drill, ThatIsKilledLeavesNoServerAndTheNextClearsUp) {
  Alone alone;
  alone.server.sql("create table t as select g n from generate_series(1, 400000) g");
  alone.server.sql("create index on t (n)");
  alone.holdfast.backup({"--type", "full"});
  const fs::path data = alone.holdfast.state_directory() / "drill" / "data";
  for (const int signal : {SIGKILL, SIGTERM}) {
    Process drill = alone.holdfast.start({"drill"});
    const pid_t server = postmaster_in(data);
    drill.send(signal);
    EXPECT_EQ(drill.wait(60s).signal, signal);
    EXPECT_TRUE(is_gone(server)) << "after signal " << signal;
    EXPECT_EQ(fs::exists(data), signal == SIGKILL);
  }
  EXPECT_TRUE(alone.holdfast.must({"drill"}).at("passed"));
  EXPECT_FALSE(fs::exists(data));
}

TEST(Drill, RefusesAFolderThatIsNotItsOwnAndASecondDrill) {
  Alone alone;
  alone.holdfast.backup();
  const fs::path scratch = alone.holdfast.new_path("scratch");
  fs::create_directories(scratch / "holdfast-drill-demo");
  write_text(scratch / "holdfast-drill-demo" / "precious", "data");
  const Answer foreign = alone.holdfast.run({"drill", "--scratch", scratch.string()});
  EXPECT_EQ(foreign.outcome.exit_code, 3) << foreign.text();
  EXPECT_EQ(read_text(scratch / "holdfast-drill-demo" / "precious"), "data");

  Process first = alone.holdfast.start({"drill"});
  postmaster_in(alone.holdfast.state_directory() / "drill" / "data");
  first.send(SIGSTOP);
  const Answer second = alone.holdfast.run({"drill"});
  EXPECT_EQ(second.outcome.exit_code, 3) << second.text();
  EXPECT_THAT(second.error(), HasSubstr("another drill"));
  first.send(SIGCONT);
  EXPECT_TRUE(first.wait(120s).ok());
}

TEST(Drill, LeavesACopyThatWasKeptAndGoesOnWhereOneWasKilledAtItsFirstStep) {
  Alone alone;
  alone.holdfast.backup();
  const fs::path folder = alone.holdfast.state_directory() / "drill";
  fs::create_directory(folder);  // as one that was killed before its mark leaves it
  fs::permissions(folder, fs::perms::all);
  EXPECT_TRUE(alone.holdfast.must({"drill", "--keep"}).at("passed"));
  EXPECT_EQ(alone.holdfast.run({"drill"}).outcome.exit_code, 3);
  EXPECT_TRUE(fs::exists(folder / "data" / "PG_VERSION"));
}

// It used to wait for ever.
TEST(Drill, SaysThatNoRoleItKnowsIsInTheCopy) {
  Alone alone;
  alone.server.sql("create role helper superuser login");
  alone.server.sql("set session authorization helper; alter role postgres rename to chief");
  alone.holdfast.other_connection = alone.server.connection("chief");
  alone.holdfast.backup();
  alone.holdfast.other_connection = alone.server.connection("made_later");
  const Answer answer = alone.holdfast.run({"drill"});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_THAT(detail_of(answer.result(), "recovery"), HasSubstr("no session"));
}

// Where nothing is written for long, nothing is lost; where something was, it is.
TEST(Drill, OfAQuietServerLosesNothing) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  cluster.server().sql("create table t (n int)");
  holdfast.backup({"--type", "full"});
  cluster.server().sql("insert into t values (1)");
  const std::string moment = cluster.server().sql(
      "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  holdfast.settings().lines = {"objectives: {recovery_point: 1s}"};
  std::this_thread::sleep_for(1100ms);
  const Json quiet = holdfast.must({"drill"});
  EXPECT_EQ(verdict_of(quiet, "recovery point"), "passed") << quiet.dump(1);
  EXPECT_EQ(quiet.at("recovery_point_by"), "source");
  EXPECT_EQ(quiet.at("recovery_point_seconds"), 0.0);
  const Json to_a_moment = holdfast.must({"drill", "--target-time", moment});
  EXPECT_TRUE(to_a_moment.at("recovery_point_seconds").is_null()) << to_a_moment.dump(1);
  const Answer alone = holdfast.run({"drill", "--preset", "quarterly"});
  EXPECT_EQ(verdict_of(alone.result(), "recovery point"), "failed") << "nobody asks the source";

  cluster.server().sql("insert into t values (3)");
  const Answer lost = holdfast.run({"drill"});
  EXPECT_EQ(lost.outcome.exit_code, 1) << lost.text();
  EXPECT_EQ(verdict_of(lost.result(), "recovery point"), "failed") << lost.text();
  EXPECT_EQ(lost.result().at("recovery_point_by"), "transaction");
  cluster.server().stop();
  EXPECT_EQ(verdict_of(holdfast.run({"drill"}).result(), "recovery point"), "failed");
}

// One drill asks all of it: right and wrong answers, a statement that may not write, the source.
TEST(Drill, AsksTheConfiguredQuestionsAndComparesWithTheObjectives) {
  Alone alone;
  alone.server.sql("create table t as select g n from generate_series(1, 10) g");
  alone.holdfast.backup({"--type", "full"});
  alone.server.sql("insert into t values (11)");
  alone.holdfast.settings().lines = {
      "objectives: {recovery_time: 100d, recovery_point: 100d}",
      "checks:", "  - {name: rows, sql: select count(*) from t, expect: 5 to 10}",
      "  - {name: behind, sql: select count(*) from t, expect: < live}",
      "  - {name: near, sql: select count(*) from t, expect: within 10% of live}"};
  const Json right = alone.holdfast.must({"drill"});
  EXPECT_TRUE(right.at("passed"));
  for (const char* name : {"rows", "behind", "near", "recovery time", "recovery point"}) {
    EXPECT_EQ(verdict_of(right, name), "passed") << name << right.dump(1);
  }

  alone.holdfast.settings().lines = {
      "objectives: {recovery_time: 1ms, recovery_point: 1ms}",
      "checks:",
      "  - {name: rows, sql: select count(*) from t, expect: 11}",
      "  - {name: same, sql: select count(*) from t, expect: live}",
      "  - {name: writes, sql: insert into t values (0) returning n, expect: 0}",
      "  - {name: many, sql: select n from t, expect: 1}",
      "  - {name: nothing, sql: select null, expect: 1}"};
  const Answer answer = alone.holdfast.run({"drill"});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  for (const char* name :
       {"rows", "same", "writes", "many", "nothing", "recovery time", "recovery point"}) {
    EXPECT_EQ(verdict_of(answer.result(), name), "failed") << name << answer.text();
  }
  EXPECT_THAT(detail_of(answer.result(), "rows"), HasSubstr("10, expected 11"));
  EXPECT_THAT(detail_of(answer.result(), "writes"), HasSubstr("read-only"));
  // Nothing is wrong with the backup, and later backups may build on it.
  EXPECT_TRUE(alone.holdfast.must({"show", "latest"}).at("proof").at("ok"));
}

TEST(Drill, OfNothingIsNoSuccess) {
  Alone alone;
  EXPECT_EQ(alone.holdfast.run({"drill"}).outcome.exit_code, 3) << "nothing to recover from";
  EXPECT_EQ(alone.holdfast.run({"drill", "--random"}).outcome.exit_code, 1);
  EXPECT_EQ(alone.holdfast.run({"drill", "latest", "--random"}).outcome.exit_code, 2);
}

}  // namespace
}  // namespace holdfast::test
