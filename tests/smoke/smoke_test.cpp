// The whole way in one go, with every pool of threads at work: WAL archived by PostgreSQL with the
// helper storing ahead and copying to a second repository, a backup under write load, verification,
// a restore, and a recovery that reads what its helper fetched ahead. The sanitizers run it, so it
// is one small program; what the steps guarantee in detail is for the other suites.
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/archived_cluster.h"
#include "support/cluster_content.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kSegmentsArchived = 30;
constexpr std::chrono::seconds kCatchUpMax{120};

struct Place {
  std::string name;
  bool on_s3 = false;
};
void PrintTo(const Place& place, std::ostream* out) {
  *out << place.name;
}

class SmokeConcurrent : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (!GetParam().on_s3) return;
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
    s3_ = std::make_unique<S3Server>();
    s3_->create_bucket("smoke");
  }

  ProgramSettings settings() const {
    ProgramSettings settings{
        .encryption = Encryption::kKeyFile,
        .lines = {"backup: {jobs: 4}", "wal: {jobs: 4}"},
        .repository_lines = {"  - name: second", "    url: file://" + second().string()}};
    if (s3_) {
      settings.url = "s3://smoke/some/prefix";
      settings.s3 = s3_.get();
    }
    return settings;
  }
  fs::path second() const { return folder_ / "second"; }

  // How many files of WAL the second repository has.
  int copied() const {
    int count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(second())) {
      const std::string name = entry.path().filename().string();
      if (name.size() == 24 && name.starts_with("00000001")) ++count;
    }
    return count;
  }

  static void fill(const PostgresCluster& server) {
    server.sql("create table filled (n int, x text)");
    for (int i = 0; i < kSegmentsArchived; ++i) {
      server.sql(
          fmt::format("insert into filled select {}, md5(g::text) from generate_series(1, 2000) g; "
                      "select pg_switch_wal()",
                      i));
    }
  }

  TempFolder folder_;
  std::unique_ptr<S3Server> s3_;
};

TEST_P(SmokeConcurrent, ArchivesBacksUpVerifiesRestoresAndRecovers) {
  give_to_server_user(folder_.path());
  ArchivedCluster archived({.wal_segment_mib = 1, .program = settings()});
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  holdfast.must({"--repo", "second", "init"});
  make_load_tables(server);

  WriteLoad load(server);
  load.wait_for_more(20);
  const Json backup = holdfast.backup();
  load.wait_for_more(20);
  load.stop();
  fill(server);
  const ClusterContent before = content_of(server);
  archived.archive();
  const auto end = std::chrono::steady_clock::now() + kCatchUpMax;
  while (copied() < kSegmentsArchived && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  EXPECT_GE(copied(), kSegmentsArchived);

  EXPECT_TRUE(holdfast.run({"verify", "--deep"}).ok());
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  const PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(differences(before, content_of(restored)), std::vector<std::string>{});
  EXPECT_EQ(backup.at("damaged_pages"), 0);
}

INSTANTIATE_TEST_SUITE_P(Place, SmokeConcurrent,
                         testing::Values(Place{"Folder"}, Place{"S3", true}),
                         [](const auto& given) { return given.param.name; });

}  // namespace
}  // namespace holdfast::test
