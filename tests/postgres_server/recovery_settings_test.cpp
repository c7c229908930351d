// What restore/recovery_settings.h writes, read by real servers: a base backup and a plain archive
// of files, from which copies recover to each kind of target.
#include "restore/recovery_settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "core/error.h"
#include "postgres/timeline_history.h"
#include "server_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Mode = RecoverySettings::Mode;
using Archiving = RecoverySettings::Archiving;

// Quotes and a backslash, in a name and in a path.
constexpr const char* kRestorePoint = "it's \\ \"here\"";
constexpr const char* kRestorePointMark = "4";
constexpr const char* kArchiveName = "arch'ive";
constexpr int kMarks = 6;

struct Mark {
  std::string xid;
  std::string commit_lsn;   // where the commit record begins
  std::string commit_time;  // to the microsecond
};

template <class Condition>
void wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("it never came true");
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

// A server with an archive, a backup of it, and then marks: numbered transactions, one row each.
class Source {
 public:
  explicit Source(const test::ServerPrograms& programs)
      : cluster_({.programs = programs,
                  .wal_segment_mib = 1,
                  .settings = {"archive_mode = on", "track_commit_timestamp = on",
                               "autovacuum = off", "bgwriter_delay = 10s",
                               "archive_command = " + quoted_setting(copy_command("%p", "%f"))}}) {
    fs::create_directory(archive());
    test::give_to_server_user(folder_.path());
    cluster_.start();
    cluster_.sql("create table marks (n int primary key); create table later (n int)");
    take_backup();
    for (int n = 1; n <= kMarks; ++n) marks_.push_back(commit_mark(n));
    const std::string segment = cluster_.sql("select pg_walfile_name(pg_switch_wal())");
    cluster_.wait_for("last_archived_wal >= '" + segment + "' from pg_stat_archiver");
  }

  const Mark& mark(int n) const { return marks_.at(static_cast<std::size_t>(n - 1)); }
  fs::path archive() const { return folder_ / kArchiveName; }
  fs::path backup() const { return folder_ / "backup"; }
  std::string restore_command() const {
    return fmt::format("cp \"{}/%f\" \"%p\"", archive().string());
  }
  test::PostgresCluster& cluster() { return cluster_; }

 private:
  std::string copy_command(std::string_view from, std::string_view name) const {
    return fmt::format("cp \"{}\" \"{}/{}\"", from, archive().string(), name);
  }

  void take_backup() {
    Session session = Session::connect(cluster_.connection(), {});
    session.start_backup("base", Session::Checkpoint::kFast);
    test::copy_while_in_use(cluster_.data_directory(), backup());
    test::write_text(backup() / "backup_label", session.stop_backup().backup_label);
    for (const char* const name : {"postmaster.pid", "postmaster.opts"})
      fs::remove(backup() / name);
    // Recovery must take all WAL through the restore command.
    for (const auto& entry : fs::directory_iterator(backup() / "pg_wal")) {
      if (entry.is_regular_file()) fs::remove(entry.path());
    }
    fs::remove_all(backup() / "pg_wal/archive_status");
    fs::create_directory(backup() / "pg_wal/archive_status");
    test::give_to_server_user(backup());
  }

  Mark commit_mark(int n) {
    const auto rows = cluster_.rows(
        fmt::format("begin; insert into marks values ({});"
                    "select set_config('hf.xid', pg_current_xact_id()::text, false),"
                    " set_config('hf.lsn', pg_current_wal_insert_lsn()::text, false); commit;"
                    "select current_setting('hf.xid'), current_setting('hf.lsn'), to_char("
                    "pg_xact_commit_timestamp(current_setting('hf.xid')::xid) at time zone 'UTC',"
                    "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
                    n));
    if (std::to_string(n) == kRestorePointMark) {
      cluster_.sql(fmt::format("select pg_create_restore_point($hf${}$hf$)", kRestorePoint));
    }
    return {rows.at(0).at(0), rows.at(0).at(1), rows.at(0).at(2)};
  }

  test::TempFolder folder_;
  test::PostgresCluster cluster_;
  std::vector<Mark> marks_;
};

Source& source_of(const test::ServerPrograms& programs) {
  static std::map<int, Source> sources;
  return sources.try_emplace(programs.major_version, programs).first->second;
}

// A copy of the backup, told to recover.
class Copy {
 public:
  Copy(Source& source, const test::ServerPrograms& programs) : programs_(programs) {
    test::give_to_server_user(folder_.path());
    test::run_or_throw({.arguments = test::as_server_user(
                            {"cp", "-a", source.backup().string(), data().string()})});
    settings_.major_version = programs.major_version;
    settings_.restore_command = source.restore_command();
    settings_.archiving = Archiving::kOff;
  }

  RecoverySettings& settings() { return settings_; }
  fs::path data() const { return folder_ / "data"; }
  fs::path auto_conf() const { return data() / "postgresql.auto.conf"; }
  void set_in_conf(const std::string& lines) {
    test::append_text(data() / "postgresql.conf", lines);
  }

  void write_settings(const TargetRequest& request = {}) {
    settings_.target = parse_recovery_target(request);
    struct stat info{};
    if (::stat(data().c_str(), &info) != 0) throw std::runtime_error("stat");
    const Ownership ownership({{.uid = info.st_uid, .gid = info.st_gid}});
    write_recovery_settings(data(), settings_, {ownership, 0});
  }

  test::PostgresCluster& server() {
    if (!server_) {
      server_.emplace(test::PostgresCluster::on(data(), {.programs = programs_}));
    }
    return *server_;
  }

  // Starts it and waits until it stands at its target, or until it has promoted itself.
  test::PostgresCluster& recover(const TargetRequest& request = {}) {
    write_settings(request);
    server().start();
    const bool pauses = settings_.target.action == RecoveryTarget::Action::kPause;
    server().wait_for(pauses ? "pg_is_wal_replay_paused()" : "not pg_is_in_recovery()");
    EXPECT_EQ(server().sql("select count(*) from pg_file_settings where error is not null"), "0");
    return server();
  }

  std::string marks() {
    return server().sql("select string_agg(n::text, ',' order by n) from marks");
  }

 private:
  test::TempFolder folder_;
  test::ServerPrograms programs_;
  RecoverySettings settings_;
  std::optional<test::PostgresCluster> server_;
};

class RecoverySettingsIn : public testing::TestWithParam<test::ServerPrograms> {
 protected:
  Source& source_ = source_of(GetParam());
  Copy copy_{source_, GetParam()};
};
HF_FOR_EVERY_SERVER(RecoverySettingsIn);

TEST_P(RecoverySettingsIn, StopAfterATimeToTheMicrosecond) {
  copy_.recover({.time = source_.mark(3).commit_time});
  EXPECT_EQ(copy_.marks(), "1,2,3");
}

// Given with another offset, which must not matter; promoted at once.
TEST_P(RecoverySettingsIn, StopBeforeATimeToTheMicrosecond) {
  const auto time = parse_rfc3339(source_.mark(3).commit_time).value();
  copy_.recover({.time = to_rfc3339(ZonedInstant{time, std::chrono::minutes{345}}),
                 .exclusive = true,
                 .action = "promote"});
  EXPECT_EQ(copy_.marks(), "1,2");
}

TEST_P(RecoverySettingsIn, StopAfterATransaction) {
  copy_.recover({.xid = source_.mark(5).xid, .timeline = "1"});
  EXPECT_EQ(copy_.marks(), "1,2,3,4,5");
}

// The id as pg_current_xact_id() would show it four billion transactions later.
TEST_P(RecoverySettingsIn, StopBeforeATransactionOfALaterEpoch) {
  const std::uint64_t xid = std::stoull(source_.mark(5).xid) + (std::uint64_t{7} << 32U);
  copy_.recover({.xid = std::to_string(xid), .exclusive = true});
  EXPECT_EQ(copy_.marks(), "1,2,3,4");
}

TEST_P(RecoverySettingsIn, StopAfterAPosition) {
  copy_.recover({.lsn = source_.mark(2).commit_lsn, .timeline = "current"});
  EXPECT_EQ(copy_.marks(), "1,2");
}

TEST_P(RecoverySettingsIn, StopBeforeAPosition) {
  copy_.recover({.lsn = source_.mark(2).commit_lsn, .exclusive = true});
  EXPECT_EQ(copy_.marks(), "1");
}

// hot_standby = off would turn the pause into a shutdown.
TEST_P(RecoverySettingsIn, PauseAtARestorePointWhoseNameHasQuotes) {
  copy_.set_in_conf("hot_standby = off\n");
  test::PostgresCluster& server = copy_.recover({.name = kRestorePoint});
  EXPECT_EQ(copy_.marks(), "1,2,3,4");
  EXPECT_EQ(server.sql("show recovery_target_name"), kRestorePoint);
  EXPECT_EQ(server.sql("show archive_mode"), "off");
  server.sql("select pg_wal_replay_resume()");
  server.wait_for("not pg_is_in_recovery()");
  EXPECT_EQ(copy_.marks(), "1,2,3,4");
  EXPECT_FALSE(fs::exists(copy_.data() / "recovery.signal"));
}

TEST_P(RecoverySettingsIn, StopWhereTheBackupEnds) {
  copy_.settings().archiving = Archiving::kKeep;
  test::PostgresCluster& server = copy_.recover({.immediate = true});
  EXPECT_EQ(copy_.marks(), "");
  EXPECT_EQ(server.sql("show archive_mode"), "on");
}

TEST_P(RecoverySettingsIn, ShutDownAtATarget) {
  copy_.write_settings({.xid = source_.mark(1).xid, .action = "shutdown"});
  copy_.server().try_start();
  wait_until([&] { return !copy_.server().running(); });
  EXPECT_THAT(copy_.server().log(), HasSubstr("shutdown at recovery target"));
}

std::string stale_settings(const fs::path& folder, int major_version) {
  std::string lines = fmt::format(
      "restore_command = 'false'\n"
      "recovery_target_xid = '3'\n"
      "recovery_target_inclusive = off\n"
      "recovery_target_timeline = '77'\n"
      "recovery_target_action = 'shutdown'\n"
      "recovery_end_command = 'touch {0}/ended'\n"
      "archive_cleanup_command = 'touch {0}/cleaned'\n"
      "recovery_min_apply_delay = '1d'\n"
      "primary_conninfo = 'host=/nowhere'\n"
      "primary_slot_name = 'not_ours'\n",
      folder.string());
  if (major_version <= 15) {
    test::write_text(folder / "trigger", "");
    lines += fmt::format("promote_trigger_file = '{}/trigger'\n", folder.string());
  }
  return lines;
}

// The same settings are stale in postgresql.conf and in postgresql.auto.conf, where one is written
// in capital letters; the target is of another kind.
TEST_P(RecoverySettingsIn, OverrideStaleOnes) {
  const test::TempFolder folder;
  test::give_to_server_user(folder.path());
  const std::string stale = stale_settings(folder.path(), GetParam().major_version);
  copy_.set_in_conf(stale);
  test::append_text(copy_.auto_conf(), stale + "RECOVERY_TARGET_NAME = 'old'\n");
  test::PostgresCluster& server = copy_.recover({.time = source_.mark(3).commit_time});
  EXPECT_EQ(copy_.marks(), "1,2,3");
  server.sql("select pg_wal_replay_resume()");
  server.wait_for("not pg_is_in_recovery()");
  server.sql("checkpoint");
  EXPECT_FALSE(fs::exists(folder / "ended"));
  EXPECT_FALSE(fs::exists(folder / "cleaned"));
}

TEST_P(RecoverySettingsIn, OverrideStaleOnesWhenThereIsNoTarget) {
  const test::TempFolder folder;
  test::give_to_server_user(folder.path());
  copy_.set_in_conf(stale_settings(folder.path(), GetParam().major_version));
  copy_.recover();
  EXPECT_EQ(copy_.marks(), "1,2,3,4,5,6");
  EXPECT_FALSE(fs::exists(folder / "ended"));
}

// Why the other targets are written as empty: without that line this server does not start.
TEST_P(RecoverySettingsIn, WithoutTheEmptyTargetsAStaleOneWouldStopTheServer) {
  copy_.set_in_conf("recovery_target_xid = '3'\n");
  copy_.write_settings({.time = source_.mark(3).commit_time});
  std::string text = test::read_text(copy_.auto_conf());
  constexpr std::string_view kLine = "recovery_target_xid = ''\n";
  const std::size_t at = text.find(kLine);
  ASSERT_NE(at, std::string::npos);
  test::write_text(copy_.auto_conf(), text.erase(at, kLine.size()));
  EXPECT_FALSE(copy_.server().try_start());
  EXPECT_THAT(copy_.server().log(), HasSubstr("multiple recovery targets"));
}

// Names that differ in capital letters do not replace each other while PostgreSQL reads: a warning
// says so beforehand, and nothing recovers to a wrong place.
TEST_P(RecoverySettingsIn, AStaleTargetInCapitalLettersIsNeverFollowed) {
  copy_.set_in_conf("RECOVERY_TARGET_XID = '3'\n");
  copy_.write_settings({.time = source_.mark(3).commit_time});
  EXPECT_FALSE(copy_.server().try_start());
  EXPECT_THAT(copy_.server().log(), HasSubstr("multiple recovery targets"));
}

TEST_P(RecoverySettingsIn, MakeAStandbyThatStreams) {
  copy_.set_in_conf("recovery_target_xid = '3'\n");
  copy_.settings().mode = Mode::kStandby;
  copy_.settings().primary_conninfo =
      source_.cluster().connection() + " application_name='it\\'s a \"standby\"'";
  copy_.write_settings();
  copy_.server().start();
  copy_.server().wait_for("exists (select from pg_stat_wal_receiver where status = 'streaming')");
  source_.cluster().sql("insert into later values (7)");
  copy_.server().wait_for("exists (select from later where n = 7)");
  EXPECT_EQ(copy_.marks(), "1,2,3,4,5,6");
  EXPECT_EQ(source_.cluster().sql("select application_name from pg_stat_replication"),
            "it's a \"standby\"");
  EXPECT_EQ(copy_.server().sql("select pg_is_in_recovery()"), "t");
}

// A recovery on timeline 2 that stops before 2 began: PostgreSQL's history of 3 then has switch
// positions that decrease, and postgres/timeline_history.h must make the right line of it.
TEST_P(RecoverySettingsIn, ForkBeforeTheForkOfTheTimelineThatIsFollowed) {
  const test::TempFolder folder;
  const fs::path archive = folder / "archive";
  test::give_to_server_user(folder.path());
  test::copy_while_in_use(source_.archive(), archive);
  const auto recover_on = [&](Copy& copy, const TargetRequest& request) {
    copy.settings().archiving = Archiving::kKeep;
    copy.settings().restore_command = fmt::format("cp {}/%f %p", archive.string());
    copy.set_in_conf(fmt::format("archive_command = 'cp %p {0}/%f.new && mv {0}/%f.new {0}/%f'\n",
                                 archive.string()));
    copy.recover(request);
  };
  const auto history = [&](std::uint32_t timeline) {
    const fs::path path = archive / timeline_history_file_name({timeline});
    wait_until([&] { return fs::exists(path); });
    return parse_timeline_history({timeline}, test::read_text(path), path.string());
  };
  recover_on(copy_, {.xid = source_.mark(5).xid, .action = "promote"});
  const TimelineHistory second = history(2);
  Copy third_copy(source_, GetParam());
  recover_on(third_copy, {.xid = source_.mark(2).xid, .action = "promote"});
  const TimelineHistory third = history(3);
  EXPECT_EQ(third_copy.marks(), "1,2");
  ASSERT_EQ(third.switches.size(), 2U);
  EXPECT_LT(third.switches[1].at, third.switches[0].at);
  EXPECT_EQ(third.switches[0].at, fork_lsn(second));
  EXPECT_TRUE(range_of(third, {2})->empty());
  const Lsn mark_two = parse_lsn(source_.mark(2).commit_lsn).value();
  const Lsn mark_three = parse_lsn(source_.mark(3).commit_lsn).value();
  EXPECT_TRUE(contains(third, {1}, mark_two));
  EXPECT_FALSE(contains(third, {1}, mark_three));
  EXPECT_TRUE(contains(second, {1}, mark_three));
  EXPECT_TRUE(continues(third, second));
}

}  // namespace
}  // namespace holdfast
