#include "suite.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>

#include <fmt/format.h>

#include "core/fault_point.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<PostgresCluster> cluster;
constexpr const char* kTraceVariable = "HOLDFAST_FAULT_TRACE";

std::set<std::string> points_passed(const fs::path& trace) {
  std::istringstream lines(read_text(trace));
  std::set<std::string> points;
  for (std::string line; std::getline(lines, line);) points.insert(line);
  return points;
}

bool every_test_ran() {
  const testing::UnitTest& unit = *testing::UnitTest::GetInstance();
  return unit.test_to_run_count() == unit.total_test_count();
}

class WholeSuite final : public testing::Environment {
 public:
  void SetUp() override {
    write_text(trace(), "");
    fs::permissions(trace(), fs::perms::all);  // the program runs as another user than a root test
    ::setenv(kTraceVariable, trace().c_str(), 1);
  }

  void TearDown() override {
    cluster.reset();
    if (!every_test_ran()) return;
    const std::set<std::string> passed = points_passed(trace());
    for (const std::string_view point : kFaultPoints) {
      EXPECT_TRUE(passed.contains(std::string(point))) << "no test reaches " << point;
    }
  }

 private:
  fs::path trace() const { return folder_ / "points"; }
  TempFolder folder_;
};
[[maybe_unused]] const testing::Environment* const kWholeSuite =
    testing::AddGlobalTestEnvironment(new WholeSuite);

fs::path folder_of(const HoldfastProgram& program, const std::string& backup_id) {
  for (const auto& entry : fs::recursive_directory_iterator(program.repository_folder())) {
    if (entry.is_directory() && entry.path().filename() == backup_id) return entry.path();
  }
  return {};
}

}  // namespace

PostgresCluster& crash_cluster() {
  if (cluster) return *cluster;
  cluster = std::make_unique<PostgresCluster>();
  cluster->start();
  make_load_tables(*cluster);
  // Random bytes do not compress: a backup stores several packs at the least memory budget.
  cluster->sql(
      "create table still with (autovacuum_enabled = off) as select g, string_agg(md5((g * 1000 + "
      "h)::text), '') from"
      " generate_series(1, 12000) g, generate_series(1, 40) h group by g");
  return *cluster;
}

std::string objects_of(const HoldfastProgram& program, const std::string& backup_id) {
  const fs::path folder = folder_of(program, backup_id);
  std::vector<std::string> lines;
  if (folder.empty()) return "";
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (!entry.is_regular_file() || name == "begin" || name == "outcome") continue;
    // No object: what a put left that was killed (storage/folder_store.h).
    if (name.find(".tmp-") != std::string::npos) continue;
    lines.push_back(fmt::format("{} {}\n", name, entry.file_size()));
  }
  std::ranges::sort(lines);
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

std::vector<std::string> ListedBackups::complaints() {
  std::vector<std::string> found;
  for (const Json& backup : program_.listed()) {
    const std::string id = backup.at("id");
    const std::string objects = objects_of(program_, id);
    if (const auto known = good_.find(id); known != good_.end() && known->second == objects) {
      continue;
    }
    const std::string wrong = complaint(backup);
    if (wrong.empty()) {
      good_[id] = objects;
    } else {
      found.push_back(id + ": " + wrong);
    }
  }
  return found;
}

std::string ListedBackups::complaint(const Json& backup) {
  const fs::path target = program_.new_path("checked");
  const Answer answer = program_.run({"restore", backup.at("id"), "--to", target.string()});
  if (!answer.ok()) return answer.text();
  std::string wrong;
  {
    PostgresCluster restored = PostgresCluster::on(target);
    if (!restored.try_start()) return "does not start: " + restored.log();
    const ClusterContent expected = content_of(crash_cluster(), kLoadTables);
    for (const std::string& line : differences(expected, content_of(restored, kLoadTables))) {
      wrong += line + "\n";
    }
    // The load numbers its rows without gaps, so rows in the middle cannot be lost unseen.
    if (restored.sql("select count(*) = coalesce(max(number), 0) from load") != "t") {
      wrong += "rows of the load are missing\n";
    }
    restored.stop();
    wrong += check_page_checksums(restored);
  }
  fs::remove_all(target);
  return wrong;
}

std::vector<std::string> ids_in_state(HoldfastProgram& program, const std::string& state) {
  std::vector<std::string> ids;
  for (const Json& backup : program.listed({"--all"})) {
    if (backup.at("state") == state) ids.push_back(backup.at("id"));
  }
  return ids;
}

std::uint64_t test_seed() {
  const char* const chosen = std::getenv("HOLDFAST_TEST_SEED");
  return chosen == nullptr ? 20261122 : std::stoull(chosen);
}

}  // namespace holdfast::test
