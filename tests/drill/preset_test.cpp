// The drills of the calendar: each proves what it is for, and nothing else helps it.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::string verdict_of(const Json& report, const std::string& name) {
  for (const Json& check : report.at("checks")) {
    if (check.at("name") == name) return check.at("verdict");
  }
  return "absent";
}

TEST(DrillPreset, MonthlyGoesToAMomentBehindTheLatestBackupWhereThereIsOne) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  holdfast.backup({"--type", "full"});
  const Json end = holdfast.must({"drill", "--preset", "monthly"});
  EXPECT_EQ(end.at("preset"), "monthly");
  EXPECT_TRUE(end.at("drawn").is_null()) << "nothing was written behind it";
  EXPECT_THAT(end.at("target").get<std::string>(), HasSubstr("the end of the archive"));

  cluster.server().sql("create table t (n int)");
  const std::string latest = holdfast.backup({"--type", "full"}).at("id");
  cluster.server().sql("insert into t values (1); select pg_sleep(0.1)");
  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const Json report = holdfast.must({"drill", "--preset", "monthly"});
  EXPECT_EQ(report.at("backup"), latest);
  EXPECT_THAT(report.at("drawn").at("what"), ElementsAre("moment"));

  holdfast.settings().lines = {"drill: {monthly: {target: '-100d'}}"};
  EXPECT_EQ(holdfast.run({"drill", "--preset", "monthly"}).outcome.exit_code, 3)
      << "a hundred days ago there was no backup";
}

TEST(DrillPreset, QuarterlyUsesNothingThatThisMachineKeeps) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  const fs::path prefetched = holdfast.state_directory() / "wal" / "get.lock";
  holdfast.backup({"--type", "full"});
  cluster.server().sql("create table t as select 1 n");
  cluster.archive();
  holdfast.settings().lines = {"checks: [{name: rows, sql: select count(*) from t, expect: live},",
                               "         {name: one, sql: select count(*) from t, expect: 1}]"};
  const Json report = holdfast.must({"drill", "--preset", "quarterly"});
  EXPECT_TRUE(report.at("passed")) << report.dump(1);
  EXPECT_EQ(verdict_of(report, "one"), "passed");
  EXPECT_EQ(verdict_of(report, "rows"), "skipped") << "the source's server was asked";
  EXPECT_FALSE(fs::exists(prefetched)) << "WAL was taken through this machine's state directory";
  EXPECT_FALSE(fs::exists(holdfast.state_directory() / "drill"));

  const Json with_all = holdfast.must({"drill"});
  EXPECT_EQ(verdict_of(with_all, "rows"), "passed");
  EXPECT_TRUE(fs::exists(prefetched)) << "this test looks for something else";
}

// A plain copy: its WAL lies in an archive that the configuration does not read.
TEST(DrillPreset, YearlyNeedsTheColdRepositoryAlone) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  EXPECT_EQ(holdfast.run({"drill", "--preset", "yearly"}).outcome.exit_code, 2)
      << "there is no cold repository";
  const fs::path cold = holdfast.new_path("cold");
  holdfast.settings().repository_lines = {"  - name: cold",
                                          fmt::format("    url: file://{}", cold.string()),
                                          "    wal: false", "    copy: {schedule: '@monthly'}"};
  holdfast.must({"--repo", "cold", "init"});
  const std::string id = holdfast.backup({"--type", "full"}).at("id");
  cluster.server().sql("create table t as select 1 n");
  cluster.archive();
  holdfast.must({"copy", id, "--to", "cold", "--wal"});
  fs::rename(holdfast.repository_folder(), holdfast.new_path("gone"));
  const Json report = holdfast.must({"drill", "--preset", "yearly"});
  EXPECT_TRUE(report.at("passed")) << report.dump(1);
  EXPECT_EQ(report.at("repository"), "cold");
  EXPECT_EQ(report.at("backup"), id);
  EXPECT_THAT(report.at("drawn").at("what"), ElementsAre("backup"));
  EXPECT_THAT(report.at("drawn").at("repeat").get<std::string>(),
              HasSubstr("--repo cold drill " + id + " --preset yearly"));
  EXPECT_FALSE(report.at("last_transaction").is_null());
  EXPECT_EQ(holdfast.must({"--repo", "cold", "show", id}).at("proof").at("mode"), "drill-yearly");
}

}  // namespace
}  // namespace holdfast::test
