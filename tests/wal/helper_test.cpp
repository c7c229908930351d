// The helpers of archive-push and archive-get with real servers: every segment size, the files that
// are no segments, and a recovery that reads what was fetched ahead.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "support/archived_cluster.h"

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

// Several segments that wait, and nobody who archives them but the test.
class Waiting : public testing::Test {
 protected:
  Waiting() {
    server().sql("create table t (n int)");
    archived_.archive();
    server().sql("alter system set archive_command = 'false'");
    server().sql("select pg_reload_conf()");
    server().wait_for("current_setting('archive_command') = 'false'");
  }

  PostgresCluster& server() { return archived_.server(); }
  // Ends so many segments, with `n` in them; their names.
  std::vector<std::string> write(int count, int n) {
    std::vector<std::string> segments;
    for (int i = 0; i < count; ++i) {
      segments.push_back(server().sql("select pg_walfile_name(pg_current_wal_lsn())"));
      server().sql(fmt::format("insert into t values ({}); select pg_switch_wal()", n));
    }
    return segments;
  }
  bool has(const std::string& segment) {
    for (const auto& entry : fs::recursive_directory_iterator(repository())) {
      if (entry.path().filename() == segment) return true;
    }
    return false;
  }
  fs::path repository() { return archived_.holdfast().repository_folder(); }
  fs::path entry_of(const std::string& segment) {
    return archived_.holdfast().state_directory() / "wal" / "push" / (segment + ".stored");
  }
  // As when it was written longer ago than it is believed without asking; and just now.
  void age(const std::string& segment) {
    fs::last_write_time(entry_of(segment),
                        fs::file_time_type::clock::now() - std::chrono::seconds(60));
  }
  void renew(const std::string& segment) {
    fs::last_write_time(entry_of(segment), fs::file_time_type::clock::now());
  }
  template <class Condition>
  static bool comes_true(Condition condition) {
    for (int i = 0; i < 6000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
  }

  ArchivedCluster archived_{{.wal_segment_mib = 1}};
};

TEST_F(Waiting, OfAServerThatWasSetBackNothingIsStoredBehindWhatIsRefused) {
  server().stop();
  const TempFolder folder;
  const fs::path older = folder / "older";
  fs::copy(server().data_directory(), older, fs::copy_options::recursive);
  server().start();
  const std::string taken = write(1, 1).at(0);
  ASSERT_EQ(archived_.push(taken).exit_code, 0);
  server().stop();
  for (const auto& entry : fs::directory_iterator(server().data_directory())) {
    fs::remove_all(entry.path());
  }
  fs::copy(older, server().data_directory(), fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(server().data_directory())) {
    give_to_server_user(entry.path());
  }
  server().start();
  const std::vector<std::string> waiting = write(8, 2);
  ASSERT_EQ(waiting.at(0), taken);
  // Each call finds more waiting, and so starts a helper.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(archived_.push(taken).exit_code, 3);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
  }
  const fs::path log = archived_.holdfast().state_directory() / "wal" / "push-helper.log";
  EXPECT_TRUE(comes_true([&] { return read_text(log).find("other content") != std::string::npos; }))
      << "the helper did nothing, so this proves nothing";
  for (std::size_t i = 1; i < waiting.size(); ++i) EXPECT_FALSE(has(waiting[i])) << waiting[i];
}

TEST_F(Waiting, AnotherRepositoryInItsPlaceIsNotBelievedToHaveThem) {
  const std::vector<std::string> waiting = write(4, 1);
  ASSERT_EQ(archived_.push(waiting.at(0)).exit_code, 0);
  ASSERT_TRUE(comes_true([&] { return fs::exists(entry_of(waiting.at(3))); }));
  const std::string remembered = read_text(entry_of(waiting.at(1)));
  fs::remove_all(repository());
  archived_.holdfast().init();
  EXPECT_FALSE(fs::exists(entry_of(waiting.at(1))));
  // As after an init on another machine.
  write_text(entry_of(waiting.at(1)), remembered);
  give_to_server_user(entry_of(waiting.at(1)));
  age(waiting.at(1));
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    EXPECT_EQ(archived_.push(waiting[i]).exit_code, 0);
    EXPECT_TRUE(has(waiting[i])) << waiting[i];
  }
}

TEST_F(Waiting, ARepositoryThatLostThemGetsThemAgain) {
  const std::vector<std::string> waiting = write(3, 1);
  ASSERT_EQ(archived_.push(waiting.at(0)).exit_code, 0);
  ASSERT_TRUE(comes_true([&] { return fs::exists(entry_of(waiting.at(2))); }));
  fs::remove(archived_.object_of(waiting.at(1)));
  age(waiting.at(1));
  EXPECT_EQ(archived_.push(waiting.at(1)).exit_code, 0);
  EXPECT_TRUE(has(waiting.at(1)));
}

// Whatever else a young note says, it is about this file of this server in these repositories.
TEST_F(Waiting, ANoteOfAnythingElseIsNotBelieved) {
  const std::vector<std::string> waiting = write(2, 1);
  ASSERT_EQ(archived_.push(waiting.at(0)).exit_code, 0);
  ASSERT_TRUE(comes_true([&] { return fs::exists(entry_of(waiting.at(1))); }));
  const std::string& segment = waiting.at(1);
  const std::string note = read_text(entry_of(segment));
  const fs::path object = archived_.object_of(segment);
  // Else the helper might make a note of its own in between.
  fs::remove(server().data_directory() / "pg_wal/archive_status" / (segment + ".ready"));
  const auto changed = [&](const std::string& key, const Json& value) {
    Json json = Json::parse(note);
    EXPECT_TRUE(json.contains(key)) << key;
    json[key] = value;
    return json.dump();
  };
  const Json history = Json::parse(note).at("history");
  std::string identifier = history;
  identifier.back() = identifier.back() == '1' ? '2' : '1';
  for (const std::string& other :
       {changed("content_xxh3_128", std::string(32, '0')), changed("cluster", "another"),
        changed("file", waiting.at(0)), changed("bytes", 4096), changed("bound", true),
        changed("history", identifier), changed("stored_in", Json::array()),
        changed("stored_in", Json::array({"first file:///elsewhere " + std::string(32, '0')}))}) {
    write_text(entry_of(segment), other);
    give_to_server_user(entry_of(segment));
    fs::remove(object);
    EXPECT_EQ(archived_.push(segment).exit_code, 0) << other;
    EXPECT_TRUE(fs::exists(object)) << other;
  }
  // As it was, it is believed: the test would see it.
  write_text(entry_of(segment), note);
  give_to_server_user(entry_of(segment));
  fs::remove(object);
  EXPECT_EQ(archived_.push(segment).exit_code, 0);
  EXPECT_FALSE(fs::exists(object));
}

// Asking for what was stored a moment ago would cost more than all the rest of the call.
TEST_F(Waiting, WhatWasStoredAMomentAgoIsAnsweredWithoutTheRepository) {
  const std::vector<std::string> waiting = write(3, 1);
  ASSERT_EQ(archived_.push(waiting.at(0)).exit_code, 0);
  ASSERT_TRUE(comes_true([&] { return fs::exists(entry_of(waiting.at(2))); }));
  const Variable soon("HOLDFAST_WAL_TIMEOUT", "2s");
  const fs::path aside = repository().parent_path() / "aside";
  fs::rename(repository(), aside);
  renew(waiting.at(1));
  EXPECT_EQ(archived_.push(waiting.at(1)).exit_code, 0);
  age(waiting.at(2));
  EXPECT_NE(archived_.push(waiting.at(2)).exit_code, 0);
  fs::rename(aside, repository());
  EXPECT_EQ(archived_.push(waiting.at(2)).exit_code, 0);
}

TEST(Promotion, WithoutTheArchiveStillLeavesTheOldTimeline) {
  ArchivedCluster archived({.wal_segment_mib = 1});
  PostgresCluster standby = PostgresCluster::standby_of(
      archived.server(),
      {fmt::format("restore_command = '{} --config {} archive-get %f \"%p\"'",
                   HoldfastProgram::path(), archived.holdfast().configuration().string())});
  standby.start();
  archived.server().sql("create table t as select 1 g");
  standby.wait_for("to_regclass('t') is not null");
  const fs::path repository = archived.holdfast().repository_folder();
  const fs::path aside = repository.parent_path() / "aside";
  fs::rename(repository, aside);
  // One that streams removes `promote` before it asks the archive for the last time.
  standby.wait_for("exists (select from pg_stat_wal_receiver where status = 'streaming')");
  try {
    standby.promote();
    standby.wait_for("not pg_is_in_recovery()");
  } catch (const std::exception& error) {
    FAIL() << error.what() << standby.log();
  }
  EXPECT_EQ(standby.sql("select left(pg_walfile_name(pg_current_wal_lsn()), 8)"), "00000002");
  fs::rename(aside, repository);
}

TEST(Promotion, ATimelineHistoryThatPostgresHasItselfIsNotNeededFromTheArchive) {
  ArchivedCluster archived({.program = {.lines = {"wal:", "  timeout: 2s"}}});
  const fs::path repository = archived.holdfast().repository_folder();
  const fs::path aside = repository.parent_path() / "aside";
  fs::rename(repository, aside);
  const fs::path own = archived.server().data_directory() / "pg_wal" / "00000002.history";
  EXPECT_EQ(archived.get("00000001.history").exit_code, 1);
  EXPECT_EQ(archived.get("00000002.history").exit_code, 255);
  write_text(own, "1\t0/3000000\tfor a test\n");
  EXPECT_EQ(archived.get("00000002.history").exit_code, 1);
  // While there is a signal file the archive must be asked.
  write_text(archived.server().data_directory() / "recovery.signal", "");
  EXPECT_EQ(archived.get("00000002.history").exit_code, 255);
  fs::remove(own);
  fs::remove(archived.server().data_directory() / "recovery.signal");
  fs::rename(aside, repository);
  EXPECT_EQ(archived.get("0000000100000000000000FFFF").exit_code, 255);
  EXPECT_EQ(archived.get("000000010000000000000FFF").exit_code, 255);  // of 16 MiB: none above FF
  EXPECT_EQ(archived.get("0000000100000000000000FF").exit_code, 1);
  EXPECT_EQ(archived.call({"archive-push", ""}, archived.server().data_directory()).exit_code, 2);
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
