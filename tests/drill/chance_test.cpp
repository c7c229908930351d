// `drill` to a moment and from a backup by chance: it goes where it says, and there again.
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "restore/reachable_times.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The words behind "holdfast" of a command that was printed.
std::vector<std::string> words_of(const Json& report) {
  std::istringstream text(report.at("drawn").at("repeat").get<std::string>());
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  EXPECT_EQ(words.at(0), "holdfast");
  words.erase(words.begin());
  return words;
}

// Of two, the second one.
std::uint64_t seed_of_second() {
  for (std::uint64_t seed = 1;; ++seed) {
    Chance chance(seed);
    if (draw_below(chance, 2) == 1) return seed;
  }
}

TEST(DrillByChance, GoesToTheMomentThatItNamesAndThereAgain) {
  ArchivedCluster cluster({.settings = {"track_commit_timestamp = on"}});
  cluster.server().sql("create table t (n int)");
  cluster.holdfast().backup({"--type", "full"});
  for (int n = 0; n < 5; ++n)
    cluster.server().sql("insert into t values (1); select pg_sleep(0.1)");
  cluster.archive();
  const std::string scratch = cluster.holdfast().new_path("scratch");
  const Json report = cluster.holdfast().must(
      {"drill", "--target-time", "random", "--seed", "5", "--keep", "--scratch", scratch});
  EXPECT_TRUE(report.at("passed")) << report.dump(1);
  EXPECT_THAT(report.at("drawn").at("what"), ElementsAre("moment"));
  EXPECT_EQ(report.at("drawn").at("seed"), 5);
  const std::string target = report.at("target").get<std::string>();
  const std::string moment = target.substr(0, target.find(','));
  const std::string came_back = [&] {
    PostgresCluster copy = PostgresCluster::on(report.at("data_directory").get<std::string>());
    copy.start();
    return copy.sql("select count(*) from t");
  }();
  EXPECT_EQ(came_back,
            cluster.server().sql(fmt::format(
                "select count(*) from t where pg_xact_commit_timestamp(xmin) <= '{}'", moment)));

  cluster.server().sql("insert into t values (2)");
  cluster.archive();
  const Json again = cluster.holdfast().must(words_of(report));
  EXPECT_EQ(again.at("target"), report.at("target"));
  EXPECT_EQ(again.at("backup"), report.at("backup"));
  EXPECT_EQ(again.at("last_transaction"), report.at("last_transaction"));
  EXPECT_TRUE(again.at("drawn").is_null());
}

TEST(DrillByChance, TakesABackupFromWhichThereIsAMomentToGoTo) {
  ArchivedCluster cluster;
  cluster.holdfast().backup({"--type", "full"});
  cluster.server().sql("create table t (n int)");
  cluster.archive();
  cluster.holdfast().backup({"--type", "full"});  // behind which nothing is written
  const auto ids = cluster.holdfast().listed_ids();
  const std::string older = std::min(ids.at(0), ids.at(1));
  const Json report = cluster.holdfast().must(
      {"drill", "--random", "--target-time", "random", "--seed", std::to_string(seed_of_second())});
  EXPECT_EQ(report.at("backup"), older);
  EXPECT_THAT(report.at("drawn").at("what"), ElementsAre("backup", "moment"));

  const Answer nothing = cluster.holdfast().run({"drill", "latest", "--target-time", "random"});
  EXPECT_EQ(nothing.outcome.exit_code, 3) << nothing.text();
  EXPECT_THAT(nothing.error(), HasSubstr("no archived transaction"));
}

TEST(DrillByChance, IsAskedForInWordsThatFit) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  EXPECT_EQ(holdfast.run({"drill", "--seed", "1"}).outcome.exit_code, 2);
  EXPECT_EQ(holdfast.run({"drill", "--random", "--seed", "one"}).outcome.exit_code, 2);
  EXPECT_EQ(
      holdfast.run({"drill", "--target-time", "random", "--target-xid", "700"}).outcome.exit_code,
      2);
  EXPECT_EQ(holdfast.run({"restore", "--to", holdfast.new_path(), "--target-time", "random"})
                .outcome.exit_code,
            2);
  EXPECT_EQ(holdfast.run({"drill", "--target-time", "random"}).outcome.exit_code, 3);
}

}  // namespace
}  // namespace holdfast::test
