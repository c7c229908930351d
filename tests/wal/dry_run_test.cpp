// restore --dry-run says what the restore would do, refuses what that would refuse, and writes
// nothing; a transaction id with an epoch has to be of that epoch.
#include <cstdint>
#include <set>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRefused = 3;
constexpr int kEpoch = 5;

class DryRun : public testing::Test {
 protected:
  DryRun() : archived_({.wal_segment_mib = 1}) {
    PostgresCluster& server = archived_.server();
    // As after 5 * 2^32 transactions.
    server.stop();
    run_or_throw({.arguments = as_server_user(
                      {(server.programs().bin_directory / "pg_resetwal").string(), "-e",
                       std::to_string(kEpoch), server.data_directory().string()})});
    server.start();
    server.sql("create table kept (n int)");
    backup_ = archived_.holdfast().backup();
    for (int i = 0; i < 3; ++i) {
      xid_ = server.sql("insert into kept values (1) returning pg_current_xact_id()");
      archived_.archive();
    }
  }

  // Every path below `folder`, with its size and when it was changed.
  static std::string tree(const fs::path& folder) {
    std::set<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const auto time = fs::last_write_time(entry.path()).time_since_epoch().count();
      lines.insert(fmt::format("{} {} {}\n", entry.path().string(),
                               entry.is_regular_file() ? entry.file_size() : 0, time));
    }
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
  }

  std::vector<std::string> words(const std::vector<std::string>& options) const {
    std::vector<std::string> all{"restore", "--to", target_.string()};
    all.insert(all.end(), options.begin(), options.end());
    return all;
  }

  // What the dry run and the restore itself answer is the same refusal.
  void expect_refused(std::vector<std::string> options, const std::string& said) {
    const Answer real = archived_.holdfast().run(words(options));
    options.emplace_back("--dry-run");
    const Answer dry = archived_.holdfast().run(words(options));
    EXPECT_EQ(dry.outcome.exit_code, kRefused) << dry.text();
    EXPECT_EQ(real.outcome.exit_code, kRefused) << real.text();
    EXPECT_EQ(dry.error(), real.error());
    EXPECT_NE(dry.error().find(said), std::string::npos) << dry.text();
  }

  ArchivedCluster archived_;
  Json backup_;
  std::string xid_;  // of the last transaction, in full
  const fs::path target_ = archived_.holdfast().new_path();
};

TEST_F(DryRun, SaysWhatTheRestoreDoesAndWritesNothing) {
  HoldfastProgram& holdfast = archived_.holdfast();
  const std::string before = tree(holdfast.repository_folder());
  const Json planned = holdfast.must(words({"--dry-run", "--target-xid", xid_}));
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_EQ(tree(holdfast.repository_folder()), before);
  EXPECT_EQ(planned.at("dry_run"), true);
  EXPECT_EQ(planned.at("backup").at("id"), backup_.at("id"));
  EXPECT_EQ(planned.at("data_directory"), target_.string());
  EXPECT_EQ(planned.at("target_state"), "fresh");
  EXPECT_GT(planned.at("bytes").get<std::uint64_t>(), 1U << 20U);
  ASSERT_EQ(planned.at("space").size(), 1U) << planned;
  const Json& space = planned.at("space").at(0);
  EXPECT_GE(space.at("needed_bytes").get<std::uint64_t>(),
            planned.at("bytes").get<std::uint64_t>());
  EXPECT_GT(space.at("free_bytes").get<std::uint64_t>(), 0U);
  EXPECT_EQ(space.at("wal_bytes").get<std::uint64_t>(),
            planned.at("wal").at("segments").get<std::uint64_t>() << 20U);
  // From the backup's start to the target: the segments of the backup, and the three behind it.
  EXPECT_EQ(planned.at("wal").at("from_lsn"), backup_.at("start_lsn"));
  EXPECT_GE(planned.at("wal").at("segments").get<int>(), 4);
  EXPECT_LE(planned.at("wal").at("segments").get<int>(), 6);

  // That is what is then done.
  const Json done = holdfast.must(words({"--target-xid", xid_}));
  EXPECT_EQ(done.at("recovery"), planned.at("recovery"));
  EXPECT_EQ(done.at("backup"), planned.at("backup"));
  EXPECT_EQ(start_recovered(target_).sql("select count(*) from kept"), "3");
}

TEST_F(DryRun, RefusesWhatTheRestoreRefuses) {
  expect_refused({"--target-lsn", "F/0"}, "the last archived");
  expect_refused({"--target-xid", "99999"}, "transaction 99999");
  expect_refused({"--target-name", "nowhere"}, "restore point");
  const std::uint64_t xid = std::stoull(xid_);
  const std::uint64_t epoch = std::uint64_t{1} << 32U;
  ASSERT_EQ(xid / epoch, kEpoch);
  for (const std::uint64_t other : {xid - epoch, xid + epoch}) {
    expect_refused({"--target-xid", std::to_string(other)},
                   fmt::format("of epoch {}, not of epoch {}", kEpoch, other / epoch));
  }
  EXPECT_FALSE(fs::exists(target_));
  // Without an epoch it is the only one there is.
  archived_.holdfast().must(words({"--dry-run", "--target-xid", std::to_string(xid % epoch)}));

  fs::create_directory(target_);
  write_text(target_ / "mine", "");
  const std::string before = tree(target_);
  expect_refused({}, "not empty");
  EXPECT_EQ(tree(target_), before);
}

// Found in a review: without a recovery nothing was written about archiving, and the copy archived,
// with whatever command the source had.
TEST(Standalone, ItsCopyArchivesOnlyWhenThatIsWanted) {
  ArchivedCluster archived({.wal_segment_mib = 1});
  PostgresCluster& server = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  server.sql("alter system set recovery_target_name = 'of another recovery'");
  holdfast.backup({"--standalone"});
  const auto settings_with = [&](const std::vector<std::string>& options, bool archiving) {
    const fs::path target = holdfast.new_path();
    std::vector<std::string> words{"restore", "--to", target.string(), "--target-immediate"};
    words.insert(words.end(), options.begin(), options.end());
    const Json result = holdfast.must(words);
    EXPECT_EQ(result.at("archiving"), archiving) << result;
    return read_text(target / "postgresql.auto.conf");
  };
  const std::string off = "archive_mode = 'off'";
  const std::string kept = settings_with({"--archive", "on"}, true);
  EXPECT_EQ(kept.find(off), std::string::npos) << kept;
  EXPECT_EQ(kept.find("recovery_target_name = 'of another"), std::string::npos) << kept;
  EXPECT_NE(settings_with({"--archive", "off"}, false).find(off), std::string::npos);
  // The source lives.
  EXPECT_NE(settings_with({}, false).find(off), std::string::npos);
}

}  // namespace
}  // namespace holdfast::test
