// `copy` killed at every named point: nothing that it lists in the target fails to restore, and the
// next one finishes what it began.
#include <algorithm>
#include <csignal>

#include <fmt/format.h>

#include "core/fault_point.h"
#include "seal/key_slot.h"
#include "suite.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

enum class Form { kPlain, kStandalone };

// A cluster that archives, with a full and an incremental backup, and a second repository that has
// another key.
class CopySource {
 public:
  CopySource() {
    fs::permissions(folder_.path(), fs::perms::all);
    auto& settings = archived_.holdfast().settings();
    settings.lines.emplace_back("memory: 64MiB");
    const fs::path key = folder_ / "second.key";
    write_text(key, format_key_file(Secret::random()));
    give_to_server_user(key);
    fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write);
    settings.repository_lines = {
        "  - name: second", "    url: file://" + (folder_ / "second").string(), "    wal: false",
        "    encryption: {key_file: " + key.string() + "}"};
    archived_.holdfast().must({"--repo", "second", "init"});
    PostgresCluster& server = archived_.server();
    // Random bytes do not compress: a backup stores several packs at the least memory budget.
    server.sql(
        "create table still as select g, string_agg(md5((g * 1000 + h)::text), '') from"
        " generate_series(1, 12000) g, generate_series(1, 40) h group by g");
    archived_.holdfast().backup({"--type", "full"});
    server.sql("insert into still select 0, md5(g::text) from generate_series(1, 1000) g");
    id_ = archived_.holdfast().backup().at("id");
  }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  const std::string& id() const { return id_; }

  std::vector<std::string> words(Form form) const {
    std::vector<std::string> words{"copy", id_, "--to", "second"};
    if (form == Form::kStandalone) words.emplace_back("--standalone");
    return words;
  }
  std::vector<std::string> listed() {
    std::vector<std::string> ids;
    for (const Json& backup : holdfast().listed({"--repo", "second"})) {
      ids.push_back(backup.at("id"));
    }
    return ids;
  }
  // What of the copy is wrong.
  std::string complaint() {
    const Answer verified = holdfast().run({"--repo", "second", "verify", "--all", "--deep"});
    if (!verified.ok()) return verified.text();
    const fs::path source = holdfast().new_path("source"), copy = holdfast().new_path("copy");
    const auto restore = [&](const fs::path& to, const std::string& repository) {
      return holdfast().run(
          {"--repo", repository, "restore", id_, "--to", to.string(), "--target-immediate"});
    };
    for (const auto& [to, repository] : {std::pair{source, "first"}, {copy, "second"}}) {
      const Answer answer = restore(to, repository);
      if (!answer.ok()) return answer.text();
    }
    std::string wrong;
    for (const auto& entry : fs::recursive_directory_iterator(source / "base")) {
      const fs::path same = copy / entry.path().lexically_relative(source);
      if (entry.is_regular_file() && read_text(entry.path()) != read_text(same)) {
        wrong += "another content: " + same.string() + "\n";
      }
    }
    fs::remove_all(source);
    fs::remove_all(copy);
    return wrong;
  }
  void forget_copies() {
    fs::remove_all(folder_ / "second");
    holdfast().must({"--repo", "second", "init"});
  }

 private:
  TempFolder folder_;
  ArchivedCluster archived_{{.program = {.encryption = Encryption::kKeyFile}}};
  std::string id_;
};

class CopyKilledAt : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() { source_ = std::make_unique<CopySource>(); }
  static void TearDownTestSuite() { source_.reset(); }
  void SetUp() override { source_->forget_copies(); }

  void kill_and_finish(Form form) {
    const Answer killed = source_->holdfast().run(source_->words(form),
                                                  {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
    ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
    const bool committed = GetParam() == "copy.committed";
    EXPECT_EQ(source_->listed().size(), committed ? 1U : 0U);
    const Json next = source_->holdfast().must(source_->words(form));
    EXPECT_EQ(next.at("backups")[0].at("state"), committed ? "there already" : "copied");
    EXPECT_EQ(next.at("backups")[0].at("form"), form == Form::kPlain ? "plain" : "standalone");
    EXPECT_EQ(source_->listed(), std::vector<std::string>{source_->id()});
    EXPECT_EQ(source_->complaint(), "");
  }

  static std::unique_ptr<CopySource> source_;
};
std::unique_ptr<CopySource> CopyKilledAt::source_;

class PlainCopyKilledAt : public CopyKilledAt {};
class StandaloneCopyKilledAt : public CopyKilledAt {};

TEST_P(PlainCopyKilledAt, IsFinishedByTheNext) {
  kill_and_finish(Form::kPlain);
}
TEST_P(StandaloneCopyKilledAt, IsFinishedByTheNext) {
  kill_and_finish(Form::kStandalone);
}

std::vector<std::string> points(Form form) {
  std::vector<std::string> points;
  for (const std::string_view point : kFaultPoints) {
    const bool plain_only = point == "copy.intents_written" || point == "copy.wal_copied";
    const bool passed = form == Form::kPlain ? point != "copy.maps_stored" : !plain_only;
    if (point.starts_with("copy.") && passed) points.emplace_back(point);
  }
  points.emplace_back("copy.pack_stored#3");
  return points;
}

std::string copy_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Point, PlainCopyKilledAt, testing::ValuesIn(points(Form::kPlain)),
                         copy_test_name);
INSTANTIATE_TEST_SUITE_P(Point, StandaloneCopyKilledAt,
                         testing::ValuesIn(points(Form::kStandalone)), copy_test_name);

}  // namespace
}  // namespace holdfast::test
