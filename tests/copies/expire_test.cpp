// `expire`, `delete`, `hold` and `release` with a real server: what stays
// restores, the window that is shown afterwards is true, and what runs at the
// same time loses nothing that it needs.
#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class Expiring : public testing::Test {
 protected:
  Expiring() {
    fs::permissions(folder_.path(), fs::perms::all);
    retain("");
    server().sql("create table numbers (n int, filler text)");
  }
  PostgresCluster& server() { return archived_.server(); }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }

  // Of both repositories; without a policy only `delete` removes anything.
  void retain(const std::string& policy) {
    const std::string lines = "    retention: {" + policy + "grace: 0}";
    holdfast().settings().repository_lines = {lines, "  - name: second",
                                              "    url: file://" + (folder_ / "second").string(),
                                              "    wal: false", lines};
  }
  void rows(int count) {
    server().sql("insert into numbers select g, md5(g::text) from generate_series(1, " +
                 std::to_string(count) + ") g");
    rows_ += count;
  }
  // Until nothing is left to do.
  void expire_fully(const std::string& repository = "first") {
    for (int run = 0; run < 4; ++run) holdfast().must({"--repo", repository, "expire", "--yes"});
  }
  std::vector<std::string> complete(const std::string& repository = "first") {
    std::vector<std::string> ids;
    for (const Json& backup : holdfast().listed({"--repo", repository})) {
      if (backup.at("state") == "complete") ids.push_back(backup.at("id"));
    }
    return ids;
  }
  void expect_good(const std::string& repository = "first") {
    for (const std::string& id : complete(repository)) {
      const Answer verified = holdfast().run({"--repo", repository, "verify", id, "--deep"});
      EXPECT_TRUE(verified.ok()) << verified.text();
    }
  }
  std::string rows_restored(const std::vector<std::string>& more) {
    const fs::path target = holdfast().new_path("target");
    holdfast().restore(target, more);
    PostgresCluster restored = start_recovered(target);
    std::string count = restored.sql("select count(*) from numbers");
    restored.stop();
    return count;
  }
  std::size_t segments() {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(holdfast().repository_folder())) {
      const std::string name = entry.path().string();
      count += entry.is_regular_file() && name.find("/wal/") != std::string::npos ? 1 : 0;
    }
    return count;
  }

  TempFolder folder_;
  ArchivedCluster archived_;
  int rows_ = 0;
};

TEST_F(Expiring, DeletingTheParentLeavesTheChildRestorable) {
  rows(20000);
  const std::string parent = holdfast().backup({"--type", "full"}).at("id");
  rows(300);
  const std::string child = holdfast().backup().at("id");
  const std::string expected = std::to_string(rows_);
  EXPECT_EQ(holdfast().run({"delete", child}).outcome.exit_code, 2) << "without --yes";
  holdfast().must({"hold", parent, "--until", "2999-01-01", "--reason", "audit"});
  EXPECT_EQ(holdfast().run({"delete", parent, "--yes"}).outcome.exit_code, 3) << "it is held";
  EXPECT_TRUE(holdfast().must({"release", parent}).at("was_held").get<bool>());
  holdfast().must({"delete", parent, "--yes"});
  EXPECT_EQ(holdfast().run({"delete", child, "--yes"}).outcome.exit_code, 3) << "the last one";
  expire_fully();
  EXPECT_EQ(complete(), std::vector<std::string>{child});
  EXPECT_EQ(holdfast().listed().size(), 1U);
  expect_good();
  EXPECT_EQ(rows_restored({child, "--target-immediate"}), expected);
  // And the next one builds on it.
  rows(100);
  holdfast().backup();
  expect_good();
  EXPECT_EQ(rows_restored({"latest", "--target-immediate"}), std::to_string(rows_));
}

TEST_F(Expiring, TheWindowAfterwardsIsTrue) {
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    rows(5000);
    ids.push_back(holdfast().backup().at("id"));
    for (int s = 0; s < 3; ++s) {
      rows(10);
      archived_.archive();
    }
  }
  retain("keep_last: 2, ");
  const Json preview = holdfast().must({"expire", "--dry-run"});
  EXPECT_EQ(preview.at("backups")[0].at("action"), "mark");
  EXPECT_EQ(preview.at("backups")[2].at("reasons")[0].at("why"), "keep_last");
  EXPECT_EQ(complete().size(), 4U) << "a dry run changes nothing";
  const std::size_t before = segments();
  expire_fully();
  EXPECT_EQ(complete(), (std::vector<std::string>{ids[2], ids[3]}));
  EXPECT_LT(segments(), before);
  const Json timeline = holdfast().must({"window"}).at("histories")[0].at("timelines")[0];
  ASSERT_EQ(timeline.at("intervals").size(), 1U) << timeline.dump(2);
  EXPECT_EQ(timeline.at("gaps").size(), 0U) << timeline.dump(2);
  expect_good();
  // At its oldest end, in between, and at its newest end.
  EXPECT_EQ(rows_restored({ids[2], "--target-immediate"}), "15060");
  EXPECT_EQ(rows_restored({ids[2]}), std::to_string(rows_));
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
}

// Expiry all the time, in both repositories, while backups are taken, copied
// and restored.
TEST_F(Expiring, RacesWithEverything) {
  retain("keep_last: 1, ");
  rows(20000);
  holdfast().backup({"--type", "full"});
  holdfast().must({"--repo", "second", "init"});
  std::atomic<bool> over{false};
  std::atomic<int> runs{0};
  std::string complaint;
  HoldfastProgram expirer(server(), holdfast().settings());
  std::jthread expiry([&] {
    while (!over) {
      for (const char* repository : {"first", "second"}) {
        const Answer answer = expirer.run({"--repo", repository, "expire", "--yes"});
        if (!answer.ok()) complaint += answer.text();
        ++runs;
      }
    }
  });
  for (int i = 0; i < 5; ++i) {
    rows(500);
    const std::string id = holdfast().backup().at("id");
    const Answer copied = holdfast().run({"copy", id, "--to", "second"});
    EXPECT_TRUE(copied.ok()) << copied.text();
  }
  EXPECT_EQ(rows_restored({"latest", "--target-immediate"}), std::to_string(rows_));
  over = true;
  expiry.join();
  EXPECT_EQ(complaint, "");
  EXPECT_GT(runs, 5);
  for (const char* repository : {"first", "second"}) {
    expect_good(repository);
    expire_fully(repository);
    EXPECT_EQ(complete(repository).size(), 1U);
    expect_good(repository);
  }
  EXPECT_EQ(rows_restored({"latest"}), std::to_string(rows_));
}

}  // namespace
}  // namespace holdfast::test
