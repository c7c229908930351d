// `check` with several repositories: each is looked at, and each must get the WAL.
#include <tuple>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class TwoRepositories : public testing::Test {
 protected:
  TwoRepositories() {
    archived_.holdfast().settings().repository_lines = {
        "  - name: second", fmt::format("    url: file://{}", second().string())};
    archived_.holdfast().must({"--repo", "second", "init"});
  }

  fs::path second() { return archived_.holdfast().folder() / "second"; }

  // The status of a finding about a repository; empty: there is none.
  static std::string status(const Answer& answer, const std::string& repository,
                            const std::string& name) {
    for (const Json& finding : answer.result().at("findings")) {
      if (finding.at("repository") == repository && finding.at("name") == name) {
        return finding.at("status");
      }
    }
    return {};
  }

  ArchivedCluster archived_;
};

TEST_F(TwoRepositories, WalHasToArriveInBoth) {
  const Answer good = archived_.holdfast().run({"check"});
  EXPECT_EQ(good.outcome.exit_code, 0) << good.text();
  for (const char* const name : {"first", "second"}) {
    EXPECT_EQ(status(good, name, "repository rights"), "ok") << good.text();
    EXPECT_EQ(status(good, name, "WAL archive"), "ok") << good.text();
  }
}

TEST_F(TwoRepositories, OneThatIsAwayFailsAndTheOtherIsCheckedAllTheSame) {
  fs::rename(second(), second().parent_path() / "aside");
  const Answer answer = archived_.holdfast().run({"check"});
  EXPECT_EQ(answer.outcome.exit_code, 1);
  EXPECT_EQ(status(answer, "second", "repository"), "failed") << answer.text();
  EXPECT_EQ(status(answer, "first", "WAL archive"), "ok") << answer.text();
  // Only the one that is asked for.
  EXPECT_EQ(archived_.holdfast().run({"--repo", "first", "check"}).outcome.exit_code, 0);
}

TEST_F(TwoRepositories, OneThatGetsNoWalIsAWarning) {
  // Archiving with a configuration that does not know the second.
  const fs::path other = archived_.holdfast().folder() / "one.yaml";
  std::string text = read_text(archived_.holdfast().configuration());
  text.resize(text.find("  - name: second"));
  write_text(other, text);
  give_to_server_user(other);
  PostgresCluster& server = archived_.server();
  std::string command = server.sql("show archive_command");
  const std::string name = archived_.holdfast().configuration().string();
  command.replace(command.find(name), name.size(), other.string());
  server.sql(fmt::format("alter system set archive_command = '{}'", command));
  server.sql("select pg_reload_conf()");
  server.wait_for("current_setting('archive_command') like '%one.yaml%'");
  const Answer answer = archived_.holdfast().run({"check"}, {{"HOLDFAST_WAL_TIMEOUT", "10s"}});
  EXPECT_EQ(status(answer, "first", "WAL archive"), "ok") << answer.text();
  EXPECT_EQ(status(answer, "second", "WAL archive"), "warning") << answer.text();
}

// The second is down: with `acknowledge: 2` nothing is acknowledged, with 1 the first has it.
TEST_F(TwoRepositories, AreBothNeededWhereTwoMustHaveTheWal) {
  PostgresCluster& server = archived_.server();
  const auto acknowledge = [&](int count) {
    archived_.holdfast().settings().lines = {
        fmt::format("wal: {{acknowledge: {}, timeout: 3s}}", count)};
    ASSERT_TRUE(archived_.holdfast().run({"config", "show"}).ok());
  };
  const auto in_second = [&](const std::string& segment) {
    for (const auto& entry : fs::recursive_directory_iterator(second())) {
      if (entry.path().filename() == segment) return true;
    }
    return false;
  };
  acknowledge(2);
  archived_.archive();
  const std::string both = server.sql("select last_archived_wal from pg_stat_archiver");
  EXPECT_TRUE(in_second(both)) << both;

  const fs::path aside = second().parent_path() / "aside";
  fs::rename(second(), aside);
  server.sql("select pg_create_restore_point('end'); select pg_switch_wal()");
  const std::string failed = "(select failed_count from pg_stat_archiver)::int";
  const std::string before = server.sql("select " + failed);
  server.wait_for(fmt::format("{} > {}", failed, before));
  EXPECT_EQ(server.sql("select last_archived_wal from pg_stat_archiver"), both);
  acknowledge(1);
  archived_.archive();
  fs::rename(aside, second());
  acknowledge(2);
  archived_.archive();
  EXPECT_TRUE(in_second(server.sql("select last_archived_wal from pg_stat_archiver")));

  acknowledge(3);
  server.sql("select pg_create_restore_point('end'); select pg_switch_wal()");
  const std::string again = server.sql("select " + failed);
  server.wait_for(fmt::format("{} > {}", failed, again));
  EXPECT_NE(server.log().find("wal.acknowledge is 3, but 2 repositories"), std::string::npos);
}

// Settings with which a set-up works, and loses more than it has to one day.
TEST(CheckSettings, ThatHurtAreWarnings) {
  ArchivedCluster archived({.programs = available_servers().back()});
  PostgresCluster& server = archived.server();
  const auto warned = [&](const std::string& name) {
    const Answer answer = archived.holdfast().run({"check"});
    EXPECT_EQ(answer.outcome.exit_code, 0) << answer.text();
    for (const Json& finding : answer.result().at("findings")) {
      if (finding.at("name") == name) return finding.at("status") == "warning";
    }
    return false;
  };
  const auto set = [&](const std::string& name, const std::string& value) {
    server.sql(fmt::format("alter system set {} = {}", name, value));
    server.sql("select pg_reload_conf()");
    server.wait_for(
        fmt::format("(select setting = '{}' from pg_settings where name = '{}')", value, name));
  };
  for (const auto& [name, good, bad] : {std::tuple{"archive_timeout", "300", "0"},
                                        {"archive_timeout", "60", "3600"},
                                        {"full_page_writes", "on", "off"}}) {
    set(name, good);
    EXPECT_FALSE(warned(name)) << name << " = " << good;
    set(name, bad);
    EXPECT_TRUE(warned(name)) << name << " = " << bad;
  }
  // Found in a review: whatever our command said, PostgreSQL was told that the WAL is archived.
  const std::string command = server.sql("show archive_command");
  EXPECT_FALSE(warned("archive_command"));
  for (const char* const added : {" || true", "; true", " | cat"}) {
    server.sql(fmt::format("alter system set archive_command = '{}{}'", command, added));
    server.sql("select pg_reload_conf()");
    server.wait_for(fmt::format("current_setting('archive_command') like '%{}'", added));
    EXPECT_TRUE(warned("archive_command")) << added;
  }
  server.sql(fmt::format("alter system set archive_command = '{}'", command));
  server.sql("select pg_reload_conf()");
  // What may be lost is what waits: the objective counts where it is shorter.
  set("archive_timeout", "300");
  archived.holdfast().settings().lines.emplace_back("objectives: {recovery_point: 1min}");
  EXPECT_TRUE(warned("archive_timeout"));
  archived.holdfast().settings().lines.clear();
  if (server.programs().major_version < 17) return;
  set("summarize_wal", "off");
  EXPECT_TRUE(warned("summarize_wal"));
  set("summarize_wal", "on");
  EXPECT_FALSE(warned("summarize_wal"));
}

Json finding_of(const Answer& answer, const std::string& name) {
  for (const Json& finding : answer.result().at("findings")) {
    if (finding.at("name") == name) return finding;
  }
  return {{"status", "missing"}, {"detail", answer.text()}};
}

TEST(Check, SaysSinceWhenArchivingFails) {
  ArchivedCluster archived;
  PostgresCluster& server = archived.server();
  EXPECT_EQ(finding_of(archived.holdfast().run({"check"}), "archiver").at("status"), "missing");
  server.sql("alter system set archive_command = '/bin/false'");
  server.sql("select pg_reload_conf()");
  server.sql("select pg_create_restore_point('end'); select pg_switch_wal()");
  server.wait_for("(select failed_count > 0 from pg_stat_archiver)");
  const Answer answer = archived.holdfast().run({"check"}, {{"HOLDFAST_WAL_TIMEOUT", "3s"}});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(finding_of(answer, "archiver").at("status"), "failed") << answer.text();
}

TEST(Check, ShoutsInACopyThatArchivesNothing) {
  ArchivedCluster archived;
  HoldfastProgram& holdfast = archived.holdfast();
  holdfast.backup();
  archived.archive();
  const fs::path target = holdfast.new_path();
  EXPECT_EQ(holdfast.must({"restore", "--to", target.string()}).at("archiving"), false)
      << "the source lives";
  PostgresCluster copy = start_recovered(target);
  EXPECT_EQ(copy.sql("show archive_mode"), "off");
  holdfast.other_connection = copy.connection();
  holdfast.other_data_directory = target;
  const Answer answer = holdfast.run({"check"});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  const Json finding = finding_of(answer, "WAL archive");
  EXPECT_NE(finding.dump().find("was restored from a backup and archives nothing"),
            std::string::npos)
      << answer.text();
}

// Found in a review: on a standby the archive was said to be all right without a look at it.
TEST(CheckOnAStandby, TriesTheArchiveOfThePrimary) {
  ArchivedCluster archived;
  PostgresCluster& primary = archived.server();
  HoldfastProgram& holdfast = archived.holdfast();
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  holdfast.other_connection = standby.connection();
  holdfast.other_data_directory = standby.data_directory();
  const auto finding = [&] {
    const Answer answer = holdfast.run({"check"});
    for (const Json& each : answer.result().at("findings")) {
      if (each.at("name") == "WAL archive") return each.dump();
    }
    return answer.text();
  };
  const std::string untried = finding();
  EXPECT_NE(untried.find("warning"), std::string::npos) << untried;
  EXPECT_NE(untried.find("not tried"), std::string::npos) << untried;
  holdfast.settings().lines = {fmt::format("  primary_connection: \"{}\"", primary.connection())};
  const std::string tried = finding();
  EXPECT_NE(tried.find(" was in the repository"), std::string::npos) << tried;
}

}  // namespace
}  // namespace holdfast::test
