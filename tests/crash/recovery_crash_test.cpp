// archive-get and its helper killed at every named point while a real server recovers: the server
// goes on or stops, and never ends its recovery before the end of the archive.
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "suite.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr int kSegments = 5;
constexpr const char* kRows = "1 2 3 4 5";
// Without a helper, which would go on for a while and be in the way of the next recovery's.
const std::string kAlone = "export HOLDFAST_WAL_PREFETCH=0; ";

// One archive for all of these: a row in each segment.
struct RecordedRows {
  RecordedRows() {
    archived.server().sql("create table kept (n int)");
    archived.holdfast().backup();
    for (int n = 1; n <= kSegments; ++n) {
      archived.server().sql(fmt::format("insert into kept values ({})", n));
      segments.push_back(archived.server().sql("select pg_walfile_name(pg_current_wal_lsn())"));
      archived.archive();
    }
  }
  ArchivedCluster archived{{.wal_segment_mib = 1}};
  std::vector<std::string> segments;
};

std::unique_ptr<RecordedRows> recorded;

class EndOfRecorded final : public testing::Environment {
 public:
  void TearDown() override { recorded.reset(); }
};
[[maybe_unused]] const testing::Environment* const kEndOfRecorded =
    testing::AddGlobalTestEnvironment(new EndOfRecorded);

enum class Victim {
  kFetching,  // archive-get in the middle of the recovery, which fetches by itself
  kTaking,    // the same, which takes what the helper has fetched
  kHelper,    // each helper
  kAsking,    // whoever finds that something is absent
};

struct KilledAt {
  std::string point;
  Victim victim;
};

class RecoveryWithKilled : public testing::TestWithParam<KilledAt> {
 protected:
  RecoveryWithKilled() {
    if (!recorded) recorded = std::make_unique<RecordedRows>();
    target_ = holdfast().new_path();
    trace_ = holdfast().state_directory() / (target_.filename().string() + ".trace");
    holdfast().restore(target_, {"--archive", "off"});
    command_ = read_text(settings());
  }
  HoldfastProgram& holdfast() { return recorded->archived.holdfast(); }
  fs::path settings() const { return target_ / "postgresql.auto.conf"; }

  // What is done in front of each archive-get.
  std::string words() {
    const std::string kill =
        fmt::format("export HOLDFAST_FAULT_POINT={}:kill; export HOLDFAST_FAULT_TRACE={}; ",
                    GetParam().point, trace_.string());
    const std::string middle = fmt::format("if [ %f = {} ]; then ", recorded->segments.at(2));
    switch (GetParam().victim) {
      case Victim::kFetching:
        return kAlone + middle + kill + "fi; ";
      case Victim::kTaking:  // which has to be there first
        return middle +
               fmt::format(
                   "for i in $(seq 600); do find {} -name {}.entry | grep -q . && break; "
                   "sleep 0.1; done; ",
                   (holdfast().state_directory() / "wal/get").string(), recorded->segments.at(2)) +
               kill + "fi; ";
      case Victim::kHelper:  // one at least, before the recovery comes to its middle
        return kill + middle +
               fmt::format(
                   "for i in $(seq 600); do grep -qsx {} {} && break; sleep 0.1; done; fi; ",
                   GetParam().point, trace_.string());
      case Victim::kAsking:
        break;
    }
    return kAlone + kill;
  }
  void put_before_each_get(const std::string& words) {
    const std::string key = "restore_command = '";
    const std::size_t at = command_.rfind(key);
    ASSERT_NE(at, std::string::npos) << command_;
    std::string text = command_;
    write_text(settings(), text.insert(at + key.size(), words));
  }

  // Until its recovery has ended, or the server has.
  static void watch(PostgresCluster& restored) {
    if (!restored.try_start()) return;
    const auto until = std::chrono::steady_clock::now() + 3min;
    while (restored.running() && std::chrono::steady_clock::now() < until) {
      if (restored.log().find("archive recovery complete") != std::string::npos) return;
      std::this_thread::sleep_for(50ms);
    }
  }
  // A point that was passed killed whoever passed it.
  bool killed() const {
    return fs::exists(trace_) && read_text(trace_).find(GetParam().point) != std::string::npos;
  }
  static std::string rows_of(const PostgresCluster& restored) {
    return restored.sql("select string_agg(n::text, ' ' order by n) from kept");
  }

  fs::path target_, trace_;
  std::string command_;
};

TEST_P(RecoveryWithKilled, StopsOrGoesOnAndNeverEndsEarly) {
  put_before_each_get(words());
  {
    PostgresCluster restored = PostgresCluster::on(target_);
    watch(restored);
    EXPECT_TRUE(killed());
    const bool ended = restored.log().find("archive recovery complete") != std::string::npos;
    EXPECT_EQ(ended, GetParam().victim == Victim::kHelper) << restored.log();
    if (ended) {
      restored.wait_for("not pg_is_in_recovery()");
      EXPECT_EQ(rows_of(restored), kRows);
      return;
    }
    EXPECT_FALSE(restored.running()) << restored.log();
    EXPECT_EQ(restored.log().find("database system is ready to accept connections"),
              std::string::npos);
    EXPECT_FALSE(fs::exists(target_ / "pg_wal" / "00000002.history"));
  }
  put_before_each_get(kAlone);
  EXPECT_EQ(rows_of(start_recovered(target_)), kRows);
}

INSTANTIATE_TEST_SUITE_P(At, RecoveryWithKilled,
                         testing::Values(KilledAt{"get.fetched", Victim::kFetching},
                                         KilledAt{"get.before_rename", Victim::kFetching},
                                         KilledAt{"get.from_spool", Victim::kTaking},
                                         KilledAt{"get.prefetched", Victim::kHelper},
                                         KilledAt{"get.absent", Victim::kAsking}),
                         [](const auto& given) {
                           std::string name = given.param.point;
                           name.replace(name.find('.'), 1, "_");
                           return name;
                         });

}  // namespace
}  // namespace holdfast::test
