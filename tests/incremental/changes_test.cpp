// Whatever happens to a cluster between two backups: the incremental one holds what a full one of
// the same moment holds.
#include <fmt/format.h>

#include "postgres/wal_summary_file.h"
#include "suite.h"
#include "support/cluster_content.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kNothing;

class EveryServer : public testing::TestWithParam<ServerPrograms> {};

std::string name_of(const testing::TestParamInfo<ServerPrograms>& given) {
  return fmt::format("Version{}", given.param.major_version);
}

void make_tables(PostgresCluster& server, const fs::path& space) {
  fs::create_directory(space);
  fs::permissions(space, fs::perms::all);
  server.sql(fmt::format("create tablespace aside location '{}'", space.string()));
  server.sql(
      "create table kept (n int primary key, t text) with (fillfactor = 60);"
      "insert into kept select i, repeat('x', 100) from generate_series(1, 20000) i;"
      "create table cut as select * from kept;"
      "create table dropped as select * from kept;"
      "create table moved as select * from kept;"
      "create table rewritten as select * from kept;"
      "create index on rewritten (n);"
      "create table shortened as select * from kept;"
      "create unlogged table turned as select * from kept;"
      "create table unturned as select * from kept;"
      "create table toasted (n int, t text);"
      "create sequence numbers;"
      "create materialized view seen as select count(*) from kept;"
      "create table apart (n int, t text) tablespace aside;"
      "insert into apart select * from kept");
  server.sql("vacuum");
}

void change_everything(PostgresCluster& server) {
  server.sql(
      "update kept set t = repeat('y', 90) where n % 100 = 7; delete from kept where n % 501 = 3;"
      "truncate cut; insert into cut select i, 'new' from generate_series(1, 50) i;"
      "drop table dropped;"
      "create table made as select i n, 'made'::text t from generate_series(1, 9000) i;"
      "create index on made (n);"
      "alter table moved set tablespace aside;"
      "alter table turned set logged;"
      "alter table unturned set unlogged;"
      "insert into toasted select 1, string_agg(md5(i::text), '') from generate_series(1, 9000) i;"
      "select nextval('numbers');"
      "insert into apart select i, 'more' from generate_series(1, 3000) i;"
      "refresh materialized view seen");
  server.sql("vacuum full rewritten");
  server.sql("delete from shortened where n > 3000");
  server.sql("vacuum shortened");  // cuts its end off
  // Extended again behind the cut.
  server.sql("insert into shortened select i, 'again' from generate_series(1, 4000) i");
  server.sql(
      "begin; insert into kept values (-1, 'a'); savepoint s; insert into kept values (-2, 'b');"
      "rollback to s; insert into kept values (-3, 'c'); prepare transaction 'waiting'");
  server.sql("begin; create table half as select * from made; drop table made; rollback");
  server.sql("create database by_log");
  if (server.programs().major_version >= 15) {
    server.sql("create database by_copy strategy file_copy");
  }
}

TEST_P(EveryServer, HoldsWhatAFullBackupHoldsAfterAllSortsOfChanges) {
  Grown grown({.programs = GetParam()});
  PostgresCluster& server = grown.server();
  make_tables(server, server.data_directory().parent_path() / "aside");
  server.sql("create database doomed");
  grown.full();
  change_everything(server);
  server.sql("drop database doomed");
  const Json first = grown.incremental("wal index");
  EXPECT_EQ(grown.check(first), kNothing);
  server.sql("commit prepared 'waiting'");
  server.sql("update kept set t = 'z' where n % 1000 = 5");
  server.sql("vacuum kept");
  const Json second = grown.incremental("wal index");
  EXPECT_EQ(second.at("incremental").at("parent"), first.at("id"));
  EXPECT_EQ(grown.check(second), kNothing);
  EXPECT_EQ(grown.check(grown.incremental("comparison", {"--reread"})), kNothing);
}

// The same folder, and other files of the same names in it.
TEST_P(EveryServer, HoldsADatabaseThatWasMadeAnewUnderItsOldNumber) {
  if (GetParam().major_version < 15) return;  // which choose the number themselves
  Grown grown({.programs = GetParam()});
  PostgresCluster& server = grown.server();
  server.sql("create database doomed");
  const std::string number = server.sql("select oid from pg_database where datname = 'doomed'");
  for (const std::string strategy : {"file_copy", "wal_log"}) {
    // Its catalogues are no longer those of the template.
    run_or_throw(
        {.arguments = {client_program("psql").string(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c",
                       "create table only_here as select 1 from generate_series(1, 9)",
                       server.connection() + " dbname=doomed"}});
    grown.full();
    server.sql("drop database doomed");
    server.sql(fmt::format("create database doomed oid = {} strategy {}", number, strategy));
    EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing) << strategy;
  }
}

INSTANTIATE_TEST_SUITE_P(Server, EveryServer, testing::ValuesIn(available_servers()), name_of);

std::vector<ServerPrograms> servers_with_summaries() {
  std::vector<ServerPrograms> servers = available_servers();
  std::erase_if(servers,
                [](const ServerPrograms& programs) { return programs.major_version < 17; });
  return servers;
}

class SummarisingServer : public testing::TestWithParam<ServerPrograms> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SummarisingServer);

TEST_P(SummarisingServer, ItsOwnSummariesAreUsedAndSayTheSame) {
  Grown grown({.settings = {"summarize_wal = on"}, .programs = GetParam()});
  PostgresCluster& server = grown.server();
  make_tables(server, server.data_directory().parent_path() / "aside");
  server.sql("create database doomed");
  grown.full();
  change_everything(server);
  server.sql("drop database doomed");
  EXPECT_EQ(grown.check(grown.incremental("wal summaries")), kNothing);
  server.stop();
  server.start();
  server.sql("commit prepared 'waiting'");
  server.sql("update kept set t = 'z' where n % 1000 = 5");
  server.sql("vacuum kept");
  EXPECT_EQ(grown.check(grown.incremental("wal summaries")), kNothing);
  // Without one of them, nothing is proven by the rest.
  server.sql("update kept set t = 'w' where n % 1000 = 6");
  server.sql("checkpoint");
  // The files only: the server may be writing one.
  for (const auto& file : fs::directory_iterator(server.data_directory() / "pg_wal/summaries")) {
    fs::remove(file);
  }
  EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing);
}

// Found in a review: behind a fork, all summaries from the fork on were asked for.
TEST_P(SummarisingServer, ItsOwnSummariesAreUsedBehindAFailover) {
  Grown grown({.settings = {"summarize_wal = on"}, .programs = GetParam()});
  PostgresCluster& server = grown.server();
  make_tables(server, server.data_directory().parent_path() / "aside");
  server.stop();
  write_text(server.data_directory() / "standby.signal", "");
  give_to_server_user(server.data_directory() / "standby.signal");
  server.start();
  server.promote();
  server.sql("update kept set t = 'y' where n % 1000 = 5");
  const Json full = grown.full();
  EXPECT_EQ(full.at("timeline"), 2);
  // As PostgreSQL does it with old ones.
  const Lsn begin = *parse_lsn(full.at("start_lsn").get<std::string>());
  for (const auto& file : fs::directory_iterator(server.data_directory() / "pg_wal/summaries")) {
    const auto name = parse_wal_summary_name(file.path().filename().string());
    if (name && name->end <= begin) fs::remove(file);
  }
  server.sql("update kept set t = 'z' where n % 1000 = 6");
  EXPECT_EQ(grown.check(grown.incremental("wal summaries")), kNothing);
}

// … and reach back over the fork where the standby wrote them while it followed.
TEST_P(SummarisingServer, AStandbysSummariesAreUsedOnceItIsThePrimary) {
  Grown grown({.settings = {"summarize_wal = on"}, .programs = GetParam()});
  PostgresCluster& server = grown.server();
  server.sql(
      "create table kept (n int primary key, t text);"
      "insert into kept select i, repeat('x', 100) from generate_series(1, 20000) i;"
      "create table cut as select * from kept;"
      "create table dropped as select * from kept");
  server.sql("vacuum");
  PostgresCluster standby = PostgresCluster::standby_of(
      server, {"archive_mode = on", "autovacuum = off", "summarize_wal = on"});
  standby.start();
  const Json full = grown.full();
  server.sql(
      "update kept set t = 'y' where n % 100 = 7; truncate cut; drop table dropped;"
      "create table made as select * from kept where n < 3000; create index on made (n)");
  grown.archived().archive();
  standby.wait_for(
      fmt::format("pg_last_wal_replay_lsn() >= '{}'", server.sql("select pg_current_wal_lsn()")));
  server.stop();
  standby.promote();
  standby.wait_for("not pg_is_in_recovery()");
  grown.turn_to(standby);
  standby.sql("update kept set t = 'z' where n % 1000 = 5");
  const Json made = grown.incremental("wal summaries");
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id"));
  EXPECT_EQ(made.at("timeline"), 2);
  EXPECT_EQ(grown.check(made), kNothing);
}

INSTANTIATE_TEST_SUITE_P(Server, SummarisingServer, testing::ValuesIn(servers_with_summaries()),
                         name_of);

// What it did to files happens when it is committed, and stands in that record.
TEST(Changes, APreparedTransactionIsCommittedBehindTheParent) {
  Grown grown;
  PostgresCluster& server = grown.server();
  server.sql(
      "create table dropped as select i n, repeat('x', 100) t from generate_series(1, 20000) i;"
      "create table cut as select * from dropped;"
      "create table kept as select * from dropped");
  grown.full();
  server.sql(
      "begin; drop table dropped; truncate cut; create table made as select * from kept;"
      "insert into cut select * from kept where n < 100; delete from kept where n % 50 = 1;"
      "prepare transaction 'all of it'");
  grown.incremental("wal index");
  server.sql("commit prepared 'all of it'");
  EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing);
}

// VACUUM marks pages all-visible; the UPDATE behind the full backup clears the marks. A map that an
// incremental backup took from its parent would hide the new rows from index-only scans.
TEST(Changes, VisibilityMapsAreThoseOfTheMoment) {
  Grown grown;
  PostgresCluster& server = grown.server();
  server.sql(
      "create table seen (n int primary key, t text) with (fillfactor = 80);"
      "insert into seen select i, repeat('x', 50) from generate_series(1, 30000) i");
  server.sql("vacuum (freeze) seen");
  grown.full();
  server.sql("update seen set t = 'changed' where n % 50 = 1; delete from seen where n % 77 = 2");
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(grown.check(made), kNothing);
  server.sql("vacuum seen");
  server.sql("update seen set t = 'again' where n = 5");
  EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing);
}

TEST(Changes, FewChangedPagesCostLittle) {
  Grown grown;
  PostgresCluster& server = grown.server();
  server.sql(
      "create table large (n int primary key, t text);"
      "insert into large select i, repeat(md5(i::text), 3) from generate_series(1, 300000) i");
  server.sql("vacuum large");
  const Json full = grown.full();
  const Json nothing = grown.incremental("wal index");
  EXPECT_LT(nothing.at("stored_bytes"), 400'000) << nothing.dump(2);
  server.sql("update large set t = 'x' where n = 150000");
  const Json made = grown.incremental("wal index");
  EXPECT_LT(made.at("incremental").at("read_bytes"), full.at("data_bytes").get<double>() / 5);
  EXPECT_LT(made.at("stored_bytes"), 600'000) << made.dump(2);
  EXPECT_EQ(grown.check(made), kNothing);
}

// Without checksums, hint bits reach the disk without WAL: a page may then be older in the
// incremental backup than on disk, never wrong.
TEST(Changes, HintBitsWithoutChecksumsDoNoHarm) {
  Grown grown;
  PostgresCluster& server = grown.server();
  server.stop();
  run_or_throw(
      {.arguments = as_server_user({(server.programs().bin_directory / "pg_checksums").string(),
                                    "--disable", "-D", server.data_directory().string()})});
  server.start();
  server.sql("create table hinted as select i n from generate_series(1, 50000) i");
  grown.full();
  server.sql("select count(*) from hinted");
  server.sql("insert into hinted values (0)");
  server.sql("checkpoint");
  const Json made = grown.incremental("wal index");
  const Grown::Restored both = grown.restore_both(made);
  EXPECT_NE(file_differences(both.expected, both.found), kNothing) << "no bit was set without WAL";
  EXPECT_EQ(file_differences(both.expected, both.found, HintBits::kLeftOut), kNothing);
  PostgresCluster restored = start_recovered(both.found);
  restored.wait_for("not pg_is_in_recovery()");
  EXPECT_EQ(differences(content_of(server), content_of(restored)), kNothing);
  restored.stop();
}

// The first record of a segment is the tail of one that began before: it must not be lost.
TEST(Changes, RecordsAcrossSegmentsAreFollowed) {
  Grown grown({.wal_segment_mib = 1});
  PostgresCluster& server = grown.server();
  server.sql("create table wide (n int, t text)");
  server.sql("alter table wide alter t set storage external");
  grown.full();
  server.sql("insert into wide select i, repeat(md5(i::text), 800) from generate_series(1, 600) i");
  server.sql("checkpoint");
  server.sql("update wide set n = n + 1");
  const Json made = grown.incremental("wal index");
  EXPECT_EQ(grown.check(made), kNothing);
}

TEST(Changes, UnderLoadTheBackupHoldsWhatWasCommitted) {
  Grown grown;
  PostgresCluster& server = grown.server();
  make_load_tables(server);
  WriteLoad load(server);
  load.wait_for_more(100);
  grown.full();
  for (int round = 0; round < 3; ++round) {
    load.wait_for_more(150);
    const Json made = grown.incremental("wal index");
    if (round < 2) continue;
    load.wait_for_more(20);
    load.stop();
    grown.archived().archive();
    const fs::path target = grown.holdfast().new_path();
    grown.holdfast().restore(target, {"--target-immediate", "--target-action", "promote"});
    PostgresCluster restored = start_recovered(target);
    restored.wait_for("not pg_is_in_recovery()");
    EXPECT_EQ(check_load({.source = server,
                          .restored = restored,
                          .start_lsn = made.at("start_lsn"),
                          .stop_lsn = made.at("stop_lsn")}),
              kNothing);
    restored.stop();
    EXPECT_EQ(check_page_checksums(restored), "");
  }
  // Built on those that were taken meanwhile, and now that nobody writes, compared.
  EXPECT_EQ(grown.check(grown.incremental("wal index")), kNothing);
}

}  // namespace
}  // namespace holdfast::test
