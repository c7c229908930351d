// After a failover two lines of WAL leave each other: each is recovered before, at and behind the
// fork, and has exactly its own rows. And two standbys that took the same number for their
// timeline.
#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

void keep(const PostgresCluster& server, int n) {
  server.sql(fmt::format("insert into kept values ({})", n));
}

std::string end_of_wal(const PostgresCluster& server) {
  return server.sql("select pg_current_wal_lsn()");
}

void wait_until_replayed(PostgresCluster& standby, const PostgresCluster& primary) {
  standby.wait_for(fmt::format("pg_last_wal_replay_lsn() >= '{}'", end_of_wal(primary)));
}

void wait_until_archiving_flows(PostgresCluster& server) {
  server.sql("select pg_create_restore_point('flows')");
  const std::string segment = server.sql("select pg_walfile_name(pg_switch_wal())");
  server.wait_for(
      fmt::format("(select last_archived_wal >= '{}' and last_archived_wal not like "
                  "'%.history' from pg_stat_archiver)",
                  segment));
}

std::string recovered(ArchivedCluster& archived, const std::vector<std::string>& options,
                      const ServerPrograms& programs = default_server()) {
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target, options);
  PostgresCluster restored = start_recovered(target, programs);
  std::string rows = restored.sql("select string_agg(n::text, ' ' order by n) from kept");
  restored.stop(PostgresCluster::Shutdown::kImmediate);
  fs::remove_all(target);
  return rows;
}

// "1\t0/5000148\tno recovery target specified"
std::string fork_in(const fs::path& history_file) {
  const std::string text = read_text(history_file);
  const std::size_t at = text.find('\t') + 1;
  return text.substr(at, text.find('\t', at) - at);
}

class BothLines : public testing::TestWithParam<ServerPrograms> {};

TEST_P(BothLines, AreRecoveredBeforeAtAndBehindTheFork) {
  ArchivedCluster archived({.programs = GetParam()});
  PostgresCluster& primary = archived.server();
  primary.sql("create table kept (n int)");
  archived.holdfast().backup();
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  keep(primary, 1);
  const std::string before = end_of_wal(primary);
  keep(primary, 2);
  wait_until_replayed(standby, primary);
  primary.kill();
  standby.promote();
  const std::string fork = fork_in(standby.data_directory() / "pg_wal" / "00000002.history");

  // The old primary comes back and writes on, as if it had only been cut off.
  std::map<std::string, std::string> behind;
  for (PostgresCluster* const server : {&standby, &primary}) {
    const bool is_new = server == &standby;
    if (!is_new) primary.start();
    keep(*server, is_new ? 20 : 10);
    behind[is_new ? "2" : "1"] = end_of_wal(*server);
    keep(*server, is_new ? 21 : 11);
    wait_until_archiving_flows(*server);
    server->stop();
  }
  for (const auto& [timeline, lsn] : behind) {
    SCOPED_TRACE("timeline " + timeline);
    const auto rows = [&](const std::string& target) {
      return recovered(archived, {"--target-timeline", timeline, "--target-lsn", target},
                       GetParam());
    };
    EXPECT_EQ(rows(before), "1");
    EXPECT_EQ(rows(fork), "1 2");
    EXPECT_EQ(rows(lsn), timeline == "1" ? "1 2 10" : "1 2 20");
  }
}

INSTANTIATE_TEST_SUITE_P(Version, BothLines, testing::ValuesIn(available_servers()),
                         [](const auto& given) {
                           return "Pg" + std::to_string(given.param.major_version);
                         });

enum class Forks { kAtOnePoint, kAtTwo };

class TwoOfOneTimeline : public testing::TestWithParam<Forks> {
 protected:
  PostgresCluster& primary() { return archived_.server(); }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  void work_on(const PostgresCluster& server) {
    holdfast().other_connection = server.connection();
    holdfast().other_data_directory = server.data_directory();
  }

  ArchivedCluster archived_;
};

// Neither has a marker of a restore: only names and contents tell that there are two.
TEST_P(TwoOfOneTimeline, TheSecondIsRefusedTakesOverAndBothLinesRestore) {
  const bool apart = GetParam() == Forks::kAtTwo;
  primary().sql("create table kept (n int)");
  keep(primary(), 1);
  holdfast().backup();
  PostgresCluster first = PostgresCluster::standby_of(primary());
  PostgresCluster second = PostgresCluster::standby_of(primary());
  first.start();
  second.start();
  wait_until_replayed(first, primary());
  // Who is not connected when the primary stops does not get the end of what it wrote.
  primary().wait_for("(select count(*) = 2 from pg_stat_replication where state = 'streaming')");
  if (apart) {
    first.promote();
    keep(primary(), 2);
    wait_until_replayed(second, primary());
    primary().kill();
  } else {
    primary().stop();  // both get all that it wrote
    first.promote();
  }
  keep(first, 20);
  wait_until_archiving_flows(first);

  second.promote();
  keep(second, 30);
  second.sql("select pg_switch_wal()");
  second.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  const fs::path history = fs::path("pg_wal") / "00000002.history";
  const bool same =
      read_text(first.data_directory() / history) == read_text(second.data_directory() / history);
  EXPECT_EQ(same, !apart) << "this is another test than it says";
  const std::string refused = apart ? "the archive has 00000002.history with other content"
                                    : "the archive has 000000020000";
  EXPECT_NE(second.log().find(refused), std::string::npos) << second.log();
  EXPECT_NE(second.log().find("holdfast init --take-over"), std::string::npos) << second.log();

  // The first does not notice.
  keep(first, 21);
  wait_until_archiving_flows(first);
  work_on(second);
  const std::string history_of_second = holdfast().must({"init", "--take-over"}).at("history");
  EXPECT_EQ(history_of_second.substr(0, 5), "0002-");
  keep(second, 31);
  wait_until_archiving_flows(second);

  // Only a take-over fences: the first writes no more from here on.
  first.sql("select pg_switch_wal()");
  keep(first, 22);
  first.sql("select pg_switch_wal()");
  first.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  EXPECT_NE(first.log().find("was taken over"), std::string::npos) << first.log();

  EXPECT_EQ(recovered(archived_, {"--history", history_of_second}),
            apart ? "1 2 30 31" : "1 30 31");
  EXPECT_EQ(recovered(archived_, {"--history", "0001" + history_of_second.substr(4)}), "1 20 21");
}

INSTANTIATE_TEST_SUITE_P(Forks, TwoOfOneTimeline,
                         testing::Values(Forks::kAtOnePoint, Forks::kAtTwo), [](const auto& given) {
                           return given.param == Forks::kAtTwo ? "WithOtherHistoryFiles"
                                                               : "WithOneHistoryFile";
                         });

}  // namespace
}  // namespace holdfast::test
