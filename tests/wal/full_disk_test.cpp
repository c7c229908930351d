// A full disk below the state directory, where the helpers keep their spools, and below pg_wal of
// a server that is recovered: archiving goes on, and nothing short is handed out.
#include <fmt/format.h>

#include "support/archived_cluster.h"
#include "support/small_disk.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRestored = 0, kUnknown = 255;
constexpr int kSegments = 4;

class FullDisk : public testing::Test {
 protected:
  // Segments that wait for the archive, and that only the test archives.
  FullDisk() : archived_({.wal_segment_mib = 1}) {
    server().sql("create table t (x text)");
    server().sql("alter system set archive_command = 'false'");
    server().sql("select pg_reload_conf()");
    server().wait_for("current_setting('archive_command') = 'false'");
    for (int i = 0; i < kSegments; ++i) {
      server().sql("insert into t select md5(g::text) from generate_series(1, 3000) g");
      segments_.push_back(server().sql("select pg_walfile_name(pg_switch_wal())"));
    }
  }

  PostgresCluster& server() { return archived_.server(); }
  fs::path pg_wal() { return server().data_directory() / "pg_wal"; }
  fs::path state() { return archived_.holdfast().state_directory(); }

  ArchivedCluster archived_;
  std::vector<std::string> segments_;
};

TEST_F(FullDisk, BelowTheStateDirectoryArchivingAndRecoveryGoOn) {
  const SmallDisk disk(state(), 1);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a file system";
  fs::permissions(state(), fs::perms::owner_all);
  const fs::path filler = disk.fill();
  for (const std::string& segment : segments_) {
    const Outcome pushed = archived_.push(segment);
    EXPECT_EQ(pushed.exit_code, 0) << pushed.err;
    EXPECT_TRUE(fs::exists(archived_.object_of(segment))) << segment;
  }
  const auto get_all = [&] {
    for (const std::string& segment : segments_) {
      const Outcome got = archived_.get(segment);
      EXPECT_EQ(got.exit_code, kRestored) << got.err;
      EXPECT_TRUE(read_text(pg_wal() / "RECOVERYXLOG") == read_text(pg_wal() / segment));
    }
  };
  get_all();
  fs::remove(filler);
  get_all();
}

TEST_F(FullDisk, BelowPgWalNothingShortIsHandedOut) {
  for (const std::string& segment : segments_) ASSERT_EQ(archived_.push(segment).exit_code, 0);
  const fs::path data = archived_.holdfast().new_path("recovered");
  fs::create_directory(data);
  fs::create_directory(data / "global");
  fs::copy_file(server().data_directory() / "global/pg_control", data / "global/pg_control");
  give_to_server_user(data);
  const SmallDisk disk(data / "pg_wal", 2);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a file system";
  // Asked for here, what comes next is fetched ahead into the spool, which has room.
  const std::string history =
      "0001-" + server().sql("select system_identifier from pg_control_system()");
  const auto get = [&](const std::string& segment) {
    return archived_.call({"archive-get", "--history", history, segment, "pg_wal/RECOVERYXLOG"},
                          data);
  };
  const fs::path out = data / "pg_wal" / "RECOVERYXLOG";
  ASSERT_EQ(get(segments_.front()).exit_code, kRestored);
  fs::remove(out);
  const fs::path filler = disk.fill();
  for (const std::string& segment : segments_) {
    const Outcome got = get(segment);
    EXPECT_EQ(got.exit_code, kUnknown) << got.err;
    EXPECT_NE(got.err.find("space"), std::string::npos) << got.err;
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(out.string() + ".holdfast"));
  }
  fs::remove(filler);
  for (const std::string& segment : segments_) {
    ASSERT_EQ(get(segment).exit_code, kRestored);
    EXPECT_TRUE(read_text(out) == read_text(pg_wal() / segment));
    fs::remove(out);
  }
}

}  // namespace
}  // namespace holdfast::test
