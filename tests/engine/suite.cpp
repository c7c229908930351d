#include "suite.h"

#include <atomic>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<PostgresCluster> small;
std::unique_ptr<RichCluster> rich;
std::unique_ptr<S3Server> s3;

// Ends the servers before static objects go.
class StopServers final : public testing::Environment {
 public:
  void TearDown() override {
    s3.reset();
    small.reset();
    rich.reset();
  }
};
[[maybe_unused]] const testing::Environment* const kStopServers =
    testing::AddGlobalTestEnvironment(new StopServers);

void init_pgbench(const PostgresCluster& cluster) {
  run_or_throw({.arguments = {client_program("pgbench").string(), "-i", "-q", "-s", "1",
                              cluster.connection()}});
}

void fill_rich(RichCluster& made) {
  const PostgresCluster& server = *made.cluster;
  for (const char* const name : {"one", "two"}) {
    fs::create_directory(made.space(name));
    give_to_server_user(made.space(name));
    server.sql(fmt::format("create tablespace {} location '{}'", name, made.space(name).string()));
  }
  server.sql("create tablespace within location ''");
}

void fill_tables(const PostgresCluster& server) {
  server.sql(
      "create table in_one tablespace one as select g, md5(g::text) from generate_series(1, 20000)"
      " g; create index on in_one (g) tablespace two;"
      "create table in_place tablespace within as select g from generate_series(1, 5000) g;"
      "create table \"Odd \"\"name\"\" é\" as select g from generate_series(1, 100) g;"
      "create table toasted as select g, string_agg(md5((g * 1000 + h)::text), '') from"
      " generate_series(1, 50) g, generate_series(1, 200) h group by g;"
      "create unlogged table fleeting as select g from generate_series(1, 10000) g;"
      "create unlogged table fleeting_in_two (g int primary key) tablespace two;"
      "insert into fleeting_in_two select generate_series(1, 100);"
      "create materialized view seen as select count(*) from in_one;"
      "create sequence counter; select nextval('counter') from generate_series(1, 77);"
      "create table prepared (g int);"
      "select lo_from_bytea(4711, decode(repeat('c0ffee', 20000), 'hex'));"
      "select lo_from_bytea(4712, '')");
  server.sql("begin; insert into prepared values (1); prepare transaction 'held'");
  server.sql("create database other tablespace two");
  server.sql("create database template_like is_template true");
}

}  // namespace

PostgresCluster& small_cluster() {
  if (small) return *small;
  small = std::make_unique<PostgresCluster>();
  small->start();
  make_load_tables(*small);
  init_pgbench(*small);
  small->sql("create table still as select g, md5(g::text) from generate_series(1, 30000) g");
  return *small;
}

RichCluster& rich_cluster() {
  if (rich) return *rich;
  auto made = std::make_unique<RichCluster>();
  give_to_server_user(made->folder.path());
  made->cluster.emplace(ClusterOptions{
      .initdb_arguments = {"--allow-group-access", "--waldir", made->space("wal").string()},
      .settings = {"max_prepared_transactions = 10", "allow_in_place_tablespaces = on"}});
  const fs::path data = made->cluster->data_directory();
  write_text(data / "only-to-read", "mode 0400\n");
  write_text(data / "sparse", "");
  fs::resize_file(data / "sparse", std::uintmax_t{192} << 20U);
  give_to_server_user(data);
  fs::permissions(data / "only-to-read", fs::perms::owner_read);
  made->cluster->start();
  fill_rich(*made);
  fill_tables(*made->cluster);
  make_load_tables(*made->cluster);
  rich = std::move(made);
  return *rich;
}

S3Server& shared_s3_server() {
  if (!s3) s3 = std::make_unique<S3Server>();
  return *s3;
}

std::string new_bucket_url() {
  static std::atomic<int> count = 0;
  const std::string bucket = fmt::format("engine-{}-{}", ::getpid(), ++count);
  shared_s3_server().create_bucket(bucket);
  return "s3://" + bucket + "/some/prefix";
}

PostgresCluster start_restored(const fs::path& data_directory, const ServerPrograms& programs) {
  PostgresCluster restored = PostgresCluster::on(data_directory, {.programs = programs});
  restored.start();
  return restored;
}

LoadedBackup back_up_under_load(const PostgresCluster& source, HoldfastProgram& holdfast) {
  constexpr int kRows = 50;
  LoadedBackup backup{.document = {}, .still = content_of(source, kLoadTables)};
  WriteLoad load(source);
  load.wait_for_more(kRows);
  backup.document = holdfast.backup();
  load.wait_for_more(kRows);
  load.stop();
  return backup;
}

void expect_all_of(const LoadedBackup& backup, const PostgresCluster& source,
                   const PostgresCluster& restored) {
  EXPECT_EQ(differences(backup.still, content_of(restored, kLoadTables)),
            std::vector<std::string>{});
  EXPECT_EQ(check_load({.source = source,
                        .restored = restored,
                        .start_lsn = backup.document.at("start_lsn"),
                        .stop_lsn = backup.document.at("stop_lsn")}),
            std::vector<std::string>{});
}

Process start_pgbench(const PostgresCluster& cluster, int seconds) {
  return Process({.arguments = {client_program("pgbench").string(), "-n", "-c", "2", "-T",
                                std::to_string(seconds), cluster.connection()}});
}

}  // namespace holdfast::test
