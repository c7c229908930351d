// `init` and `check` on real servers: what is created, what PostgreSQL still needs, which rights
// suffice, and that every planted problem is found.
#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Status of the finding of that name, "none" without one.
std::string status_of(const Answer& answer, const std::string& name) {
  for (const Json& finding : answer.result().at("findings")) {
    if (finding.at("name") == name) return finding.at("status");
  }
  return "none";
}

Json setting_of(const Json& result, const std::string& name) {
  for (const Json& setting : result.at("settings")) {
    if (setting.at("name") == name) return setting;
  }
  throw std::runtime_error("no setting " + name);
}

// But for copies of the audit log, which every `init` adds to.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string name = fs::relative(entry.path(), folder);
    if (entry.is_regular_file() && !name.starts_with("demo/audit/")) files.push_back(name);
  }
  std::ranges::sort(files);
  return files;
}

PostgresCluster minimal_cluster() {
  PostgresCluster cluster({.settings = {"wal_level=minimal", "max_wal_senders=0"}});
  cluster.start();
  return cluster;
}

TEST(SetupInit, IsIdempotent) {
  HoldfastProgram program(small_cluster(), {.encryption = Encryption::kKeyFile});
  const Json first = program.must({"init"});
  EXPECT_EQ(first.at("repository_created"), true);
  EXPECT_EQ(first.at("cluster_registered"), true);
  EXPECT_EQ(first.at("encrypted"), true);
  EXPECT_EQ(first.at("exclusive_create"), true);
  EXPECT_EQ(first.at("system_identifier"),
            small_cluster().sql("select system_identifier from pg_control_system()"));
  const auto files = files_below(program.repository_folder());
  const Json second = program.must({"init"});
  EXPECT_EQ(second.at("repository_created"), false);
  EXPECT_EQ(second.at("cluster_registered"), false);
  EXPECT_EQ(second.at("history"), first.at("history"));
  EXPECT_EQ(files_below(program.repository_folder()), files);
  for (const Json& setting : first.at("settings")) {
    const bool of_archiving = setting.at("name").get<std::string>().starts_with("archive_");
    EXPECT_EQ(setting.at("ok"), !of_archiving) << setting;  // this cluster archives nothing
  }
}

TEST(SetupInit, CreatesNothingWithoutAServer) {
  HoldfastProgram program(small_cluster());
  program.other_connection = "host=/nowhere port=1 user=postgres";
  EXPECT_EQ(program.run({"init"}).outcome.exit_code, 5);
  EXPECT_FALSE(fs::exists(program.repository_folder()));
}

TEST(SetupInit, CreatesNothingForTheDataDirectoryOfAnotherCluster) {
  const PostgresCluster other;
  HoldfastProgram program(small_cluster());
  program.other_data_directory = other.data_directory();
  const Answer answer = program.run({"init"});
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_FALSE(fs::exists(program.repository_folder()));
}

TEST(SetupInit, CreatesNothingWithAKeyThatOthersCanRead) {
  HoldfastProgram program(small_cluster(), {.encryption = Encryption::kKeyFile});
  fs::permissions(program.key_file(), fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(program.run({"init"}).outcome.exit_code, 2);
  EXPECT_FALSE(fs::exists(program.repository_folder()));
}

TEST(SetupInit, AnotherClusterUnderTheSameNameIsRefused) {
  HoldfastProgram first(small_cluster());
  first.init();
  PostgresCluster other;
  other.start();
  HoldfastProgram second(other, {.url = "file://" + first.repository_folder().string()});
  EXPECT_EQ(second.run({"init"}).outcome.exit_code, 3);
}

TEST(SetupInit, ApplySetsWhatARestartThenMakesTrue) {
  PostgresCluster cluster = minimal_cluster();
  HoldfastProgram program(cluster);
  const Json before = program.must({"init"});
  EXPECT_EQ(setting_of(before, "wal_level").at("current"), "minimal");
  EXPECT_EQ(setting_of(before, "wal_level").at("ok"), false);
  EXPECT_EQ(setting_of(before, "wal_level").at("applied"), false);
  EXPECT_EQ(program.run({"backup"}).outcome.exit_code, 3);
  EXPECT_EQ(status_of(program.run({"check"}), "wal_level"), "failed");

  const Answer applied = program.run({"init", "--apply"});
  ASSERT_TRUE(applied.ok()) << applied.text();
  EXPECT_EQ(setting_of(applied.result(), "wal_level").at("applied"), true);
  EXPECT_EQ(setting_of(applied.result(), "wal_level").at("needs_restart"), true);
  EXPECT_EQ(setting_of(applied.result(), "max_replication_slots").at("applied"), false);
  EXPECT_NE(applied.document.at("warnings").dump().find("restart PostgreSQL"), std::string::npos);

  cluster.stop();
  cluster.start();
  const Answer after = program.run({"init", "--apply"});
  EXPECT_EQ(setting_of(after.result(), "wal_level").at("ok"), true) << after.text();
  EXPECT_EQ(setting_of(after.result(), "wal_level").at("applied"), false);
  const Answer check = program.run({"check"});
  EXPECT_TRUE(check.ok()) << check.text();
  program.backup();  // with max_wal_senders = 0: no WAL sender is needed
}

TEST(SetupInit, ThePrintedRoleSufficesForBackupAndCheck) {
  PostgresCluster cluster;
  cluster.start();
  HoldfastProgram program(cluster);
  cluster.sql("create role stranger login");
  const Json role = program.must({"init", "--role", "back\"up'er"}).at("role");
  EXPECT_EQ(role.at("database"), "postgres");

  program.other_connection = cluster.connection("stranger");
  const Answer without = program.run({"check"});
  EXPECT_EQ(without.outcome.exit_code, 1) << without.text();
  EXPECT_EQ(status_of(without, "privileges"), "failed");
  EXPECT_EQ(status_of(without, "connection"), "ok");

  cluster.sql(role.at("sql"));
  cluster.sql(role.at("sql"));  // may be run again
  cluster.sql(program.must({"init"}).value("/role/sql"_json_pointer, ""));
  program.other_connection = cluster.connection("holdfast");
  const Answer with = program.run({"check"});
  EXPECT_TRUE(with.ok()) << with.text();
  EXPECT_EQ(status_of(with, "privileges"), "ok");
  program.backup();
  EXPECT_EQ(program.listed().size(), 1U);
  // But not to change settings.
  EXPECT_EQ(cluster.sql("select rolsuper from pg_roles where rolname = 'holdfast'"), "f");
}

TEST(SetupCheck, PassesOnASoundSetUp) {
  HoldfastProgram program(small_cluster(), {.encryption = Encryption::kKeyFile});
  program.init();
  const Answer answer = program.run({"check"});
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_EQ(answer.result().at("failed"), 0);
  for (const char* const name :
       {"configuration", "state directory", "connection", "privileges", "wal_level",
        "max_replication_slots", "full_page_writes", "data directory", "repository", "create only",
        "repository rights", "registration", "clock"}) {
    EXPECT_EQ(status_of(answer, name), "ok") << name << answer.text();
  }
}

TEST(SetupCheck, FindsPlantedProblems) {
  HoldfastProgram program(small_cluster(), {.encryption = Encryption::kKeyFile});
  EXPECT_EQ(status_of(program.run({"check"}), "repository"), "failed");  // no folder yet
  program.init();

  const PostgresCluster other;
  program.other_data_directory = other.data_directory();
  EXPECT_EQ(status_of(program.run({"check"}), "data directory"), "failed");
  program.other_data_directory.reset();

  fs::permissions(program.key_file(), fs::perms::group_read, fs::perm_options::add);
  const Answer open_key = program.run({"check"});
  EXPECT_EQ(open_key.outcome.exit_code, 1);
  EXPECT_EQ(status_of(open_key, "configuration"), "failed");
  fs::permissions(program.key_file(), fs::perms::group_read, fs::perm_options::remove);

  program.other_connection = "host=/nowhere port=1 user=postgres";
  const Answer no_server = program.run({"check"});
  EXPECT_EQ(no_server.outcome.exit_code, 1);
  EXPECT_EQ(no_server.kind(), "check_failed");
  EXPECT_EQ(status_of(no_server, "connection"), "failed");
  EXPECT_EQ(status_of(no_server, "repository"), "ok");
  program.other_connection.reset();

  fs::rename(program.repository_folder(), program.folder() / "elsewhere");
  const Answer no_repository = program.run({"check"});
  EXPECT_EQ(no_repository.outcome.exit_code, 1);
  EXPECT_EQ(status_of(no_repository, "repository"), "failed");
  EXPECT_EQ(status_of(no_repository, "connection"), "ok");
}

TEST(SetupCheck, FindsThatNoReplicationSlotIsFree) {
  PostgresCluster cluster({.settings = {"max_replication_slots=1"}});
  cluster.start();
  HoldfastProgram program(cluster);
  program.init();
  EXPECT_TRUE(program.run({"check"}).ok());
  cluster.sql("select pg_create_physical_replication_slot('taken')");
  EXPECT_EQ(status_of(program.run({"check"}), "max_replication_slots"), "failed");
  EXPECT_FALSE(program.run({"backup"}).ok());  // so the finding is true
  const Json applied = program.must({"init", "--apply"});
  EXPECT_EQ(setting_of(applied, "max_replication_slots").at("applied"), true);
  cluster.stop();
  cluster.start();
  EXPECT_TRUE(program.run({"check"}).ok());
}

TEST(SetupCheck, FindsACatalogueOfAnotherCluster) {
  HoldfastProgram program(small_cluster());
  program.init();
  PostgresCluster other;
  other.start();
  program.other_connection = other.connection();
  program.other_data_directory = other.data_directory();
  EXPECT_EQ(status_of(program.run({"check"}), "registration"), "failed");
}

TEST(SetupCheck, OfAStandbyLooksAtThePrimary) {
  PostgresCluster primary;
  primary.start();
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  HoldfastProgram program(standby);
  program.init();
  EXPECT_EQ(status_of(program.run({"check"}), "primary"), "warning");
  const auto with_primary = [&](const std::string& connection) {
    return status_of(program.run({"check"}, {{"HOLDFAST_POSTGRES_PRIMARY_CONNECTION", connection}}),
                     "primary");
  };
  EXPECT_EQ(with_primary(primary.connection()), "ok");
  EXPECT_EQ(with_primary(standby.connection()), "failed");
  EXPECT_EQ(with_primary(small_cluster().connection()), "failed");
}

TEST(SetupCheck, RepoOnlyProvesTheStorage) {
  HoldfastProgram program(small_cluster());
  const Answer fresh = program.run({"check", "--repo-only"});
  ASSERT_TRUE(fresh.ok()) << fresh.text();
  EXPECT_EQ(fresh.result().at("conforms"), true);
  EXPECT_GT(fresh.result().at("checks").size(), 10U);
  for (const Json& check : fresh.result().at("checks")) EXPECT_GT(check.at("seconds"), 0.0);
  EXPECT_EQ(program.must({"init"}).at("repository_created"), true);  // the place is as new
}

}  // namespace
}  // namespace holdfast::test
