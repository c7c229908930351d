// What a real server archived: `window` shows it to the last commit, and a plan finds every
// transaction and restore point, and refuses what is not there.
#include <algorithm>
#include <filesystem>
#include <random>

#include <fmt/format.h>

#include "core/error.h"
#include "repository/wal_rollup.h"
#include "restore/recovery_plan.h"
#include "storage/folder_store.h"
#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using Kind = RecoveryTarget::Kind;
const std::stop_token kNeverStopped;

struct Written {
  std::uint32_t xid = 0;
  Timestamp time{};
};

class ArchivedServer {
 public:
  explicit ArchivedServer(ServerPrograms programs)
      : cluster_({.programs = std::move(programs),
                  .wal_segment_mib = 1,
                  .settings = {"archive_mode=on", "archive_command='false'", "wal_level=replica",
                               "track_commit_timestamp=on", "autovacuum=off", "min_wal_size=2MB"}}),
        holdfast_(cluster_) {
    cluster_.start();
    holdfast_.init();
    cluster_.sql(
        fmt::format("alter system set archive_command = '{} --config {} archive-push "
                    "\"%p\"'",
                    HoldfastProgram::path(), (holdfast_.folder() / "holdfast.yaml").string()));
    cluster_.sql("select pg_reload_conf(); create table load (t text)");
  }

  PostgresCluster& cluster() { return cluster_; }
  HoldfastProgram& holdfast() { return holdfast_; }

  // One transaction of about `rows` · 60 bytes of WAL.
  Written write(int rows) {
    const auto row = cluster_.rows(
        fmt::format("with xid as (select pg_current_xact_id() as x), done as (insert into load "
                    "select md5(g::text) from generate_series(1, {}) g returning 1) select "
                    "(select x from xid), count(*) from done",
                    rows));
    const std::string& xid = row.at(0).at(0);
    const std::string time =
        cluster_.sql("select to_char(pg_xact_commit_timestamp('" + xid +
                     "') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    return {static_cast<std::uint32_t>(std::stoul(xid)), parse_rfc3339(time).value()};
  }

  // Returns once everything written so far is archived.
  void archive() {
    const std::string segment = cluster_.sql("select pg_walfile_name(pg_switch_wal())");
    cluster_.wait_for("coalesce(last_archived_wal >= '" + segment +
                      "', false) from pg_stat_archiver");
  }

  std::unique_ptr<Repository> repository() {
    return Repository::open(make_folder_store(holdfast_.repository_folder()), std::nullopt,
                            kNeverStopped);
  }
  RecoveryPlan plan(const RecoveryTarget& target) {
    return plan_recovery(*repository(), "demo", {target}, kNeverStopped);
  }
  std::string refusal(const RecoveryTarget& target) {
    try {
      plan(target);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kRefused);
      return error.message() + " | " + error.hint();
    }
    return "not refused";
  }
  Json timeline() { return holdfast_.must({"window"}).at("histories").at(0).at("timelines").at(0); }

 private:
  PostgresCluster cluster_;
  HoldfastProgram holdfast_;
};

#define EXPECT_HAS(text, words) EXPECT_NE((text).find(words), std::string::npos) << (text)

class Window : public testing::TestWithParam<ServerPrograms> {};

TEST_P(Window, finds_what_was_written_and_refuses_what_was_not) {
  ArchivedServer server(GetParam());
  const std::string first = server.holdfast().backup().at("id");
  const char* const given = std::getenv("HOLDFAST_TEST_SEED");
  const auto seed = given == nullptr ? std::random_device()()
                                     : static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10));
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  std::mt19937 random(seed);
  std::vector<Written> written;
  for (int i = 0; i < 120; ++i) {
    written.push_back(server.write(static_cast<int>(random() % 6000)));
    if (i % 10 == 0) {
      server.cluster().sql(fmt::format("select pg_create_restore_point('point {}')", i));
    }
    if (i == 70) server.archive();
  }
  server.cluster().sql("select pg_create_restore_point('twice')");
  server.cluster().sql("select pg_create_restore_point('twice')");
  written.push_back(server.write(1));
  server.archive();

  const Json interval = server.timeline().at("intervals").at(0);
  EXPECT_EQ(interval.at("to").at("time"), to_rfc3339(written.back().time));
  EXPECT_EQ(interval.at("last_commit"), "known");
  EXPECT_EQ(interval.at("backups"), Json::array({first}));
  EXPECT_TRUE(server.timeline().at("gaps").empty());

  for (const Written& one : written) {
    const RecoveryPlan plan = server.plan({.kind = Kind::kXid, .xid = one.xid});
    EXPECT_EQ(plan.point->time, one.time);
    EXPECT_TRUE(plan.warnings.empty()) << plan.warnings.front();
  }
  for (int i = 0; i < 120; i += 10) {
    server.plan({.kind = Kind::kName, .name = fmt::format("point {}", i)});
  }
  EXPECT_HAS(server.refusal({.kind = Kind::kName, .name = "twice"}), "2 times");
  EXPECT_HAS(server.refusal({.kind = Kind::kName, .name = "point 55"}), "no restore point");
  EXPECT_HAS(server.refusal({.kind = Kind::kXid, .xid = written.back().xid + 1}),
             fmt::format("{} (committed", written.back().xid));
  const Timestamp last = written.back().time;
  server.plan({.kind = Kind::kTime, .time = last - std::chrono::microseconds(1)});
  EXPECT_HAS(server.refusal({.kind = Kind::kTime, .time = last}), "pg_switch_wal");

  // What is written now is not archived yet; once it is, the same time can be reached.
  const Written later = server.write(1);
  EXPECT_HAS(server.refusal({.kind = Kind::kXid, .xid = later.xid}), "pg_switch_wal");
  server.archive();
  server.plan({.kind = Kind::kTime, .time = last});
  server.plan({.kind = Kind::kXid, .xid = later.xid});
}

TEST_P(Window, shows_a_gap_until_the_next_backup) {
  ArchivedServer server(GetParam());
  server.holdfast().backup();
  const Written before = server.write(1000);
  server.archive();
  const std::string lost =
      server.cluster().sql("select pg_walfile_name(pg_current_wal_insert_lsn())");
  const Written in_gap = server.write(1000);
  server.archive();
  const Written behind = server.write(1000);
  server.archive();
  const std::string second = server.holdfast().backup().at("id");
  const Written reachable = server.write(1000);
  server.write(1);
  server.archive();

  fs::path found;
  for (const auto& entry :
       fs::recursive_directory_iterator(server.holdfast().repository_folder())) {
    if (entry.path().filename() == lost) found = entry.path();
  }
  ASSERT_FALSE(found.empty()) << lost;
  fs::remove(found);

  const Json timeline = server.timeline();
  ASSERT_EQ(timeline.at("gaps").size(), 1U) << timeline.dump(2);
  EXPECT_EQ(timeline.at("gaps")[0].at("missing"),
            Json::array({{{"first", lost}, {"last", lost}, {"segments", 1}}}));
  EXPECT_EQ(timeline.at("intervals").at(1).at("backups"), Json::array({second}));
  for (const Written& unreachable : {in_gap, behind}) {
    EXPECT_HAS(server.refusal({.kind = Kind::kTime, .time = unreachable.time}), lost);
  }
  EXPECT_HAS(server.refusal({.kind = Kind::kXid, .xid = in_gap.xid}), "no end of a transaction");
  EXPECT_NE(server.plan({.kind = Kind::kXid, .xid = before.xid}).backup.name.id.text, second);
  EXPECT_EQ(server.plan({.kind = Kind::kTime, .time = reachable.time}).backup.name.id.text, second);
  EXPECT_EQ(server.plan({}).backup.name.id.text, second);
}

INSTANTIATE_TEST_SUITE_P(Versions, Window, testing::ValuesIn(available_servers()),
                         [](const auto& version) {
                           return fmt::format("pg{}", version.param.major_version);
                         });

}  // namespace
}  // namespace holdfast::test
