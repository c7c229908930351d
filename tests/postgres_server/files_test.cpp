// What Holdfast reads of a server's files, held to what the server itself says of them.
#include <random>
#include <set>
#include <sstream>

#include <gmock/gmock.h>

#include "core/error.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/local_server.h"
#include "postgres/page.h"
#include "postgres/wal_segment.h"
#include "server_test.h"

namespace holdfast {
namespace {

using std::filesystem::path;

class TheFiles : public test::EveryServer {};
HF_FOR_EVERY_SERVER(TheFiles);

// pg_controldata of the same control version: npm's servers come without one.
std::optional<path> pg_controldata_for(const test::ServerPrograms& programs) {
  constexpr int kSameLayoutUpTo = 16;
  for (const test::ServerPrograms& other : test::available_servers()) {
    const bool fits =
        other.major_version == programs.major_version ||
        (other.major_version <= kSameLayoutUpTo && programs.major_version <= kSameLayoutUpTo);
    if (fits && other.has("pg_controldata")) return other.bin_directory / "pg_controldata";
  }
  return std::nullopt;
}

std::map<std::string, std::string> controldata(const path& program, const path& data_directory) {
  std::istringstream output(test::run_or_throw(
      {.arguments = test::as_server_user({program.string(), data_directory.string()}),
       .environment = {{"LC_ALL", "C"}}}));
  std::map<std::string, std::string> result;
  for (std::string line; std::getline(output, line);) {
    const auto colon = line.find(':');
    const auto value = line.find_first_not_of(' ', colon + 1);
    if (value != std::string::npos) result[line.substr(0, colon)] = line.substr(value);
  }
  return result;
}

TEST_P(TheFiles, ControlFileIsWhatTheServerSays) {
  // Fields of its own from SQL, which every version has.
  const ControlFile file = read_control_file(server().data_directory()).parsed;
  const auto said = server().rows(
      "select system_identifier, pg_control_version, catalog_version_no, checkpoint_lsn, redo_lsn,"
      " timeline_id, database_block_size, blocks_per_segment, wal_block_size, "
      "bytes_per_wal_segment,"
      " data_page_checksum_version, next_xid from pg_control_system(), pg_control_checkpoint(),"
      " pg_control_init()");
  EXPECT_THAT(said.at(0),
              testing::ElementsAre(
                  std::to_string(file.system_identifier), std::to_string(file.control_version),
                  std::to_string(file.catalog_version), to_string(file.checkpoint),
                  to_string(file.checkpoint_redo), std::to_string(file.checkpoint_timeline.value),
                  std::to_string(file.block_size), std::to_string(file.relation_segment_blocks),
                  std::to_string(file.wal_block_size), std::to_string(file.wal_segment_size.bytes),
                  std::to_string(file.data_checksum_version),
                  fmt::format("{}:{}", file.checkpoint_next_xid >> 32U,
                              file.checkpoint_next_xid & 0xFFFFFFFFU)));
  EXPECT_EQ(file.wal_level, 1);
  EXPECT_EQ(file.state, ClusterState::kInProduction);
}

std::vector<test::ServerPrograms> servers_with_pg_controldata() {
  std::vector<test::ServerPrograms> result = test::available_servers();
  std::erase_if(result, [](const auto& server) { return !pg_controldata_for(server); });
  return result;
}

class TheControlFile : public test::EveryServer {};
INSTANTIATE_TEST_SUITE_P(Version, TheControlFile, testing::ValuesIn(servers_with_pg_controldata()),
                         test::version_name);

TEST_P(TheControlFile, IsWhatPgControldataSays) {
  const auto program = pg_controldata_for(GetParam());
  test::PostgresCluster primary({.programs = GetParam(), .settings = {"wal_level = logical"}});
  primary.start();
  auto standby = test::PostgresCluster::standby_of(primary);
  standby.start();
  primary.sql("checkpoint; create table t ()");
  standby.sql("checkpoint");
  standby.stop();
  const auto said = controldata(*program, standby.data_directory());
  const ControlFile file = read_control_file(standby.data_directory()).parsed;
  EXPECT_EQ(said.at("Database cluster state"), "shut down in recovery");
  EXPECT_EQ(file.state, ClusterState::kShutDownInRecovery);
  EXPECT_EQ(said.at("Database system identifier"), std::to_string(file.system_identifier));
  EXPECT_EQ(said.at("Minimum recovery ending location"), to_string(file.minimum_recovery_point));
  EXPECT_TRUE(file.minimum_recovery_point.valid());
  EXPECT_EQ(said.at("Min recovery ending loc's timeline"),
            std::to_string(file.minimum_recovery_timeline.value));
  EXPECT_EQ(said.at("Latest checkpoint location"), to_string(file.checkpoint));
  EXPECT_EQ(said.at("Latest checkpoint's REDO location"), to_string(file.checkpoint_redo));
  EXPECT_EQ(said.at("wal_level setting"), "logical");
  EXPECT_EQ(file.wal_level, 2);
}

TEST_P(TheFiles, ControlFileIsReadUntornUnderCheckpoints) {
  const std::jthread checkpoints([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) server().sql("checkpoint");
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(read_control_file(server().data_directory()).parsed.block_size, 8192U);
  }
}

std::vector<path> relation_files(const path& data_directory) {
  std::vector<path> result;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_directory)) {
    const std::string relative = entry.path().lexically_relative(data_directory).string();
    if (entry.is_regular_file() && parse_relation_file(relative)) result.push_back(relative);
  }
  return result;
}

TEST_P(TheFiles, EveryPageMatchesItsChecksumUntilABitFlips) {
  test::PostgresCluster cluster({.programs = GetParam()});
  cluster.start();
  cluster.sql(
      "create table t as select i, repeat(md5(i::text), 10) as filler"
      " from generate_series(1, 50000) i; create index on t (i);"
      "update t set i = -i where i % 7 = 0");
  cluster.sql("vacuum t");
  cluster.stop();
  std::mt19937 random(GetParam().major_version);
  std::map<Fork, int> good;
  for (const path& relative : relation_files(cluster.data_directory())) {
    const RelationFilePath file = *parse_relation_file(relative.native());
    const std::string content = test::read_text(cluster.data_directory() / relative);
    ASSERT_EQ(content.size() % kPageBytes, 0U) << relative;
    for (std::size_t at = 0; at < content.size(); at += kPageBytes) {
      Bytes page = to_bytes(as_bytes(content).subspan(at, kPageBytes));
      const auto block = static_cast<std::uint32_t>(at / kPageBytes);
      const PageState state = check_page(page, block);
      ASSERT_NE(state, PageState::kBad) << relative << " block " << block;
      if (state == PageState::kNew) continue;
      ++good[file.fork];
      page[random() % kPageBytes] ^= static_cast<std::byte>(1U << (random() % 8));
      ASSERT_EQ(check_page(page, block), PageState::kBad) << relative << " block " << block;
    }
  }
  EXPECT_GT(good[Fork::kMain], 2000);
  EXPECT_GT(good[Fork::kFreeSpaceMap], 0);
  EXPECT_GT(good[Fork::kVisibilityMap], 0);
}

TEST_P(TheFiles, PageLsnIsWhatTheServerWrote) {
  test::PostgresCluster cluster({.programs = GetParam()});
  cluster.start();
  const Lsn before = *parse_lsn(cluster.sql("select pg_current_wal_insert_lsn()"));
  cluster.sql("create table t as select 1; checkpoint");
  const Lsn after = *parse_lsn(cluster.sql("select pg_current_wal_insert_lsn()"));
  const std::string relative = cluster.sql("select pg_relation_filepath('t')");
  const std::string content = test::read_text(cluster.data_directory() / relative);
  const Lsn lsn = page_lsn(as_bytes(content).first(kPageBytes));
  EXPECT_GT(lsn, before);
  EXPECT_LE(lsn, after);
}

TEST_P(TheFiles, WalSegmentsAreRightUntilAHeaderByteFlips) {
  test::PostgresCluster cluster({.programs = GetParam(), .wal_segment_mib = 1});
  cluster.start();
  cluster.sql("create table t as select repeat('x', 1000) from generate_series(1, 5000)");
  cluster.sql("select pg_switch_wal()");  // leaves a tail of zeros
  cluster.sql("insert into t values ('y')");
  const Lsn end = *parse_lsn(cluster.sql("select pg_current_wal_flush_lsn()"));
  const ControlFile control = read_control_file(cluster.data_directory()).parsed;
  int checked = 0;
  for (std::uint64_t number = 1; number <= end.value / control.wal_segment_size.bytes; ++number) {
    const SegmentName name{{1}, number};
    const path file =
        cluster.data_directory() / "pg_wal" / to_string(name, control.wal_segment_size);
    if (!std::filesystem::exists(file)) continue;  // initdb's own are gone
    const std::string content = test::read_text(file);
    const auto wrong = [&](ByteView bytes) {
      return check_wal_pages(bytes, name, control.wal_segment_size, control.system_identifier, end);
    };
    EXPECT_EQ(wrong(as_bytes(content)), std::nullopt) << number;
    EXPECT_EQ(parse_wal_segment_header(as_bytes(content))->major_version, GetParam().major_version);
    for (const std::size_t at : {0U, 4U, 8U, 24U, 32U, 36U}) {
      Bytes bad = to_bytes(as_bytes(content));
      bad[at] ^= std::byte{0x40};
      EXPECT_TRUE(wrong(bad)) << number << " byte " << at;
    }
    ++checked;
  }
  EXPECT_GE(checked, 5);
}

TEST_P(TheFiles, FirstSegmentAfterAPromotionBeginsWithTheOldTimeline) {
  test::PostgresCluster primary({.programs = GetParam(), .wal_segment_mib = 1});
  primary.start();
  auto standby = test::PostgresCluster::standby_of(primary);
  standby.start();
  // Some pages into a segment, so that the fork lies inside it.
  primary.sql(
      "create table t as select repeat('x', 1000) from generate_series(1, 100);"
      "select pg_switch_wal(); insert into t select repeat('y', 1000) from generate_series(1, "
      "300)");
  const std::string end_of_primary = primary.sql("select pg_current_wal_flush_lsn()");
  standby.wait_for("pg_last_wal_replay_lsn() >= '" + end_of_primary + "'");
  standby.promote();
  standby.sql("create table u ()");
  const Lsn end = *parse_lsn(standby.sql("select pg_current_wal_flush_lsn()"));
  const ControlFile control = read_control_file(standby.data_directory()).parsed;
  const SegmentName name = segment_of({2}, *parse_lsn(end_of_primary), control.wal_segment_size);
  const std::string content = test::read_text(standby.data_directory() / "pg_wal" /
                                              to_string(name, control.wal_segment_size));
  EXPECT_EQ(parse_wal_segment_header(as_bytes(content))->timeline, TimelineId{1});
  EXPECT_EQ(check_wal_pages(as_bytes(content), name, control.wal_segment_size,
                            control.system_identifier, end),
            std::nullopt);
}

TEST_P(TheFiles, EveryFileOfAFreshClusterIsCarriedOrKnownToBeLeftOut) {
  const ControlFile control = read_control_file(server().data_directory()).parsed;
  const TablespaceVersion version{.major_version = GetParam().major_version,
                                  .catalog_version = control.catalog_version};
  std::set<std::string> left_out;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(server().data_directory())) {
    const std::string relative =
        entry.path().lexically_relative(server().data_directory()).string();
    if (carried_by_backup(relative, version) == Carry::kYes) continue;
    left_out.insert(relative.substr(0, relative.find('/')));
  }
  for (const std::string& name : left_out) {
    EXPECT_THAT(name, testing::AnyOf("pg_wal", "pg_dynshmem", "pg_notify", "pg_replslot",
                                     "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans",
                                     "postmaster.pid", "postmaster.opts", "base", "global"));
  }
  EXPECT_THAT(left_out, testing::IsSupersetOf({"pg_wal", "postmaster.pid", "pg_subtrans"}));
}

TEST_P(TheFiles, RunningServerIsSeenUntilItIsKilled) {
  test::PostgresCluster cluster({.programs = GetParam()});
  EXPECT_FALSE(running_server(cluster.data_directory()));
  cluster.start();
  const auto found = running_server(cluster.data_directory());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid, cluster.pid());
  EXPECT_EQ(found->port, cluster.port());
  EXPECT_EQ(found->socket_directory, cluster.socket_directory());
  EXPECT_EQ(data_directory_version(cluster.data_directory()), GetParam().major_version);
  EXPECT_EQ(find_bin_directory(GetParam().major_version, GetParam().bin_directory),
            GetParam().bin_directory);
  cluster.kill();
  EXPECT_TRUE(std::filesystem::exists(cluster.data_directory() / "postmaster.pid"));
  EXPECT_FALSE(running_server(cluster.data_directory()));
}

}  // namespace
}  // namespace holdfast
