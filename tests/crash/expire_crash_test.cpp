// `expire` killed at every named point: whatever the repository lists after that restores, and the
// next runs finish what it began.
#include <algorithm>
#include <csignal>

#include "core/fault_point.h"
#include "suite.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRunsAtMost = 4;

// A cluster with a full backup and two incremental ones on it, and a second repository whose policy
// keeps the newest one alone.
class ExpireSource {
 public:
  ExpireSource() {
    fs::permissions(folder_.path(), fs::perms::all);
    archived_.holdfast().settings().repository_lines = {
        "  - name: second", "    url: file://" + (folder_ / "second").string(), "    wal: false",
        "    retention: {keep_last: 1, grace: 0}"};
    PostgresCluster& server = archived_.server();
    server.sql("create table still as select g, md5(g::text) from generate_series(1, 50000) g");
    archived_.holdfast().backup({"--type", "full"});
    server.sql("update still set md5 = md5(md5) where g % 10 = 0");
    archived_.holdfast().backup();
    server.sql("insert into still select 0, md5(g::text) from generate_series(1, 1000) g");
    newest_ = archived_.holdfast().backup().at("id");
    const fs::path expected = holdfast().new_path("expected");
    holdfast().must({"restore", newest_, "--to", expected.string(), "--target-immediate"});
    expected_ = expected;
  }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  const std::string& newest() const { return newest_; }

  void copy_all() {
    fs::remove_all(folder_ / "second");
    holdfast().must({"--repo", "second", "init"});
    holdfast().must({"copy", "--all", "--to", "second"});
  }
  std::vector<std::string> listed() {
    std::vector<std::string> ids;
    for (const Json& backup : holdfast().listed({"--repo", "second"})) {
      if (backup.at("state") == "complete") ids.push_back(backup.at("id"));
    }
    return ids;
  }
  // What is wrong with what is listed as complete.
  std::string complaint() {
    for (const std::string& id : listed()) {
      const Answer verified = holdfast().run({"--repo", "second", "verify", id, "--deep"});
      if (!verified.ok()) return id + ": " + verified.text();
    }
    const fs::path copy = holdfast().new_path("copy");
    const Answer restored = holdfast().run(
        {"--repo", "second", "restore", newest_, "--to", copy.string(), "--target-immediate"});
    if (!restored.ok()) return restored.text();
    std::string wrong;
    for (const auto& entry : fs::recursive_directory_iterator(expected_ / "base")) {
      const fs::path same = copy / entry.path().lexically_relative(expected_);
      if (entry.is_regular_file() && read_text(entry.path()) != read_text(same)) {
        wrong += "another content: " + same.string() + "\n";
      }
    }
    fs::remove_all(copy);
    return wrong;
  }
  // Objects of backups and of WAL that are stored.
  std::size_t objects() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "second")) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

 private:
  TempFolder folder_;
  ArchivedCluster archived_;
  std::string newest_;
  fs::path expected_;
};

class ExpireKilledAt : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() { source_ = std::make_unique<ExpireSource>(); }
  static void TearDownTestSuite() { source_.reset(); }

  Answer expire(const Variables& environment = {}) {
    return source_->holdfast().run({"--repo", "second", "expire"}, environment);
  }
  static std::unique_ptr<ExpireSource> source_;
};
std::unique_ptr<ExpireSource> ExpireKilledAt::source_;

TEST_P(ExpireKilledAt, IsFinishedByTheNext) {
  source_->copy_all();
  ASSERT_EQ(source_->listed().size(), 3U);
  bool killed = false;
  for (int run = 0; run < kRunsAtMost && !killed; ++run) {
    const Answer answer = expire({{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
    killed = answer.outcome.signal == SIGKILL;
    ASSERT_TRUE(killed || answer.ok()) << answer.text();
  }
  ASSERT_TRUE(killed) << "the point was never reached";
  EXPECT_EQ(source_->complaint(), "");
  std::size_t before = 0;
  for (int run = 0; run < kRunsAtMost && before != source_->objects(); ++run) {
    before = source_->objects();
    const Answer answer = expire();
    ASSERT_TRUE(answer.ok()) << answer.text();
  }
  EXPECT_EQ(source_->listed(), std::vector<std::string>{source_->newest()});
  EXPECT_EQ(source_->complaint(), "");
  // What is left is what a run leaves that nobody killed: but for the tombstones' numbers.
  static std::size_t objects_of_first = 0;
  if (objects_of_first == 0) objects_of_first = source_->objects();
  EXPECT_EQ(source_->objects(), objects_of_first);
}

std::vector<std::string> expire_points() {
  std::vector<std::string> points;
  for (const std::string_view point : kFaultPoints) {
    if (point.starts_with("expire.")) points.emplace_back(point);
  }
  points.emplace_back("expire.objects_removed#4");
  points.emplace_back("expire.deleting#2");
  return points;
}

std::string expire_test_name(const testing::TestParamInfo<std::string>& point) {
  std::string name = point.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Point, ExpireKilledAt, testing::ValuesIn(expire_points()),
                         expire_test_name);

}  // namespace
}  // namespace holdfast::test
