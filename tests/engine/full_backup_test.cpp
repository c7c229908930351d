// Full backups of running servers, restored, started and compared.
#include <sys/stat.h>

#include "suite.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

struct Place {
  std::string name;
  bool on_s3 = false;
  Encryption encryption = Encryption::kNone;
};
void PrintTo(const Place& place, std::ostream* out) {
  *out << place.name;
}

class EveryPlace : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (!GetParam().on_s3) return;
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  }

  ProgramSettings settings() const {
    ProgramSettings settings{.encryption = GetParam().encryption};
    if (GetParam().on_s3) {
      settings.url = new_bucket_url();
      settings.s3 = &shared_s3_server();
    }
    return settings;
  }
};

// The rows that must be there are told from the commit records in the source's own WAL.
TEST_P(EveryPlace, BackupUnderWriteLoadHoldsWhatWasCommittedBeforeItsStopAndNothingElse) {
  PostgresCluster& source = small_cluster();
  HoldfastProgram holdfast(source, settings());
  holdfast.init();
  const ClusterContent still = content_of(
      source, {"public.load", "public.load_churn", "public.pgbench_accounts",
               "public.pgbench_tellers", "public.pgbench_branches", "public.pgbench_history"});
  WriteLoad load(source);
  Process pgbench = start_pgbench(source, 60);
  load.wait_for_more(200);
  const Json backup = holdfast.backup({"--name", "loaded"});
  load.wait_for_more(50);
  load.stop();
  pgbench.send(SIGTERM);
  pgbench.wait(std::chrono::seconds{20});

  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  PostgresCluster restored = start_restored(target);
  EXPECT_EQ(check_load({.source = source,
                        .restored = restored,
                        .start_lsn = backup.at("start_lsn"),
                        .stop_lsn = backup.at("stop_lsn")}),
            std::vector<std::string>{});
  EXPECT_EQ(check_pgbench(restored), "");
  EXPECT_EQ(differences(
                still, content_of(restored, {"public.load", "public.load_churn",
                                             "public.pgbench_accounts", "public.pgbench_tellers",
                                             "public.pgbench_branches", "public.pgbench_history"})),
            std::vector<std::string>{});
  // Every index agrees with its table.
  restored.sql(
      "create extension amcheck; select bt_index_check(c.oid, true) from pg_class c join "
      "pg_index i on indexrelid = c.oid join pg_am a on a.oid = relam where amname = "
      "'btree' and relpersistence = 'p'");
  restored.stop();
  EXPECT_EQ(check_page_checksums(restored), "");
  EXPECT_EQ(backup.at("damaged_pages"), 0);
  EXPECT_EQ(backup.at("encryption"),
            GetParam().encryption == Encryption::kNone ? "none" : "aes-256-gcm");
}

INSTANTIATE_TEST_SUITE_P(Place, EveryPlace,
                         testing::Values(Place{"Folder"},
                                         Place{"FolderEncrypted", false, Encryption::kKeyFile},
                                         Place{"S3", true},
                                         Place{"S3Encrypted", true, Encryption::kKeyFile}),
                         [](const auto& given) { return given.param.name; });

class Rich : public testing::Test {
 protected:
  PostgresCluster& source() { return *rich_cluster().cluster; }
  std::vector<std::string> new_tablespaces() {
    return {"--tablespaces-under", holdfast_.new_path("spaces").string()};
  }
  HoldfastProgram holdfast_{*rich_cluster().cluster};
};

struct stat stat_of(const fs::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) throw std::runtime_error("no " + path.string());
  return info;
}

TEST_F(Rich, EverythingADataDirectoryCanHoldComesBack) {
  holdfast_.init();
  Process temporary({.arguments = {client_program("psql").string(), "-X", "-c",
                                   "create temp table passing as select generate_series(1, 1000)",
                                   "-c", "select pg_sleep(1000)", source().connection()}});
  source().wait_for("exists (select from pg_class where relname = 'passing')");
  const ClusterContent before = content_of(source(), kLoadTables);
  WriteLoad load(source());
  load.wait_for_more(20);
  const Json backup = holdfast_.backup();
  load.wait_for_more(20);
  load.stop();
  temporary.send(SIGKILL);
  ASSERT_EQ(backup.at("tablespaces").size(), 3U);

  const fs::path target = holdfast_.new_path();
  const fs::path spaces = holdfast_.new_path("spaces");
  const Json done = holdfast_.restore(target, {"--tablespaces-under", spaces.string()});
  EXPECT_EQ(done.at("tablespaces").size(), 2U) << "the third lies within";

  // Before the server starts and cleans up.
  const auto unlogged = source().sql("select pg_relation_filepath('fleeting')");
  EXPECT_FALSE(fs::exists(target / unlogged));
  EXPECT_TRUE(fs::exists(target / (unlogged + "_init")));
  for (const auto& entry : fs::recursive_directory_iterator(target / "base")) {
    EXPECT_FALSE(entry.is_regular_file() && entry.path().filename().string().starts_with("t"))
        << "a temporary table: " << entry.path();
  }
  EXPECT_FALSE(fs::is_symlink(target / "pg_wal"));
  EXPECT_EQ(stat_of(target / "only-to-read").st_mode & 07777U, 0400U);
  EXPECT_EQ(stat_of(target / "PG_VERSION").st_mode & 07777U, 0640U);
  EXPECT_EQ(stat_of(target / "base").st_mode & 07777U, 0750U);
  EXPECT_EQ(stat_of(target).st_mode & 07777U, 0750U) << "group access is told by this folder";
  EXPECT_EQ(stat_of(target / "sparse").st_size, off_t{192} << 20U);
  EXPECT_EQ(stat_of(target / "sparse").st_blocks, 0);

  PostgresCluster restored = start_restored(target);
  EXPECT_EQ(differences(before, content_of(restored, kLoadTables)), std::vector<std::string>{});
  EXPECT_EQ(check_load({.source = source(),
                        .restored = restored,
                        .start_lsn = backup.at("start_lsn"),
                        .stop_lsn = backup.at("stop_lsn")}),
            std::vector<std::string>{});
  EXPECT_EQ(restored.sql("select count(*) from fleeting"), "0");
  EXPECT_EQ(restored.sql("select count(*) from fleeting_in_two"), "0");
  restored.sql("insert into fleeting_in_two values (1)");
  EXPECT_EQ(restored.sql("select count(*) from prepared"), "0");
  restored.sql("commit prepared 'held'");
  EXPECT_EQ(restored.sql("select count(*) from prepared"), "1");
  EXPECT_EQ(
      restored.sql("select pg_tablespace_location(oid) from pg_tablespace where spcname = "
                   "'one'"),
      (spaces / source().sql("select oid from pg_tablespace where spcname = 'one'")).string());
  restored.stop();
  EXPECT_EQ(check_page_checksums(restored), "");
}

TEST_F(Rich, TablespacesAndWalGoWhereTheyAreSent) {
  holdfast_.init();
  const LoadedBackup backup = back_up_under_load(source(), holdfast_);
  const fs::path target = holdfast_.new_path(), wal = holdfast_.new_path("wal");
  const fs::path one = holdfast_.new_path("one"), rest = holdfast_.new_path("rest");
  const std::string one_was = rich_cluster().space("one").string();
  holdfast_.restore(target, {"--tablespace", one_was + "=" + one.string(), "--tablespaces-under",
                             rest.string(), "--wal-dir", wal.string()});
  const std::string oid_one = source().sql("select oid from pg_tablespace where spcname = 'one'");
  const std::string oid_two = source().sql("select oid from pg_tablespace where spcname = 'two'");
  EXPECT_EQ(fs::read_symlink(target / "pg_tblspc" / oid_one), one);
  EXPECT_EQ(fs::read_symlink(target / "pg_tblspc" / oid_two), rest / oid_two);
  EXPECT_EQ(fs::read_symlink(target / "pg_wal"), wal);
  expect_all_of(backup, source(), start_restored(target));
}

TEST_F(Rich, OccupiedTablespacesAreRefusedBeforeAnythingIsWritten) {
  holdfast_.init();
  holdfast_.backup();
  const fs::path target = holdfast_.new_path();
  const Answer answer = holdfast_.run({"restore", "--to", target.string()});
  EXPECT_EQ(answer.outcome.exit_code, 3) << "the running server's own tablespaces\n"
                                         << answer.text();
  EXPECT_FALSE(fs::exists(target));
  const Answer unknown =
      holdfast_.run({"restore", "--to", target.string(), "--tablespace", "/nowhere=/somewhere"});
  EXPECT_EQ(unknown.outcome.exit_code, 2) << unknown.text();
  EXPECT_FALSE(fs::exists(target));
}

// Found in a review: the second --delta forgot the option, and went to the running server's own.
TEST_F(Rich, DeltaKeepsThePlacesThatTheDirectoryHasAndTakesNoOthersThatAreInUse) {
  holdfast_.init();
  holdfast_.backup();
  const fs::path target = holdfast_.new_path(), spaces = holdfast_.new_path("spaces");
  holdfast_.restore(target, {"--tablespaces-under", spaces.string()});
  const std::string oid = source().sql("select oid from pg_tablespace where spcname = 'one'");
  const auto delta = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"restore", "--to", target.string(), "--delta", "--yes"});
    return holdfast_.run(options);
  };
  const Answer again = delta({});
  EXPECT_TRUE(again.ok()) << again.text();
  EXPECT_EQ(fs::read_symlink(target / "pg_tblspc" / oid), spaces / oid);

  const fs::path stranger = holdfast_.new_path("wal");
  fs::create_directories(stranger);
  write_text(stranger / "000000010000000000000009", "of another server");
  give_to_server_user(stranger);
  EXPECT_EQ(delta({"--wal-dir", stranger.string()}).outcome.exit_code, 3);
  const std::string of_source = rich_cluster().space("one").string();
  EXPECT_EQ(delta({"--tablespace", of_source + "=" + of_source}).outcome.exit_code, 3);
  // A copy that was made with cp leads to the running server's files.
  fs::remove(target / "pg_tblspc" / oid);
  fs::create_symlink(of_source, target / "pg_tblspc" / oid);
  const Answer live = delta({});
  EXPECT_EQ(live.outcome.exit_code, 3) << live.text();
  EXPECT_NE(live.error().find("running server"), std::string::npos) << live.text();
  EXPECT_EQ(source().sql("select count(*) from in_one"), "20000");
}

class EveryCompression : public testing::TestWithParam<std::string> {};

TEST_P(EveryCompression, RestoresTheSame) {
  PostgresCluster& source = small_cluster();
  HoldfastProgram holdfast(
      source, {.lines = {"memory: 64MiB", "backup: {compression: " + GetParam() + "}"}});
  holdfast.init();
  const LoadedBackup backup = back_up_under_load(source, holdfast);
  EXPECT_EQ(backup.document.at("compression"), GetParam());
  const double ratio = backup.document.at("stored_bytes").get<double>() /
                       backup.document.at("data_bytes").get<double>();
  if (GetParam() == "none") {
    EXPECT_GT(ratio, 0.7);
  } else {
    EXPECT_LT(ratio, 0.5);
  }
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  expect_all_of(backup, source, start_restored(target));
}

INSTANTIATE_TEST_SUITE_P(Compression, EveryCompression,
                         testing::Values("zstd", "lz4", "gzip", "none"),
                         [](const auto& given) { return given.param; });

class EveryVersion : public testing::TestWithParam<ServerPrograms> {};

TEST_P(EveryVersion, BackupUnderWriteLoadRestores) {
  PostgresCluster source({.programs = GetParam(), .wal_segment_mib = 1});
  source.start();
  make_load_tables(source);
  source.sql("create table still as select g, md5(g::text) from generate_series(1, 5000) g");
  HoldfastProgram holdfast(source);
  holdfast.init();
  WriteLoad load(source);
  load.wait_for_more(100);
  const Json backup = holdfast.backup();
  load.wait_for_more(100);
  load.stop();
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  PostgresCluster restored = start_restored(target, GetParam());
  EXPECT_EQ(differences(content_of(source, kLoadTables), content_of(restored, kLoadTables)),
            std::vector<std::string>{});
  EXPECT_EQ(restored.sql("select count(*) = max(number) and max(number) > 99 from load"), "t");
  if (GetParam().has("pg_waldump")) {
    EXPECT_EQ(check_load({.source = source,
                          .restored = restored,
                          .start_lsn = backup.at("start_lsn"),
                          .stop_lsn = backup.at("stop_lsn")}),
              std::vector<std::string>{});
  }
}

INSTANTIATE_TEST_SUITE_P(Version, EveryVersion, testing::ValuesIn(available_servers()),
                         [](const auto& given) {
                           return "PostgreSQL" + std::to_string(given.param.major_version);
                         });

// Page numbers go on through the files of a relation: wrong ones would look like damage.
TEST(WideLargeRelation, OfTwoFilesComesBack) {
  if (!is_wide_run()) GTEST_SKIP() << "writes over 1 GiB; HOLDFAST_TEST_WIDE=1 runs it";
  PostgresCluster source({.settings = {"max_wal_size = 4GB", "autovacuum = off"}});
  source.start();
  source.sql("create table large (g bigint, filler text)");
  source.sql("alter table large alter filler set storage plain");
  source.sql(
      "insert into large select g, repeat(md5(g::text), 250) from generate_series(1, 140000) g");
  HoldfastProgram holdfast(source);
  holdfast.init();
  const Json backup = holdfast.backup();
  EXPECT_EQ(backup.at("damaged_pages"), 0);
  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  EXPECT_TRUE(fs::exists(target / (source.sql("select pg_relation_filepath('large')") + ".1")));
  PostgresCluster restored = start_restored(target);
  EXPECT_EQ(differences(content_of(source), content_of(restored)), std::vector<std::string>{});
}

}  // namespace
}  // namespace holdfast::test
