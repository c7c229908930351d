// A safety backup of a recovered copy, on real servers: it is the copy, row for row, and nothing
// behind it; and neither the source nor what is recovered from it knows of it.
#include <csignal>

#include <gmock/gmock.h>

#include "support/promoting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRows = "select string_agg(n::text, ',' order by n) from t";

class SafetyBackupOn : public testing::TestWithParam<ServerPrograms> {
 protected:
  // The rows of a server that is started on it, which has to end its recovery by itself.
  std::string restored_rows(const std::string& backup) {
    const fs::path to = cluster_.holdfast().new_path();
    cluster_.holdfast().restore(to, {backup});
    PostgresCluster restored = PostgresCluster::on(to, {.programs = GetParam()});
    restored.start();
    restored.wait_for("not pg_is_in_recovery()");
    return restored.sql(kRows);
  }

  ArchivedCluster cluster_{{.programs = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(Server, SafetyBackupOn, testing::ValuesIn(available_servers()),
                         [](const auto& tested) {
                           return fmt::format("Version{}", tested.param.major_version);
                         });

TEST_P(SafetyBackupOn, IsTheCopyAndNothingBehindIt) {
  Recovering recover(cluster_);
  PostgresCluster& source = cluster_.server();
  source.sql("create table t as select 1 as n");
  const std::string full = cluster_.holdfast().backup({"--type", "full"}).at("id");
  source.sql("insert into t values (2); checkpoint");  // a restart point on the way
  source.sql("insert into t values (3)");
  source.sql("select pg_create_restore_point('before')");
  source.sql("insert into t values (4)");
  cluster_.archive();
  recover.must({"start", "--target-name", "before"});
  ASSERT_EQ(recover.rows(), "1,2,3");

  // Killed before its commit nothing of it is listed, and the copy stands where it stood.
  EXPECT_EQ(recover.run({"backup"}, "backup.before_commit:kill").outcome.signal, SIGKILL);
  EXPECT_EQ(cluster_.holdfast().listed().size(), 1U);
  EXPECT_EQ(recover.status().at("state"), "paused");
  const Json kept = recover.must({"backup", "--name", "kept"});
  EXPECT_EQ(kept.at("swept").size(), 1U);
  EXPECT_EQ(kept.at("recovered").at("backup"), full);
  EXPECT_THAT(kept.at("recovered").at("target").get<std::string>(), HasSubstr("before"));
  EXPECT_NE(kept.at("held_until"), Json());
  EXPECT_EQ(cluster_.holdfast().must({"show", "kept"}).at("hold").at("active"), true);
  EXPECT_EQ(recover.rows(), "1,2,3");
  const Answer taken = recover.run({"backup", "--name", "kept"});
  EXPECT_EQ(taken.outcome.exit_code, 3) << taken.text();

  // Killed behind its commit it is held all the same, and the copy stands where it stood.
  EXPECT_EQ(recover.run({"backup", "--name", "again"}, "backup.committed:kill").outcome.signal,
            SIGKILL);
  EXPECT_EQ(cluster_.holdfast().must({"show", "again"}).at("hold").at("active"), true);
  EXPECT_EQ(recover.status().at("state"), "paused");

  // Neither the source nor a recovery of it meets it.
  EXPECT_EQ(cluster_.holdfast().must({"show", "latest"}).at("id"), full);
  source.sql("insert into t values (5)");
  cluster_.archive();
  const Json next = cluster_.holdfast().backup();
  EXPECT_NE(next.at("history"), kept.at("history"));
  EXPECT_EQ(cluster_.holdfast().must({"show", full}).at("history"), next.at("history"));
  EXPECT_EQ(restored_rows("kept"), "1,2,3");

  // Nothing goes beyond it.
  const auto refused = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"restore", "kept", "--to",
                                   cluster_.holdfast().new_path().string()};
    words.insert(words.end(), more.begin(), more.end());
    const Answer answer = cluster_.holdfast().run(words);
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  };
  refused({"--standby"});
  refused({"--target-time", "now"});
  refused({"--target-lsn", "F/0"});

  // At a later point it is another state, in the same line.
  recover.must({"forward"});
  ASSERT_EQ(recover.rows(), "1,2,3,4,5");
  const Json later = recover.must({"backup"});
  EXPECT_EQ(later.at("history"), kept.at("history"));
  EXPECT_EQ(restored_rows(later.at("id")), "1,2,3,4,5");
  recover.must({"abandon", "--yes"});
}

// The copy that is promoted takes over the source's line and not its own backup's.
TEST_P(SafetyBackupOn, OfACopyOnALaterTimelineThatIsThenPromoted) {
  Promoting recover(cluster_);
  PostgresCluster& server = cluster_.server();
  cluster_.holdfast().settings().lines = {"recover: {approvals: 0}"};
  server.sql("create table t as select 1 as n");
  cluster_.holdfast().backup({"--type", "full"});
  cluster_.archive();
  const auto promote = [&](const std::string& rows) {
    recover.must({"start"});
    recover.must({"check"});
    const std::string kept = recover.must({"backup"}).at("id");
    EXPECT_EQ(recover.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
    EXPECT_EQ(server.sql(kRows), rows);
    recover.must({"abandon", "--yes"});
    cluster_.archive();
    EXPECT_EQ(restored_rows(kept), rows);
  };
  promote("1");
  server.sql("insert into t values (2)");
  cluster_.archive();
  promote("1,2");  // on timeline 2
}

}  // namespace
}  // namespace holdfast::test
