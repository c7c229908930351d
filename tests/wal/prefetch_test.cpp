// archive-get's helper keeps ahead of a recovery that reads many segments, in a spool that holds
// few of them. What a server waits for is counted in s3_recovery_test.cpp.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kSegments = 200;
constexpr std::size_t kSpooledMax = 16;
constexpr int kAwaitedMax = 2;

class Prefetched : public testing::Test {
 protected:
  Prefetched()
      : archived_({.settings = {"max_wal_size = 1GB", "wal_keep_size = 1GB"},
                   .wal_segment_mib = 1,
                   .program = {.lines = {fmt::format("wal: {{prefetch: {}MiB}}", kSpooledMax)}}}) {
    history_ = "0001-" + server().sql("select system_identifier from pg_control_system()");
    first_ = server().sql("select pg_walfile_name(pg_current_wal_lsn())");
    server().sql(
        fmt::format("do $$ begin for i in 1..{} loop perform pg_create_restore_point('x'); "
                    "perform pg_switch_wal(); end loop; end $$",
                    kSegments));
    archived_.archive();
    data_ = archived_.holdfast().new_path("recovered");
    fs::create_directories(data_ / "pg_wal");
    fs::create_directory(data_ / "global");
    fs::copy_file(server().data_directory() / "global/pg_control", data_ / "global/pg_control");
    write_text(data_ / "recovery.signal", "");
    give_to_server_user(data_);
  }

  PostgresCluster& server() { return archived_.server(); }
  std::string segment(int n) const {  // all of them are in the first 4 GiB of WAL
    return fmt::format("{}{:08X}", first_.substr(0, 16),
                       std::stoi(first_.substr(16), nullptr, 16) + n);
  }
  std::size_t spooled(const std::string& suffix) {
    std::size_t count = 0;
    std::error_code ignored;  // the helper removes and renames files meanwhile
    fs::recursive_directory_iterator entry(archived_.holdfast().state_directory() / "wal" / "get",
                                           ignored);
    for (; entry != fs::recursive_directory_iterator(); entry.increment(ignored)) {
      count += entry->path().filename().string().ends_with(suffix) ? 1U : 0U;
    }
    return count;
  }
  bool comes_into_spool(const std::string& file) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (spooled(file + ".entry") == 0) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  // How archive-get came to the file.
  std::string source_of(const std::string& file) {
    const Outcome got = archived_.call(
        {"--output", "json", "archive-get", "--history", history_, file, "pg_wal/RECOVERYXLOG"},
        data_);
    EXPECT_EQ(got.exit_code, 0) << file << got.err;
    return Json::parse(got.out).at("result").at("source");
  }

  ArchivedCluster archived_;
  std::string first_, history_;
  fs::path data_;
};

// However fast the machine is: this recovery takes as long for each segment as the next one takes
// to arrive.
TEST_F(Prefetched, TwoHundredSegmentsAreReadAndHardlyOneIsWaitedFor) {
  int awaited = 0;
  std::size_t most = 0;
  for (int n = 0; n < kSegments; ++n) {
    const std::string file = segment(n);
    if (n > 0) {
      ASSERT_TRUE(comes_into_spool(file)) << file << ": nothing is fetched any more";
    }
    awaited += source_of(file) == "prefetched" ? 0 : 1;
    EXPECT_TRUE(read_text(data_ / "pg_wal" / "RECOVERYXLOG") ==
                read_text(server().data_directory() / "pg_wal" / file))
        << file;
    most = std::max(most, spooled(".entry"));
  }
  EXPECT_LE(awaited, kAwaitedMax);
  EXPECT_GE(awaited, 1) << "the first is asked for before there is a helper";
  EXPECT_LE(most, kSpooledMax);
}

}  // namespace
}  // namespace holdfast::test
