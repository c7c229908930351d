// Recovery to points of every kind: a writer commits numbered transactions and notes when, as which
// transaction and where in WAL; each restore must have exactly the rows that its target says.
#include <random>
#include <thread>

#include <fmt/format.h>

#include "support/archived_cluster.h"
#include "targets.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

struct Commit {
  int number = 0;
  std::string xid;
  std::string time;  // of the commit record, to the microsecond
  std::string lsn;   // behind the commit record, before anything else of this writer
};

// Commits `count` transactions, each in another way, and notes them.
class NumberedWriter {
 public:
  explicit NumberedWriter(PostgresCluster& server) : server_(server) {
    server_.sql(
        "create table numbered (n int primary key, filler text, "
        "xid text default pg_current_xact_id()::text)");
  }

  void write(int count) {
    for (int i = 0; i < count; ++i) write_one();
  }
  const std::vector<Commit>& commits() const { return commits_; }

 private:
  std::string statement(int n) const {
    switch (n % 6) {
      case 0:  // with a subtransaction that is rolled back and one that is kept
        return fmt::format(
            "begin; insert into numbered values ({0}, 'kept'); savepoint a; insert into numbered "
            "values (-{0}, 'gone'); rollback to a; savepoint b; update numbered set filler = 'b' "
            "where n = {0}; release b; ",
            n);
      case 1:  // prepared first
        return fmt::format(
            "begin; insert into numbered values ({0}, repeat('p', 100)); prepare transaction "
            "'t{0}'; ",
            n);
      case 2:  // with DDL
        return fmt::format(
            "begin; insert into numbered values ({0}, ''); create table t{0} as select 1; drop "
            "table t{0}; ",
            n);
      default:
        return fmt::format("begin; insert into numbered values ({}, repeat('x', {})); ", n,
                           n * 37 % 900);
    }
  }

  void write_one() {
    const int n = static_cast<int>(commits_.size()) + 1;
    const bool prepared = n % 6 == 1;
    server_.sql(statement(n) + (prepared ? "" : "commit"));
    if (prepared) server_.sql(fmt::format("commit prepared 't{}'", n));
    const std::string lsn = server_.sql("select pg_current_wal_insert_lsn()");
    const auto row = server_.rows(fmt::format(
        "select xid, pg_xact_commit_timestamp(xid::xid)::text from numbered where n = {}", n));
    commits_.push_back({n, row.at(0).at(0), row.at(0).at(1), lsn});
  }

  PostgresCluster& server_;
  std::vector<Commit> commits_;
};

int last_number(const PostgresCluster& restored) {
  // None may be missing below the last one, and nothing that was rolled back may be there.
  const auto row =
      restored.rows("select count(*), coalesce(max(n), 0), coalesce(min(n), 1) from numbered");
  EXPECT_EQ(row.at(0).at(0), row.at(0).at(1));
  EXPECT_EQ(row.at(0).at(2), "1");
  return std::stoi(row.at(0).at(1));
}

class Model : public testing::TestWithParam<ServerPrograms> {
 protected:
  Model() : writer_(archived_.server()) {
    archived_.holdfast().backup();
    writer_.write(30);
    archived_.server().sql("select pg_create_restore_point('before the middle')");
    archived_.holdfast().backup({"--name", "middle"});
    writer_.write(30);
    archived_.archive();
  }

  // The newest number after a recovery with these options.
  int recovered(const std::vector<std::string>& options) {
    const fs::path target = archived_.holdfast().new_path();
    archived_.holdfast().restore(target, options);
    PostgresCluster restored = start_recovered(target, GetParam());
    const int number = last_number(restored);
    restored.stop(PostgresCluster::Shutdown::kImmediate);
    fs::remove_all(target);
    return number;
  }

  void check(const Commit& commit, int kind) {
    SCOPED_TRACE(fmt::format("number {}, kind {}", commit.number, kind));
    switch (kind) {
      case 0:
        EXPECT_EQ(recovered({"--target-time", commit.time}), commit.number);
        break;
      case 1:
        EXPECT_EQ(recovered({"--target-time", commit.time, "--target-exclusive"}),
                  commit.number - 1);
        break;
      case 2:
        EXPECT_EQ(recovered({"--target-xid", commit.xid}), commit.number);
        break;
      case 3:
        EXPECT_EQ(recovered({"--target-xid", commit.xid, "--target-exclusive"}), commit.number - 1);
        break;
      default:
        EXPECT_EQ(recovered({"--target-lsn", commit.lsn}), commit.number);
    }
  }

  ArchivedCluster archived_{{.programs = GetParam()}};
  NumberedWriter writer_;
};

TEST_P(Model, RandomTargetsOfEveryKindGiveExactlyTheirRows) {
  const char* const given = std::getenv("HOLDFAST_TEST_SEED");
  const unsigned seed = given == nullptr ? std::random_device{}()
                                         : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  std::mt19937 random(seed);
  const auto& commits = writer_.commits();
  const int rounds = rounds_of_targets();
  for (int round = 0; round < rounds; ++round) {
    for (const int kind : kinds_of_targets(5, GetParam())) {
      // The first that is reached through a backup's own end is not one to choose.
      std::uniform_int_distribution<std::size_t> pick(1, commits.size() - 2);
      check(commits[pick(random)], kind);
    }
  }
}

TEST_P(Model, NamedImmediateAndLatestTargets) {
  EXPECT_EQ(recovered({"--target-name", "before the middle"}), 30);
  EXPECT_EQ(recovered({"middle", "--target-immediate"}), 30);
  EXPECT_EQ(recovered({}), 60);
}

class PitrOn : public testing::TestWithParam<ServerPrograms> {};

TEST_P(PitrOn, ARestoredCopyStaysOutOfTheArchiveUntilItTakesOver) {
  ArchivedCluster archived({.programs = GetParam()});
  PostgresCluster& source = archived.server();
  source.sql("create table kept (n int); insert into kept values (1)");
  archived.holdfast().backup();
  source.sql("insert into kept values (2)");
  archived.archive();
  const fs::path target = archived.holdfast().new_path();
  const Json done = archived.holdfast().restore(target, {"--archive", "on"});
  EXPECT_EQ(done.at("recovery").at("archiving"), true);
  source.stop();
  PostgresCluster copy = start_recovered(target, GetParam());
  EXPECT_EQ(copy.sql("select count(*) from kept"), "2");
  copy.sql("insert into kept values (3)");
  copy.sql("select pg_switch_wal()");
  copy.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  EXPECT_NE(copy.log().find("init --take-over"), std::string::npos);

  HoldfastProgram& holdfast = archived.holdfast();
  holdfast.other_connection = copy.connection();
  holdfast.other_data_directory = target;
  EXPECT_EQ(holdfast.run({"backup"}).outcome.exit_code, 3);
  holdfast.must({"init", "--take-over"});
  copy.wait_for(
      "(select last_archived_time > coalesce(last_failed_time, '-infinity') and "
      "archived_count > 0 from pg_stat_archiver)");
  holdfast.backup({"--name", "after"});
  copy.sql("insert into kept values (4)");
  const std::string last = copy.sql("select pg_walfile_name(pg_switch_wal())");
  copy.wait_for(fmt::format("(select last_archived_wal >= '{}' from pg_stat_archiver)", last));
  copy.stop();

  // The old server is kept out from now on.
  holdfast.other_connection.reset();
  holdfast.other_data_directory.reset();
  source.start();
  source.sql("insert into kept values (100)");
  source.sql("select pg_switch_wal()");
  source.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  EXPECT_NE(source.log().find("was taken over"), std::string::npos);
  source.stop();

  const fs::path again = holdfast.new_path();
  holdfast.restore(again, {"after"});
  PostgresCluster recovered = start_recovered(again, GetParam());
  EXPECT_EQ(recovered.sql("select string_agg(n::text, ' ' order by n) from kept"), "1 2 3 4");
}

TEST(Pitr, FailoverToAStandbyNeedsNoStep) {
  ArchivedCluster archived;
  PostgresCluster& primary = archived.server();
  primary.sql("create table kept (n int); insert into kept values (1)");
  archived.holdfast().backup();
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  primary.sql("insert into kept values (2)");
  const std::string at = primary.sql("select pg_current_wal_lsn()");
  standby.wait_for(fmt::format("pg_last_wal_replay_lsn() >= '{}'", at));
  primary.kill();
  standby.promote();
  standby.sql("insert into kept values (3)");
  standby.sql("select pg_switch_wal()");
  standby.wait_for(
      "(select last_archived_wal like '00000002%' and last_archived_wal not like "
      "'%history' from pg_stat_archiver)");
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().other_connection = standby.connection();
  archived.holdfast().other_data_directory = standby.data_directory();
  archived.holdfast().restore(target);
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select string_agg(n::text, ' ' order by n) from kept"), "1 2 3");

  // The old primary comes back and writes on: its check says so.
  EXPECT_EQ(archived.holdfast().run({"check"}).outcome.exit_code, 0);
  archived.holdfast().other_connection.reset();
  archived.holdfast().other_data_directory.reset();
  primary.start();
  const Answer alarm = archived.holdfast().run({"check"});
  EXPECT_EQ(alarm.outcome.exit_code, 1);
  EXPECT_NE(alarm.text().find("another server was promoted"), std::string::npos) << alarm.text();

  // It writes on: the new primary's check says so, too.
  primary.sql("insert into kept values (4)");
  archived.archive();
  archived.holdfast().other_connection = standby.connection();
  archived.holdfast().other_data_directory = standby.data_directory();
  const Answer growing = archived.holdfast().run({"check"});
  EXPECT_EQ(growing.outcome.exit_code, 1);
  EXPECT_NE(growing.text().find("goes on growing"), std::string::npos) << growing.text();
}

TEST_P(PitrOn, AStandbyThatWasRestoredFollowsItsPrimaryAndMayBePromoted) {
  ArchivedCluster archived({.programs = GetParam()});
  PostgresCluster& primary = archived.server();
  primary.sql("create table kept (n int); insert into kept values (1)");
  archived.holdfast().backup();
  primary.sql("insert into kept values (2)");
  archived.archive();
  archived.holdfast().settings().lines = {
      fmt::format("  primary_connection: \"{}\"", primary.connection())};
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target, {"--standby"});
  PostgresCluster standby = PostgresCluster::on(target, {.programs = GetParam()});
  standby.start();
  primary.sql("insert into kept values (3)");
  standby.wait_for("(select count(*) = 3 from kept)");
  standby.wait_for("exists (select from pg_stat_wal_receiver where status = 'streaming')");
  primary.stop();
  standby.promote();
  standby.sql("insert into kept values (4)");
  standby.sql("select pg_switch_wal()");
  standby.wait_for("(select last_archived_wal like '00000002%' from pg_stat_archiver)");
}

std::string version_of(const testing::TestParamInfo<ServerPrograms>& given) {
  return "Pg" + std::to_string(given.param.major_version);
}
INSTANTIATE_TEST_SUITE_P(Version, Model, testing::ValuesIn(available_servers()), version_of);
INSTANTIATE_TEST_SUITE_P(Version, PitrOn, testing::ValuesIn(available_servers()), version_of);

}  // namespace
}  // namespace holdfast::test
