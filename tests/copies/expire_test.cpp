// `expire`, `delete`, `hold` and `release` with a real server: what stays
// restores, the window that is shown afterwards is true, and what runs at the
// same time loses nothing that it needs.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// The shape that docs/json.md tells.
void expect_fields(const Json& json, const std::vector<std::string>& fields) {
  std::vector<std::string> found;
  for (const auto& [name, value] : json.items()) found.push_back(name);
  EXPECT_EQ(found, fields) << json.dump(2);
}

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
  const Json shown = holdfast().must({"show", parent});
  EXPECT_TRUE(shown.at("hold").is_null());
  EXPECT_GT(shown.at("freed_by_deletion_bytes"), 0);
  EXPECT_LT(shown.at("freed_by_deletion_bytes"), shown.at("stored_bytes")) << "the child needs it";
  EXPECT_EQ(holdfast().run({"delete", child}).outcome.exit_code, 2) << "without --yes";
  expect_fields(holdfast().must({"hold", parent, "--until", "2999-01-01", "--reason", "audit"}),
                {"brought_back", "history", "id", "reason", "until"});
  const Json hold = holdfast().must({"show", parent}).at("hold");
  expect_fields(hold, {"active", "by", "reason", "time", "until"});
  EXPECT_TRUE(hold.at("active").get<bool>());
  EXPECT_EQ(hold.at("reason"), "audit");
  EXPECT_EQ(holdfast().run({"delete", parent, "--yes"}).outcome.exit_code, 3) << "it is held";
  const Json released = holdfast().must({"release", parent});
  expect_fields(released, {"history", "id", "was_held"});
  EXPECT_TRUE(released.at("was_held").get<bool>());
  EXPECT_TRUE(holdfast().must({"show", parent}).at("hold").is_null());
  expect_fields(holdfast().must({"delete", parent, "--yes"}),
                {"dry_run", "due", "history", "id", "marked_before", "versioning"});
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

// Packs that others use stay, and go with the last of them.
TEST_F(Expiring, FreesWhatShowTold) {
  const auto stored = [&] {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(holdfast().repository_folder())) {
      const fs::path kind = entry.path().parent_path().filename();
      const bool counts = kind == "pack" || kind == "map" || entry.path().filename() == "manifest";
      if (entry.is_regular_file() && counts) bytes += entry.file_size();
    }
    return bytes;
  };
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    rows(i == 0 ? 20000 : 2000);
    server().sql("update numbers set filler = 'again' where n % 7 = " + std::to_string(i));
    ids.push_back(holdfast().backup().at("id"));
  }
  for (const std::string& id : {ids[1], ids[0], ids[2]}) {
    const std::uint64_t told = holdfast().must({"show", id}).at("freed_by_deletion_bytes");
    EXPECT_GT(told, 0U);
    const std::uint64_t before = stored();
    holdfast().must({"delete", id, "--yes"});
    EXPECT_EQ(holdfast().must({"expire", "--dry-run"}).at("freed_bytes"), told);
    expire_fully();
    EXPECT_EQ(before - stored(), told) << id;
    expect_good();
  }
  EXPECT_EQ(rows_restored({"latest", "--target-immediate"}), std::to_string(rows_));
}

TEST_F(Expiring, AHoldThatHasPassedHoldsNoLonger) {
  const std::string held = holdfast().backup({"--type", "full"}).at("id");
  const std::string newest = holdfast().backup({"--type", "full"}).at("id");
  retain("keep_last: 1, ");
  holdfast().must({"hold", held, "--until", "2999-01-01", "--reason", "audit"});
  expire_fully();
  EXPECT_EQ(complete(), (std::vector<std::string>{held, newest}));
  // A later one replaces it.
  const std::string soon =
      server().sql("select (now() at time zone 'UTC' + '8 s')::timestamp(3) || '+00'");
  holdfast().must({"hold", held, "--until", soon, "--reason", "done"});
  const auto is_held = [&] {
    return holdfast().must({"show", held}).at("hold").at("active").get<bool>();
  };
  for (int i = 0; i < 60 && is_held(); ++i) std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_FALSE(is_held());
  expire_fully();
  EXPECT_EQ(complete(), std::vector<std::string>{newest});
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
  expect_fields(preview, {"backups", "configured", "dry_run", "foreign_objects", "freed_bytes",
                          "needs_consent", "not_removed_objects", "now", "removed_bytes",
                          "removed_objects", "swept", "versioning", "wal", "window"});
  expect_fields(preview.at("backups")[0],
                {"action", "due", "history", "id", "reasons", "requested", "waits_for"});
  expect_fields(preview.at("backups")[2].at("reasons")[0], {"detail", "why"});
  expect_fields(preview.at("wal"), {"kept_because", "removed_segments", "waiting_segments"});
  expect_fields(preview.at("window")[0], {"backup", "from", "history", "timeline"});
  EXPECT_GT(preview.at("freed_bytes"), 0);
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
  const Json& promised = preview.at("window")[0];
  EXPECT_EQ(timeline.at("intervals")[0].at("backups")[0], promised.at("backup"));
  EXPECT_EQ(timeline.at("intervals")[0].at("from").at("time"), promised.at("from"));
  expect_good();
  // At its oldest end, in between, and at its newest end.
  EXPECT_EQ(rows_restored({ids[2], "--target-immediate"}), "15060");
  EXPECT_EQ(rows_restored({ids[2]}), std::to_string(rows_));
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
}

// Expiry all the time, twice at once in the first repository, while backups are taken, copied and
// restored, and WAL is archived and fetched.
TEST_F(Expiring, RacesWithEverything) {
  retain("keep_last: 1, ");
  rows(20000);
  holdfast().backup({"--type", "full"});
  holdfast().must({"--repo", "second", "init"});
  std::atomic<bool> over{false};
  std::atomic<int> runs{0};
  std::string complaint;
  std::mutex mutex;  // guards complaint
  const auto expire_all_the_time = [&](const std::vector<std::string>& repositories) {
    HoldfastProgram expirer(server(), holdfast().settings());
    while (!over) {
      for (const std::string& repository : repositories) {
        const Answer answer = expirer.run({"--repo", repository, "expire", "--yes"});
        const std::lock_guard lock(mutex);
        if (!answer.ok()) complaint += answer.text();
        ++runs;
      }
    }
  };
  // Two, so that they meet each other too.
  std::jthread expiry(expire_all_the_time, std::vector<std::string>{"first", "second"});
  std::jthread other_expiry(expire_all_the_time, std::vector<std::string>{"first"});
  for (int i = 0; i < 5; ++i) {
    rows(500);
    const std::string id = holdfast().backup().at("id");
    const Answer copied = holdfast().run({"copy", id, "--to", "second"});
    EXPECT_TRUE(copied.ok()) << copied.text();
  }
  // WAL behind the newest backup, pushed and fetched while old WAL is removed.
  for (int i = 0; i < 3; ++i) {
    rows(100);
    archived_.archive();
  }
  EXPECT_EQ(rows_restored({"latest"}), std::to_string(rows_));
  over = true;
  expiry.join();
  other_expiry.join();
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
