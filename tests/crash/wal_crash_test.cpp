// archive-push, archive-get and their helpers killed at every named point. What PostgreSQL was told
// is archived must be in the repository, byte by byte; what recovery is given must be what was
// archived; and afterwards everything goes on.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "core/fault_point.h"
#include "suite.h"
#include "system/files.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// A server that archives, and keeps a copy of every file whose archiving was acknowledged.
class ArchivingServer {
 public:
  explicit ArchivingServer(int segment_mib = 1)
      : cluster_({.wal_segment_mib = segment_mib,
                  .settings = {"archive_mode=on", "archive_command='false'", "wal_level=replica",
                               "min_wal_size=" + std::to_string(segment_mib * 2) + "MB",
                               "max_wal_size=4GB", "autovacuum=off"}}),
        holdfast_(cluster_, {.repository_lines = {"  - name: second",
                                                  "    url: file://" + second().string()}}) {
    cluster_.start();
    fs::create_directories(acknowledged());
    give_to_server_user(keeping_.path());
    fs::permissions(keeping_.path(), fs::perms::all);
    holdfast_.init();
    holdfast_.must({"--repo", "second", "init"});
    cluster_.sql("create table load (t text)");
  }

  HoldfastProgram& holdfast() { return holdfast_; }
  PostgresCluster& cluster() { return cluster_; }
  fs::path acknowledged() const { return keeping_ / "acknowledged"; }
  fs::path second() const { return keeping_ / "second"; }

  void set_archive_command(const std::string& environment) {
    const fs::path copy = keeping_ / "copy";
    cluster_.sql(fmt::format(
        "alter system set archive_command = 'cp \"%p\" {}-%f && {} {} --config {} archive-push "
        "\"%p\" && mv {}-%f {}/%f'",
        copy.string(), environment, HoldfastProgram::path(), holdfast_.configuration().string(),
        copy.string(), acknowledged().string()));
    cluster_.sql("select pg_reload_conf()");
  }
  void stop_archiving() {
    cluster_.sql("alter system set archive_command = 'false'");
    cluster_.sql("select pg_reload_conf()");
  }

  void write_segments(int count) {
    for (int i = 0; i < count; ++i) {
      cluster_.sql("insert into load select md5(g::text) from generate_series(1, 2000) g");
      cluster_.sql("select pg_switch_wal()");
    }
  }

  std::size_t waiting() const {
    std::size_t count = 0;
    for (const auto& entry :
         fs::directory_iterator(cluster_.data_directory() / "pg_wal" / "archive_status")) {
      count += entry.path().extension() == ".ready" ? 1U : 0U;
    }
    return count;
  }
  bool all_archived(std::chrono::seconds patience) const {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (waiting() > 0 && std::chrono::steady_clock::now() < until) {
      // An archiver whose command was killed ends; the server looks after that when it is asked
      // something, or once a minute.
      cluster_.sql("select 1");
      std::this_thread::sleep_for(200ms);
    }
    return waiting() == 0;
  }

  std::vector<std::string> files_acknowledged() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(acknowledged())) {
      files.push_back(entry.path().filename());
    }
    std::ranges::sort(files);
    return files;
  }

  // Of every file that was acknowledged: what is wrong with the archive's copy.
  std::vector<std::string> complaints() {
    std::vector<std::string> found;
    for (const std::string& file : files_acknowledged()) {
      const fs::path out = holdfast_.new_path("got");
      const Answer answer =
          holdfast_.run({"archive-get", file, out.string(), "--history", history()},
                        {{"HOLDFAST_WAL_PREFETCH", "0"}});
      if (!answer.ok()) {
        found.push_back(file + ": " + answer.text());
      } else if (read_text(out) != read_text(acknowledged() / file)) {
        found.push_back(file + ": other bytes");
      }
      fs::remove(out);
    }
    return found;
  }

  // From now on only the second repository is configured.
  void read_from_second() {
    holdfast_.settings().url = "file://" + second().string();
    holdfast_.settings().repository_lines.clear();
  }

  std::string history() {
    return "0001-" + cluster_.sql("select system_identifier from pg_control_system()");
  }

 private:
  TempFolder keeping_;
  PostgresCluster cluster_;
  HoldfastProgram holdfast_;
};

std::string name_of(const testing::TestParamInfo<std::string>& given) {
  std::string name = given.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

template <class Condition>
bool comes_true(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

// How often a process of this suite has come to this point.
std::size_t times_passed(const std::string& point) {
  std::istringstream lines(read_text(std::getenv("HOLDFAST_FAULT_TRACE")));
  std::size_t times = 0;
  for (std::string line; std::getline(lines, line);) times += line == point ? 1U : 0U;
  return times;
}

class PushKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(PushKilledAt, LosesNothingThatWasAcknowledgedAndGoesOn) {
  const bool parts = GetParam() == "wal.part_stored";
  ArchivingServer server(parts ? 64 : 1);
  if (parts) {
    // 64 MiB that do not compress: two parts.
    server.cluster().sql(
        "alter table load alter t set storage external; insert into load select string_agg(md5("
        "(g * 7000 + h)::text), '') from generate_series(1, 250) g, generate_series(1, 7000) h"
        " group by g");
    server.write_segments(1);
  } else {
    server.write_segments(12);
  }
  const std::size_t before = times_passed(GetParam());
  server.set_archive_command(fmt::format("HOLDFAST_FAULT_POINT={}:kill", GetParam()));
  ASSERT_TRUE(comes_true([&] { return times_passed(GetParam()) > before; }));
  EXPECT_EQ(server.complaints(), std::vector<std::string>{});
  server.set_archive_command("");
  server.write_segments(3);
  ASSERT_TRUE(server.all_archived(90s)) << server.cluster().log();
  EXPECT_GT(server.files_acknowledged().size(), parts ? 3U : 13U);
  EXPECT_EQ(server.complaints(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Point, PushKilledAt,
                         testing::Values("push.stored", "push.helper_begins", "push.before_spool",
                                         "push.copied", "wal.part_stored"),
                         name_of);

TEST(PushHelper, BringsTheSecondRepositoryUpToDateHoweverLongItWasGone) {
  ArchivingServer server;
  const fs::path away = server.second().string() + "-away";
  fs::rename(server.second(), away);
  server.set_archive_command("");
  server.write_segments(8);
  ASSERT_TRUE(server.all_archived(60s)) << server.cluster().log();
  EXPECT_EQ(server.complaints(), std::vector<std::string>{});
  fs::rename(away, server.second());
  server.write_segments(1);
  ASSERT_TRUE(server.all_archived(60s));
  const fs::path lag = server.holdfast().state_directory() / "wal" / "lag-second.json";
  const auto is_complete = [&] {
    if (!fs::exists(lag)) return false;
    const Json json = Json::parse(read_text(lag));
    return json.at("missing") == 0 && json.at("failure") == "";
  };
  for (int i = 0; i < 600 && !is_complete(); ++i) std::this_thread::sleep_for(100ms);
  ASSERT_TRUE(is_complete()) << read_text(lag);
  server.stop_archiving();
  server.read_from_second();
  EXPECT_EQ(server.complaints(), std::vector<std::string>{});
}

TEST(PushHelper, DoesNotHoldUpTheServersShutdown) {
  ArchivingServer server;
  server.write_segments(12);
  server.set_archive_command("");
  ASSERT_TRUE(server.all_archived(60s));
  const fs::path lock = server.holdfast().state_directory() / "wal" / "push.lock";
  EXPECT_FALSE(FileLock::try_acquire(lock)) << "no helper runs, so this test shows nothing";
  const auto began = std::chrono::steady_clock::now();
  server.cluster().stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
}

// One archive for all of these.
ArchivingServer& archive() {
  static std::optional<ArchivingServer> server;
  if (!server) {
    server.emplace();
    server->set_archive_command("");
    server->write_segments(14);
    EXPECT_TRUE(server->all_archived(60s));
  }
  return *server;
}

bool has_entries(const fs::path& state_directory) {
  std::error_code error;
  for (const auto& entry :
       fs::recursive_directory_iterator(state_directory / "wal" / "get", error)) {
    if (entry.path().extension() == ".entry") return true;
  }
  return false;
}

class GetKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(GetKilledAt, NeverGivesHalfAFileAndGoesOn) {
  ArchivingServer& server = archive();
  // A helper of an earlier test ends, because the configuration is another one.
  server.holdfast().settings().lines = {"# " + GetParam()};
  server.holdfast().must({"config", "check"});
  const fs::path lock = server.holdfast().state_directory() / "wal" / "get.lock";
  ASSERT_TRUE(comes_true([&] { return FileLock::try_acquire(lock).has_value(); }));
  const fs::path data = server.holdfast().new_path("recovered");
  fs::create_directories(data / "pg_wal");
  fs::create_directories(data / "global");
  fs::copy_file(server.cluster().data_directory() / "global/pg_control",
                data / "global/pg_control");
  give_to_server_user(data);
  const fs::path out = data / "pg_wal" / "RECOVERYXLOG";
  const auto get = [&](const std::string& file, const Variables& environment) {
    fs::remove(out);
    return server.holdfast().run({"archive-get", file, out.string(), "--history", server.history()},
                                 environment);
  };
  std::size_t prefetched = 0;
  for (const std::string& file : server.files_acknowledged()) {
    const std::string expected = read_text(server.acknowledged() / file);
    const Answer killed = get(file, {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
    EXPECT_TRUE(killed.ok() || killed.outcome.signal == SIGKILL) << killed.text();
    if (fs::exists(out)) {
      EXPECT_TRUE(read_text(out) == expected) << file;
    }
    EXPECT_EQ(killed.ok(), fs::exists(out));
    const Answer answer = get(file, {});
    ASSERT_TRUE(answer.ok()) << answer.text();
    EXPECT_TRUE(read_text(out) == expected) << file;
    prefetched += answer.result().at("source") == "prefetched" ? 1U : 0U;
    // What the helper does, it does meanwhile.
    for (int i = 0; i < 50 && !has_entries(server.holdfast().state_directory()); ++i) {
      std::this_thread::sleep_for(10ms);
    }
  }
  // A file that is not there is still proven absent, whatever is in the spool.
  EXPECT_EQ(get("0000000100000000000000F0", {}).outcome.exit_code, 1);
  if (GetParam() == "get.from_spool") {
    EXPECT_GT(prefetched, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Point, GetKilledAt,
                         testing::Values("get.fetched", "get.before_rename", "get.from_spool",
                                         "get.prefetched"),
                         name_of);

TEST(BackupKilledAt, WalArchivedIsNotListedAndTheNextOneIs) {
  ArchivingServer server;
  server.set_archive_command("");
  server.cluster().wait_for("current_setting('archive_command') like '%archive-push%'");
  const Answer killed =
      server.holdfast().run({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.wal_archived:kill"}});
  EXPECT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  EXPECT_TRUE(server.holdfast().listed_ids().empty());
  const Json next = server.holdfast().backup();
  EXPECT_EQ(next.at("standalone"), false);
  EXPECT_EQ(next.at("swept").size(), 1U);
}

class TakeOverKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(TakeOverKilledAt, IsFinishedByTheNextCall) {
  ArchivingServer server;
  HoldfastProgram& holdfast = server.holdfast();
  const std::string history = holdfast.must({"init"}).at("history");
  // As in a restored copy that was promoted.
  const fs::path marker = server.cluster().data_directory() / "holdfast.restore";
  write_text(marker, fmt::format(R"({{"cluster": "demo", "history": "{}"}})", history));
  give_to_server_user(marker);
  EXPECT_EQ(holdfast.run({"backup"}).outcome.exit_code, 3);
  const Answer killed =
      holdfast.run({"init", "--take-over"}, {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
  EXPECT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  EXPECT_EQ(holdfast.run({"backup"}).outcome.exit_code, 3);
  const Json done = holdfast.must({"init", "--take-over"});
  EXPECT_NE(done.at("history"), history);
  EXPECT_FALSE(fs::exists(marker));
  const Json backup = holdfast.backup({"--standalone"});
  EXPECT_EQ(backup.at("history"), done.at("history"));
  // A history that the killed call opened and that stayed empty is in nobody's way.
  const std::size_t opened = GetParam() == "take_over.opened" ? 3 : 2;
  EXPECT_EQ(holdfast.must({"window"}).at("histories").size(), opened);
  const std::string target = holdfast.new_path().string();
  const Json plan = holdfast.must({"restore", "--to", target, "--dry-run"});
  EXPECT_EQ(plan.at("backup").at("id"), backup.at("id"));
  const Answer again = holdfast.run({"init", "--take-over"});
  EXPECT_EQ(again.result().at("history"), done.at("history")) << "a second call opens no more";
}

INSTANTIATE_TEST_SUITE_P(Point, TakeOverKilledAt,
                         testing::Values("take_over.opened", "take_over.bound"), name_of);

TEST(WalPoints, AreAllNamedHere) {
  const std::set<std::string_view> tested{
      "push.stored", "push.helper_begins", "push.before_spool", "push.copied",    "wal.part_stored",
      "get.fetched", "get.before_rename",  "get.from_spool",    "get.prefetched", "get.absent"};
  for (const std::string_view point : kFaultPoints) {
    if (point.starts_with("push.") || point.starts_with("get.") || point.starts_with("wal.")) {
      EXPECT_TRUE(tested.contains(point)) << point;
    }
  }
}

}  // namespace
}  // namespace holdfast::test
