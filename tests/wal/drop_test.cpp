// The limit beyond which WAL is dropped to protect the server's disk: only where it was set, and
// then it is said everywhere what is lost, and the next backup is good.
#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kLimit = 4;  // segments that may wait
constexpr int kWritten = 10;

class Behind : public testing::Test {
 protected:
  static ArchivedOptions options(const std::string& limit) {
    return {.wal_segment_mib = 1, .program = {.lines = {"wal: {timeout: 3s" + limit + "}"}}};
  }

  enum class Archiving { kWorks, kNone };
  // Ends segments while the repository is away.
  static void write_without_repository(ArchivedCluster& archived,
                                       Archiving archiving = Archiving::kWorks) {
    PostgresCluster& server = archived.server();
    server.sql("create table kept (n int); insert into kept values (0)");
    if (archiving == Archiving::kWorks) {
      archived.holdfast().backup({"--name", "before"});
      archived.archive();
    }
    fs::rename(archived.holdfast().repository_folder(), aside(archived));
    server.sql("select pg_backup_start('owed', true); select pg_backup_stop(false)");
    for (int n = 1; n <= kWritten; ++n) {
      server.sql(fmt::format("insert into kept values ({})", n));
      server.sql("select pg_switch_wal()");
    }
  }
  static fs::path aside(ArchivedCluster& archived) {
    return archived.holdfast().folder() / "aside";
  }
  static void bring_back(ArchivedCluster& archived) {
    fs::rename(aside(archived), archived.holdfast().repository_folder());
    archived.archive();
  }
};

TEST_F(Behind, WithoutALimitNothingIsDropped) {
  ArchivedCluster archived(options(""));
  write_without_repository(archived);
  PostgresCluster& server = archived.server();
  server.wait_for("(select failed_count > 3 from pg_stat_archiver)");
  EXPECT_GE(std::stoi(server.sql("select count(*) from pg_ls_archive_statusdir() "
                                 "where name ~ '^[0-9A-F]{24}.ready$'")),
            kWritten);
  bring_back(archived);
  EXPECT_EQ(archived.holdfast().must({"window"}).at("histories").at(0).at("dropped_wal").size(),
            0U);
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target, {"before"});
  EXPECT_EQ(start_recovered(target).sql("select count(*) from kept"), std::to_string(kWritten + 1));
}

TEST_F(Behind, BeyondTheLimitWalIsDroppedAndEverybodySaysSo) {
  ArchivedCluster archived(options(fmt::format(", drop_when_behind: {}MiB", kLimit)));
  write_without_repository(archived);
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  server.wait_for(
      fmt::format("(select count(*) <= {} from pg_ls_archive_statusdir() "
                  "where name ~ '^[0-9A-F]{{24}}.ready$')",
                  kLimit));
  EXPECT_NE(server.log().find("WAL IS LOST"), std::string::npos);
  bring_back(archived);

  // In the repository, for whoever looks there.
  const Json history = holdfast.must({"window"}).at("histories").at(0);
  ASSERT_EQ(history.at("dropped_wal").size(), 1U) << history;
  EXPECT_GE(history.at("dropped_wal").at(0).at("segments").get<int>(), kWritten - kLimit);
  const Answer bad = holdfast.run({"check"});
  EXPECT_EQ(bad.outcome.exit_code, 1);
  EXPECT_NE(bad.text().find("dropped without being stored"), std::string::npos) << bad.text();
  // What is no segment is stored all the same.
  std::string label;
  for (const auto& entry : fs::directory_iterator(server.data_directory() / "pg_wal")) {
    if (entry.path().extension() == ".backup") label = entry.path().filename();
  }
  EXPECT_TRUE(archived.get(label).ok()) << label;

  const Answer backup = holdfast.run({"backup", "--name", "after"});
  EXPECT_TRUE(backup.ok()) << backup.text();
  EXPECT_NE(backup.text().find("WAL was dropped"), std::string::npos) << backup.text();
  EXPECT_EQ(holdfast.run({"check"}).outcome.exit_code, 0);
  EXPECT_EQ(holdfast.run({"backup"}).text().find("WAL was dropped"), std::string::npos);
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  EXPECT_EQ(start_recovered(target).sql("select count(*) from kept"), std::to_string(kWritten + 1));
  // Over the gap nothing is recovered.
  EXPECT_EQ(holdfast
                .run({"restore", "before", "--to", holdfast.new_path().string(), "--target-lsn",
                      server.sql("select pg_current_wal_lsn()")})
                .outcome.exit_code,
            3);
}

// Found in a review: for half a minute after a failure everything was acknowledged, also the WAL of
// a copy that may not archive, and each acknowledgement began that half minute anew.
TEST_F(Behind, WhatIsRefusedIsNotDropped) {
  ArchivedCluster archived(options(fmt::format(", drop_when_behind: {}MiB", kLimit)));
  PostgresCluster& server = archived.server();
  server.sql("alter system set archive_command = '/bin/false'");
  server.sql("select pg_reload_conf()");
  server.wait_for("current_setting('archive_command') = '/bin/false'");
  write_without_repository(archived, Archiving::kNone);
  const auto waiting = server.rows(
      "select left(name, 24) from pg_ls_archive_statusdir() "
      "where name ~ '^[0-9A-F]{24}.ready$' order by 1");
  ASSERT_GT(waiting.size(), static_cast<std::size_t>(kLimit) + 2);
  EXPECT_EQ(archived.push(waiting.at(0).at(0)).exit_code, 0);  // tried, and dropped
  const fs::path ledger = archived.holdfast().state_directory() / "wal/dropped.json";
  const Json failed = Json::parse(read_text(ledger)).at("failed");
  EXPECT_NE(failed, "");
  EXPECT_EQ(archived.push(waiting.at(1).at(0)).exit_code, 0);  // dropped without a try
  EXPECT_EQ(Json::parse(read_text(ledger)).at("failed"), failed) << "that was no failure";

  const fs::path marker = server.data_directory() / "holdfast.restore";
  write_text(marker, "");
  give_to_server_user(marker);
  EXPECT_EQ(archived.push(waiting.at(2).at(0)).exit_code, 3);
  EXPECT_NE(archived.push("000000010000000000000FFF").exit_code, 0) << "there is no such file";
  fs::remove(marker);
  EXPECT_EQ(archived.push(waiting.at(2).at(0)).exit_code, 0);
}

}  // namespace
}  // namespace holdfast::test
