// The helpers of archive-push and archive-get with real servers: every segment size, the files that
// are no segments, and a recovery that reads what was fetched ahead.
#include <fmt/format.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class SegmentSize : public testing::TestWithParam<int> {};

TEST_P(SegmentSize, ArchivesEveryFileAndAZeroTailCostsNothing) {
  ArchivedCluster archived({.wal_segment_mib = GetParam()});
  PostgresCluster& server = archived.server();
  // The first look at a page after a checkpoint logs all of it: not in the segment that counts.
  for (int i = 0; i < 3; ++i) archived.archive();
  const fs::path wal = server.data_directory() / "pg_wal";

  // A segment with next to nothing in it.
  const std::string segment = server.sql("select pg_walfile_name(pg_current_wal_lsn())");
  archived.archive();
  EXPECT_LT(fs::file_size(archived.object_of(segment)), 64U << 10U);
  ASSERT_TRUE(archived.get(segment).ok());
  EXPECT_TRUE(read_text(wal / "RECOVERYXLOG") == read_text(wal / segment));
  EXPECT_EQ(fs::file_size(wal / "RECOVERYXLOG"), static_cast<std::uintmax_t>(GetParam()) << 20U);

  // One that is full of bytes that do not compress to nothing.
  server.sql(
      "create table filler as select string_agg(md5((g * 1000 + h)::text), '') from"
      " generate_series(1, 2000) g, generate_series(1, 200) h group by g");
  archived.archive();

  // A backup's label file is archived under its own name.
  server.sql("select pg_backup_start('label', true); select pg_backup_stop()");
  archived.archive();
  std::string label;
  for (const auto& entry : fs::directory_iterator(wal)) {
    if (entry.path().extension() == ".backup") label = entry.path().filename();
  }
  ASSERT_NE(label, "");
  server.wait_for("not exists (select from pg_ls_archive_statusdir() where name like '%.ready')");
  ASSERT_TRUE(archived.get(label).ok());
  EXPECT_EQ(read_text(wal / "RECOVERYXLOG"), read_text(wal / label));

  for (const auto& entry : fs::directory_iterator(wal / "archive_status")) {
    const std::string file = entry.path().stem();
    if (entry.path().extension() != ".done" || !fs::exists(wal / file)) continue;
    ASSERT_TRUE(archived.get(file).ok()) << file;
    EXPECT_TRUE(read_text(wal / "RECOVERYXLOG") == read_text(wal / file)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(MiB, SegmentSize, testing::Values(1, 16, 64),
                         [](const auto& given) { return std::to_string(given.param); });

// As a promoted standby leaves them.
TEST(Promotion, ArchivesTheHistoryAndThePartialSegment) {
  ArchivedCluster archived({.wal_segment_mib = 1});
  PostgresCluster standby = PostgresCluster::standby_of(archived.server());
  standby.start();
  archived.server().sql("create table t as select generate_series(1, 1000) g");
  standby.wait_for("to_regclass('t') is not null");
  archived.server().stop();
  standby.promote();
  standby.wait_for("not pg_is_in_recovery()");
  standby.sql("create table u as select 1; select pg_switch_wal()");
  standby.wait_for("not exists (select from pg_ls_archive_statusdir() where name like '%.ready')");
  const fs::path wal = standby.data_directory() / "pg_wal";
  const auto call = [&](const std::string& file) {
    return archived.call({"archive-get", file, "pg_wal/RECOVERYXLOG"}, standby.data_directory());
  };
  std::string partial;
  for (const auto& entry : fs::directory_iterator(wal / "archive_status")) {
    if (entry.path().stem().extension() == ".partial") partial = entry.path().stem();
  }
  ASSERT_NE(partial, "");
  for (const std::string& file : {std::string("00000002.history"), partial}) {
    ASSERT_TRUE(call(file).ok()) << file;
    EXPECT_TRUE(read_text(wal / "RECOVERYXLOG") == read_text(wal / file)) << file;
  }
}

TEST(Prefetch, RecoveryReadsWhatWasFetchedAhead) {
  ArchivedCluster archived({.wal_segment_mib = 1});
  PostgresCluster& server = archived.server();
  archived.holdfast().backup();
  server.sql("create table t (g int, x text)");
  for (int i = 0; i < 60; ++i) {
    server.sql(
        fmt::format("insert into t select {}, md5(g::text) from generate_series(1, 3000) g;"
                    " select pg_switch_wal()",
                    i));
  }
  archived.archive();
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target);
  const fs::path log = archived.holdfast().new_path("sources");
  write_text(log, "");
  give_to_server_user(log);
  append_text(
      target / "postgresql.auto.conf",
      fmt::format("restore_command = '{} --config {} --output json archive-get %f \"%p\" >> {}'\n",
                  HoldfastProgram::path(), archived.holdfast().configuration().string(),
                  log.string()));
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select count(*) from t"), "180000");
  const std::string said = read_text(log);
  const auto count = [&](const std::string& what) {
    std::size_t found = 0;
    for (auto at = said.find(what); at != std::string::npos; at = said.find(what, at + 1)) ++found;
    return found;
  };
  // Of segments that small several are replayed while one is fetched, so some are awaited.
  EXPECT_GE(count("\"prefetched\"") + count("\"awaited\""), 40U);
  EXPECT_LE(count("\"source\": \"repository\""), 10U) << said;
}

}  // namespace
}  // namespace holdfast::test
