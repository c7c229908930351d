#include "postgres/session.h"

#include <thread>

#include <gmock/gmock.h>

#include "core/error.h"
#include "postgres/backup_label.h"
#include "postgres/control_file.h"
#include "postgres/role.h"
#include "server_test.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

class ASession : public test::EveryServer {};
HF_FOR_EVERY_SERVER(ASession);

TEST_P(ASession, KnowsItsServer) {
  Session session = connect();
  const ServerInfo& info = session.server();
  const ControlFile control = read_control_file(server().data_directory()).parsed;
  EXPECT_EQ(info.version_num / 10000, GetParam().major_version);
  EXPECT_EQ(info.version, server().sql("show server_version"));
  EXPECT_EQ(info.system_identifier, control.system_identifier);
  EXPECT_EQ(info.timeline, TimelineId{1});
  EXPECT_FALSE(info.in_recovery);
  EXPECT_TRUE(info.data_checksums);
  EXPECT_EQ(info.data_directory, server().data_directory());
  EXPECT_EQ(info.config_file, server().data_directory() / "postgresql.conf");
  EXPECT_EQ(info.hba_file, server().data_directory() / "pg_hba.conf");
  EXPECT_EQ(info.ident_file, server().data_directory() / "pg_ident.conf");
  EXPECT_EQ(info.wal_level, "replica");
  EXPECT_EQ(info.wal_segment_size, WalSegmentSize{1U << 20U});
  EXPECT_EQ(info.block_size, 8192U);
  EXPECT_EQ(info.user, "postgres");
}

TEST_P(ASession, HasNoTimeoutsAndASafeSearchPath) {
  server().sql(
      "alter role postgres set statement_timeout = '1s';"
      "alter role postgres set lock_timeout = '1s';"
      "alter role postgres set idle_in_transaction_session_timeout = '1s';"
      "alter role postgres set search_path = public");
  Session session = connect();
  server().sql("alter role postgres reset all");
  for (const char* const setting :
       {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}) {
    EXPECT_EQ(session.query(std::string("show ") + setting).at(0).at(0), "0") << setting;
  }
  if (GetParam().major_version >= 14) {
    EXPECT_EQ(session.query("show idle_session_timeout").at(0).at(0), "0");
  }
  EXPECT_EQ(session.query("show search_path").at(0).at(0), "pg_catalog, pg_temp");
  EXPECT_EQ(session.query("show application_name").at(0).at(0), "holdfast");
}

TEST_P(ASession, PassesParametersAndNulls) {
  const auto rows = connect().query("select $1::int + 1, null::text, $2::text", {"41", "a'b"});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0][0], "42");
  EXPECT_EQ(rows[0][1], std::nullopt);
  EXPECT_EQ(rows[0][2], "a'b");
}

TEST_P(ASession, StartsAndStopsABackup) {
  Session session = connect();
  session.reserve_wal("holdfast_test");
  EXPECT_EQ(server().sql("select temporary and restart_lsn is not null from pg_replication_slots"
                         " where slot_name = 'holdfast_test'"),
            "t");
  const BackupStart start = session.start_backup("a label", Session::Checkpoint::kFast);
  server().sql("create table in_backup as select generate_series(1, 1000); drop table in_backup");
  const BackupStop stop = session.stop_backup();
  const BackupLabel label = parse_backup_label(stop.backup_label);
  EXPECT_EQ(label.start, start.lsn);
  EXPECT_EQ(label.start_timeline, start.timeline);
  EXPECT_EQ(label.label, "a label");
  EXPECT_FALSE(label.from_standby);
  EXPECT_GT(stop.lsn, start.lsn);
  EXPECT_EQ(stop.tablespace_map, "");
  EXPECT_LE(start.server_time, stop.server_time);
  EXPECT_LE(abs(stop.server_time - session.server_time()), std::chrono::seconds{60});
  EXPECT_GE(session.flushed_position(), stop.lsn);
  EXPECT_GE(session.insert_position(), stop.lsn);
}

TEST_P(ASession, ThatEndsLeavesNeitherSlotNorLockNorBackupMode) {
  {
    Session session = connect();
    std::string holder;
    session.reserve_wal("holdfast_test");
    ASSERT_TRUE(session.try_lock(1, holder));
    session.start_backup("left", Session::Checkpoint::kFast);
  }
  server().wait_for("not exists (select from pg_replication_slots)");
  server().wait_for("not exists (select from pg_locks where locktype = 'advisory')");
  Session session = connect();
  EXPECT_THROW(session.stop_backup(), Error);
}

TEST_P(ASession, ReservesWalFromBeforeABackupThatIsStartedAfterwards) {
  Session session = connect();
  session.reserve_wal("holdfast_test");
  const BackupStart start = session.start_backup("x", Session::Checkpoint::kFast);
  const auto kept = parse_lsn(server().sql(
      "select restart_lsn from pg_replication_slots where slot_name = 'holdfast_test'"));
  ASSERT_TRUE(kept);
  EXPECT_LE(*kept, start.lsn);
  session.stop_backup();
}

TEST_P(ASession, HoldsALockThatSaysWhoHasIt) {
  // Keys with either half negative or large: they are shown as two numbers.
  for (const std::int64_t key :
       {std::int64_t{1}, std::int64_t{-1}, std::int64_t{0x7fffffff80000001},
        std::int64_t{-0x123456789abcdef}}) {
    Session first = connect();
    Session second = Session::connect(server().tcp_connection(), stop_.get_token());
    std::string holder;
    ASSERT_TRUE(first.try_lock(key, holder));
    EXPECT_EQ(holder, "");
    EXPECT_FALSE(second.try_lock(key, holder)) << key;
    EXPECT_THAT(holder, HasSubstr("holdfast on this server's own machine, connected since 20"));
    EXPECT_TRUE(second.try_lock(key + 1, holder));
    EXPECT_FALSE(first.try_lock(key + 1, holder));
    EXPECT_THAT(holder, HasSubstr("holdfast on 127.0.0.1"));
  }
}

TEST_P(ASession, SwitchesWal) {
  Session session = connect();
  server().sql("create table switched (); drop table switched");
  const Lsn before = session.insert_position();
  const Lsn end = session.switch_wal();
  EXPECT_GE(end, before);
  const WalSegmentSize size = session.server().wal_segment_size;
  const SegmentName finished = segment_of({1}, Lsn{end.value - 1}, size);
  EXPECT_GE(session.insert_position(), start_of({{1}, finished.number + 1}, size));
}

TEST_P(ASession, ListsTablespaces) {
  const test::TempFolder folder;
  test::give_to_server_user(folder.path());
  server().sql("create tablespace elsewhere location '" + folder.path().string() + "'");
  Session session = connect();
  const auto found = session.tablespaces();
  session.start_backup("x", Session::Checkpoint::kFast);
  const BackupStop stop = session.stop_backup();
  server().sql("drop tablespace elsewhere");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "elsewhere");
  EXPECT_EQ(found[0].location, folder.path());
  EXPECT_EQ(stop.tablespace_map,
            std::to_string(found[0].oid) + " " + folder.path().string() + "\n");
}

std::vector<test::ServerPrograms> servers_with_in_place_tablespaces() {
  std::vector<test::ServerPrograms> result = test::available_servers();
  std::erase_if(result, [](const auto& server) { return server.major_version < 15; });
  return result;
}

class InPlaceTablespaces : public test::EveryServer {};
INSTANTIATE_TEST_SUITE_P(Version, InPlaceTablespaces,
                         testing::ValuesIn(servers_with_in_place_tablespaces()),
                         test::version_name);

TEST_P(InPlaceTablespaces, HaveNoLocation) {
  Session session = connect();
  session.query("set allow_in_place_tablespaces = on");
  session.query("create tablespace in_place location ''");
  const auto found = session.tablespaces();
  session.query("drop tablespace in_place");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].location, "");
}

TEST_P(ASession, IsCancelledWithinASecond) {
  Session session = connect();
  const auto began = std::chrono::steady_clock::now();
  const std::jthread canceller([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds{300});
    stop_.request_stop();
  });
  try {
    session.query("select pg_sleep(30)");
    FAIL() << "it slept on";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds{1300});
  // On the server too, although the session is still open.
  server().wait_for(
      "not exists (select from pg_stat_activity where query like '%pg_sleep(30)%'"
      " and state = 'active' and pid <> pg_backend_pid())");
}

TEST_P(ASession, OfAKilledServerEndsWithAnErrorThatCanBeRetried) {
  Session session = connect();
  const auto pid = session.query("select pg_backend_pid()").at(0).at(0).value();
  server().sql("select pg_terminate_backend(" + pid + ")");
  try {
    session.query("select pg_sleep(1)");
    session.query("select 1");
    FAIL() << "the session outlived its backend";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
    EXPECT_TRUE(error.retryable());
    EXPECT_NE(error.hint(), "");
  }
}

TEST_P(ASession, NeedsOnlyTheRoleThatIsPrinted) {
  const std::string role = "hold\"fast's";
  const std::string sql = role_sql(role, connect().server().version_num);
  server().sql(sql);
  server().sql(sql);  // can be run again
  const std::string quoted = "'hold\"fast\\'s'";
  {
    Session session = connect(quoted);
    const ServerInfo& info = session.server();
    EXPECT_EQ(info.user, role);
    EXPECT_EQ(info.data_directory, server().data_directory());
    EXPECT_EQ(info.hba_file, server().data_directory() / "pg_hba.conf");
    EXPECT_NE(info.system_identifier, 0U);
    EXPECT_EQ(session.query("show is_superuser").at(0).at(0), "off");
    std::string holder;
    EXPECT_TRUE(session.try_lock(77, holder));
    Session superuser = connect();
    EXPECT_FALSE(superuser.try_lock(77, holder));
    EXPECT_TRUE(superuser.try_lock(78, holder));
    EXPECT_FALSE(session.try_lock(78, holder));
    EXPECT_THAT(holder, HasSubstr("holdfast on"));
    session.reserve_wal("holdfast_test");
    session.start_backup("least", Session::Checkpoint::kFast);
    session.tablespaces();
    EXPECT_TRUE(session.stop_backup().lsn.valid());
    EXPECT_TRUE(session.switch_wal().valid());
    session.query("select pg_create_restore_point('x')");
  }
  server().sql("drop owned by \"hold\"\"fast's\"; drop role \"hold\"\"fast's\"");
}

TEST_P(ASession, OfARoleWithoutPrivilegesIsToldWhatToGrant) {
  server().sql("create role nobody login");
  {
    Session session = connect("nobody");
    EXPECT_EQ(session.server().data_directory, "");  // it may not see it
    try {
      session.start_backup("x", Session::Checkpoint::kFast);
      ADD_FAILURE() << "anybody may start a backup";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
      EXPECT_THAT(error.message(), HasSubstr("42501"));
      EXPECT_THAT(error.hint(), HasSubstr("GRANT"));
    }
  }
  server().sql("drop role nobody");
}

}  // namespace
}  // namespace holdfast
