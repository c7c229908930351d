// Configuration outside the data directory, as Debian keeps it: carried with the backup, and the
// restored directory starts with it wherever the original is.
#include <fmt/format.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// pg_createcluster with a folder of its own in the place of /etc/postgresql: it neither sees nor
// touches the clusters of this machine.
class DebianLayout : public testing::Test {
 protected:
  void SetUp() override {
    give_to_server_user(folder_.path());
    write_text(folder_ / "createcluster.conf",
               "ssl = off\ncluster_name = '%v/%c'\nadd_include_dir = 'conf.d'\n");
    run_or_throw({.arguments = as_server_user({"pg_createcluster",
                                               "--createclusterconf",
                                               (folder_ / "createcluster.conf").string(),
                                               "--datadir",
                                               data_.string(),
                                               "--socketdir",
                                               folder_.path().string(),
                                               "--logfile",
                                               (folder_ / "log").string(),
                                               "--port",
                                               std::to_string(free_port()),
                                               "--locale",
                                               "C",
                                               "--start-conf",
                                               "manual",
                                               "15",
                                               "tested",
                                               "--",
                                               "--username=postgres",
                                               "--auth=trust",
                                               "--no-sync",
                                               "--data-checksums"}),
                  .environment = {{"PG_CLUSTER_CONF_ROOT", (folder_ / "etc").string()}},
                  .folder = folder_.path()});
    write_text(etc_ / "conf.d" / "tuned.conf", "work_mem = 7654kB\nmax_wal_senders = 5\n");
    append_text(etc_ / "pg_hba.conf", "host carried all 192.0.2.0/24 reject\n");
    append_text(etc_ / "pg_ident.conf", "carried system_user database_user\n");
    give_to_server_user(folder_.path());
    // PostgreSQL is told of the folder with the configuration; that names the data directory.
    source_.emplace(PostgresCluster::on(etc_));
    source_->start();
    source_->sql("create table t as select g, md5(g::text) from generate_series(1, 5000) g");
    make_load_tables(*source_);
    holdfast_.emplace(*source_);
    holdfast_->other_data_directory = data_;
    holdfast_->init();
  }

  void expect_own_configuration(const PostgresCluster& server, const fs::path& target) {
    EXPECT_EQ(server.sql("show data_directory"), target.string());
    EXPECT_EQ(server.sql("show config_file"), (target / "postgresql.conf").string());
    EXPECT_EQ(server.sql("show hba_file"), (target / "pg_hba.conf").string());
    EXPECT_EQ(server.sql("show ident_file"), (target / "pg_ident.conf").string());
    EXPECT_EQ(server.sql("show external_pid_file"), "");
    EXPECT_EQ(server.sql("show cluster_name"), "15/tested");
    EXPECT_EQ(server.sql("show work_mem"), "7654kB") << "from conf.d";
    EXPECT_EQ(server.sql("select sourcefile from pg_settings where name = 'work_mem'"),
              (target / "conf.d" / "tuned.conf").string());
    EXPECT_EQ(server.sql("select count(*) from pg_hba_file_rules where 'carried' = any(database)"),
              "1");
    EXPECT_EQ(server.sql("select count(*) from pg_ident_file_mappings where map_name = 'carried'"),
              "1");
  }

  TempFolder folder_;
  const fs::path etc_ = folder_ / "etc" / "15" / "tested";
  const fs::path data_ = folder_ / "data";
  std::optional<PostgresCluster> source_;
  std::optional<HoldfastProgram> holdfast_;
};

TEST_F(DebianLayout, ComesBackBesideTheOriginalAndWithoutIt) {
  ASSERT_EQ(source_->sql("show data_directory"), data_.string());
  ASSERT_FALSE(fs::exists(data_ / "postgresql.conf"));
  const LoadedBackup backup = back_up_under_load(*source_, *holdfast_);
  EXPECT_EQ(backup.document.at("damaged_pages"), 0);

  const fs::path beside = holdfast_->new_path();
  holdfast_->restore(beside);
  {
    PostgresCluster restored = start_restored(beside);  // while the original runs
    expect_own_configuration(restored, beside);
    expect_all_of(backup, *source_, restored);
  }

  source_->stop();
  fs::remove_all(folder_ / "etc");
  fs::remove_all(data_);
  const fs::path alone = holdfast_->new_path();
  holdfast_->restore(alone);
  PostgresCluster restored = start_restored(alone);
  expect_own_configuration(restored, alone);
  EXPECT_EQ(differences(backup.still, content_of(restored, kLoadTables)),
            std::vector<std::string>{});
}

// A file that the server does not read must not come back in the place of the one that it reads.
TEST_F(DebianLayout, AStaleFileInTheDataDirectoryDoesNotCount) {
  write_text(data_ / "postgresql.conf", "work_mem = 1MB\n");
  write_text(data_ / "pg_hba.conf", "local all all reject\n");
  give_to_server_user(data_);
  holdfast_->backup();
  const fs::path target = holdfast_->new_path();
  holdfast_->restore(target);
  PostgresCluster restored = start_restored(target);
  expect_own_configuration(restored, target);
}

TEST_F(DebianLayout, WhatCannotBeCarriedIsSaid) {
  write_text(folder_ / "elsewhere.conf", "work_mem = 9999kB\n");
  append_text(etc_ / "postgresql.conf",
              fmt::format("include '{}'\n", (folder_ / "elsewhere.conf").string()));
  const Answer answer = holdfast_->run({"backup"});
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_NE(answer.document.at("warnings").dump().find("elsewhere.conf"), std::string::npos)
      << answer.document.at("warnings");
}

}  // namespace
}  // namespace holdfast::test
