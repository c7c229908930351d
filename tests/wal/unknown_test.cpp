// Invariant 5 with a real server: a recovery whose archive cannot be asked stops and never
// promotes; a standby lives on.
#include <fmt/format.h>

#include "seal/key_slot.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class Recovery : public testing::Test {
 protected:
  Recovery() {
    PostgresCluster& source = archived_.server();
    source.sql("create table kept (n int)");
    archived_.holdfast().backup();
    for (int n = 1; n <= 3; ++n) {
      source.sql(fmt::format("insert into kept values ({})", n));
      segments_.push_back(source.sql("select pg_walfile_name(pg_current_wal_lsn())"));
      archived_.archive();
    }
    source.stop();
    target_ = archived_.holdfast().new_path();
    archived_.holdfast().restore(target_, {"--archive", "off"});
  }

  // Recovery must not come to an end: neither now nor as a promoted server.
  void expect_stops(const std::string& said) {
    PostgresCluster restored = PostgresCluster::on(target_);
    EXPECT_FALSE(restored.try_start());
    EXPECT_NE(restored.log().find("exit code 255"), std::string::npos) << restored.log();
    EXPECT_NE(restored.log().find(said), std::string::npos) << restored.log();
    EXPECT_EQ(restored.log().find("archive recovery complete"), std::string::npos);
    EXPECT_FALSE(fs::exists(target_ / "pg_wal" / "00000002.history"));
  }

  void expect_goes_on() {
    PostgresCluster restored = start_recovered(target_);
    EXPECT_EQ(restored.sql("select count(*) from kept"), "3");
  }

  ArchivedCluster archived_{{.program = {.encryption = Encryption::kKeyFile}}};
  std::vector<std::string> segments_;
  fs::path target_;
};

TEST_F(Recovery, StopsWhileTheRepositoryIsAwayAndGoesOnWhenItIsBack) {
  const fs::path repository = archived_.holdfast().repository_folder();
  const fs::path aside = repository.parent_path() / "aside";
  const Variable soon("HOLDFAST_WAL_TIMEOUT", "3s");
  fs::rename(repository, aside);
  expect_stops("holdfast:");
  fs::create_directory(repository);  // as a mount point without its file system
  give_to_server_user(repository);
  expect_stops("holdfast:");
  fs::remove(repository);
  fs::rename(aside, repository);
  expect_goes_on();
}

TEST_F(Recovery, StopsWhileTheKeyIsWrongAndGoesOnWithTheRightOne) {
  const fs::path key_file = archived_.holdfast().key_file();
  const std::string key = read_text(key_file);
  write_text(key_file, format_key_file(Secret::random()));
  expect_stops("key");
  write_text(key_file, key);
  expect_goes_on();
}

TEST_F(Recovery, StopsAtASegmentThatIsMissingInTheMiddle) {
  const fs::path object = archived_.object_of(segments_.at(1));
  const fs::path aside = object.parent_path() / "aside";
  fs::rename(object, aside);
  expect_stops(segments_.at(1));
  fs::rename(aside, object);
  expect_goes_on();
}

TEST_F(Recovery, StopsAtADamagedSegment) {
  const fs::path object = archived_.object_of(segments_.at(1));
  const std::string good = read_text(object);
  std::string bad = good;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
  fs::permissions(object, fs::perms::owner_all);
  write_text(object, bad);
  expect_stops("damaged");
  write_text(object, good);
  expect_goes_on();
}

TEST(Standby, LivesOnAndStreamsWhileTheRepositoryIsAway) {
  ArchivedCluster archived;
  PostgresCluster& primary = archived.server();
  primary.sql("create table kept (n int)");
  archived.holdfast().backup();
  archived.archive();
  archived.holdfast().settings().lines = {
      fmt::format("  primary_connection: \"{}\"", primary.connection())};
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target, {"--standby"});
  PostgresCluster standby = PostgresCluster::on(target);
  standby.start();
  primary.sql("insert into kept values (1)");
  standby.wait_for("(select count(*) = 1 from kept)");
  const fs::path repository = archived.holdfast().repository_folder();
  fs::rename(repository, repository.parent_path() / "aside");
  primary.stop(PostgresCluster::Shutdown::kImmediate);
  primary.start();  // on another port
  standby.sql(fmt::format("alter system set primary_conninfo = '{}'", primary.connection()));
  standby.sql("select pg_reload_conf()");
  primary.sql("insert into kept values (2)");
  standby.wait_for("(select count(*) = 2 from kept)");
  EXPECT_TRUE(standby.running());
  fs::rename(repository.parent_path() / "aside", repository);
}

class EverySize : public testing::TestWithParam<int> {};

TEST_P(EverySize, WalIsArchivedAndRecovered) {
  ArchivedCluster archived({.settings = {"max_wal_size = 1GB"}, .wal_segment_mib = GetParam()});
  PostgresCluster& source = archived.server();
  source.sql("create table kept as select generate_series(1, 1000) n");
  archived.holdfast().backup();
  // More than a segment, and more than a part of one, that does not compress.
  source.sql(
      "create table noise as select sha512(g::text::bytea) from generate_series(1, 600000) g");
  source.sql("insert into kept select generate_series(1001, 2000)");
  archived.archive();
  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target);
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select count(*) from kept"), "2000");
  EXPECT_EQ(restored.sql("select md5(string_agg(sha512::text, '' order by sha512)) from noise"),
            source.sql("select md5(string_agg(sha512::text, '' order by sha512)) from noise"));
}

INSTANTIATE_TEST_SUITE_P(SegmentMiB, EverySize, testing::Values(1, 16, 64),
                         [](const auto& given) { return std::to_string(given.param); });

class EveryServer : public testing::TestWithParam<ServerPrograms> {};

TEST_P(EveryServer, RecoversToATimeAndToTheEnd) {
  ArchivedCluster archived({.programs = GetParam()});
  PostgresCluster& source = archived.server();
  source.sql("create table kept (n int)");
  archived.holdfast().backup();
  source.sql("insert into kept values (1)");
  const std::string time = source.sql("select clock_timestamp()");
  source.sql("insert into kept values (2)");
  archived.archive();
  for (const bool to_time : {true, false}) {
    const fs::path target = archived.holdfast().new_path();
    archived.holdfast().restore(target, to_time ? std::vector<std::string>{"--target-time", time}
                                                : std::vector<std::string>{});
    PostgresCluster restored = start_recovered(target, GetParam());
    EXPECT_EQ(restored.sql("select count(*) from kept"), to_time ? "1" : "2");
  }
}

INSTANTIATE_TEST_SUITE_P(Version, EveryServer, testing::ValuesIn(available_servers()),
                         [](const auto& given) {
                           return "Pg" + std::to_string(given.param.major_version);
                         });

}  // namespace
}  // namespace holdfast::test
