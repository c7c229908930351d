// What bounds the age of the packs that an incremental backup needs, and their number: refresh and
// consolidation, until the older backups are gone and their packs with them.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kNothing;

Grown grown_with(const std::string& refresh) {
  return Grown({.program = {.lines = {fmt::format("backup: {{refresh: {}}}", refresh)},
                            .repository_lines = {"    retention: {grace: 0}"}}});
}

// The backups in whose folders packs lie.
std::set<std::string> folders_with_packs(HoldfastProgram& holdfast) {
  std::set<std::string> ids;
  for (const auto& entry : fs::recursive_directory_iterator(holdfast.repository_folder())) {
    const fs::path kind = entry.path().parent_path();
    if (!entry.is_regular_file() || (kind.filename() != "pack" && kind.filename() != "map")) {
      continue;
    }
    ids.insert(kind.parent_path().filename().string());
  }
  return ids;
}

void leave_only(HoldfastProgram& holdfast, const std::string& id) {
  for (const std::string& other : holdfast.listed_ids()) {
    if (other != id) holdfast.must({"delete", other, "--yes"});
  }
  for (int run = 0; run < 3; ++run) holdfast.must({"expire", "--yes"});
  ASSERT_EQ(holdfast.listed_ids(), std::vector<std::string>{id});
}

std::uint64_t refreshed_by(const Json& backup) {
  return backup.at("incremental").at("refreshed_bytes");
}

TEST(Refresh, NoBackupNeedsPacksThatAreOlderThanThePeriod) {
  constexpr std::chrono::seconds kPeriod{4};
  Grown grown = grown_with(fmt::format("{}s", kPeriod.count()));
  PostgresCluster& server = grown.server();
  server.sql(
      "create table still as select i n, md5(i::text) t from generate_series(1, 30000) i;"
      "create table moving as select * from still where n <= 1000");
  const std::string full = grown.full().at("id");
  server.sql("update moving set t = 'soon' where n % 7 = 0");
  const Json soon = grown.incremental("wal index");
  EXPECT_TRUE(folders_with_packs(grown.holdfast()).contains(full));
  std::this_thread::sleep_for(kPeriod + std::chrono::seconds(1));
  server.sql("update moving set t = 'later' where n % 7 = 1");
  const Json last = grown.incremental("wal index");
  EXPECT_EQ(last.at("incremental").at("parent"), soon.at("id"));
  EXPECT_GT(refreshed_by(last), 30000U * 36) << "all of the table that nobody touched";
  leave_only(grown.holdfast(), last.at("id"));
  EXPECT_EQ(folders_with_packs(grown.holdfast()), std::set<std::string>{last.at("id")});
  grown.holdfast().must({"verify", last.at("id"), "--deep"});
  EXPECT_EQ(grown.check(last), kNothing);
}

// Each round changes other pages of one table, so that its blocks lie in ever more chunks.
TEST(Consolidation, StoresTogetherWhatLiesScattered) {
  Grown grown = grown_with("0");
  PostgresCluster& server = grown.server();
  server.sql(
      "create table scattered (n int primary key, t text) with (fillfactor = 50);"
      "insert into scattered select i, repeat('x', 90) from generate_series(1, 20000) i");
  server.sql("vacuum scattered");
  grown.full();
  constexpr int kMostRounds = 20;
  Json made;
  for (int round = 0; round < kMostRounds; ++round) {
    server.sql(fmt::format("update scattered set t = 'round' where n % 400 = {}", round * 20));
    made = grown.incremental("wal index");
    if (refreshed_by(made) > 0) break;
  }
  ASSERT_GT(refreshed_by(made), 0U) << "never in " << kMostRounds << " rounds";
  EXPECT_EQ(grown.check(made), kNothing);
  leave_only(grown.holdfast(), made.at("id"));
  grown.holdfast().must({"verify", made.at("id"), "--deep"});
  EXPECT_EQ(grown.check(made), kNothing);
}

}  // namespace
}  // namespace holdfast::test
