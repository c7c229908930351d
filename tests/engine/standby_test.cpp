// Backups that are taken from a hot standby while its primary is written to.
#include <chrono>
#include <thread>

#include <sys/wait.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class StandbyBackup : public testing::TestWithParam<ServerPrograms> {};
INSTANTIATE_TEST_SUITE_P(Version, StandbyBackup, testing::ValuesIn(available_servers()),
                         [](const auto& given) {
                           return "PostgreSQL" + std::to_string(given.param.major_version);
                         });

ClusterOptions with_small_segments(const ServerPrograms& programs) {
  return {.programs = programs, .wal_segment_mib = 1};
}

void wait_until_replayed(PostgresCluster& standby, const PostgresCluster& primary) {
  standby.wait_for("pg_last_wal_replay_lsn() >= '" +
                   primary.sql("select pg_current_wal_flush_lsn()") + "'");
}

void wait_until_paused(const Process& process) {
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WSTOPPED | WEXITED | WNOWAIT),
            0);
  ASSERT_EQ(info.si_code, CLD_STOPPED) << process.err();
}

// The commit records that say what must be there are those in the primary's WAL.
TEST_P(StandbyBackup, UnderWriteLoadHoldsWhatItsPrimaryHadCommittedByTheStop) {
  PostgresCluster primary(with_small_segments(GetParam()));
  primary.start();
  make_load_tables(primary);
  primary.sql("create table still as select g, md5(g::text) from generate_series(1, 20000) g");
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  HoldfastProgram holdfast(standby);
  holdfast.init();
  WriteLoad load(primary);
  load.wait_for_more(200);
  wait_until_replayed(standby, primary);
  const Json backup = holdfast.backup({"--standalone"});
  load.wait_for_more(100);
  load.stop();
  EXPECT_EQ(holdfast.must({"show", backup.at("id")}).at("from_standby"), true);
  EXPECT_EQ(standby.sql("select count(*) from pg_replication_slots"), "0");

  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  EXPECT_FALSE(fs::exists(target / "standby.signal")) << "it would follow the primary";
  standby.stop();
  PostgresCluster restored = start_restored(target, GetParam());
  restored.wait_for("not pg_is_in_recovery()");
  EXPECT_EQ(differences(content_of(primary, kLoadTables), content_of(restored, kLoadTables)),
            std::vector<std::string>{});
  EXPECT_EQ(restored.sql("select count(*) = max(number) and max(number) >= 200 from load"), "t");
  if (GetParam().has("pg_waldump")) {
    EXPECT_EQ(check_load({.source = primary,
                          .restored = restored,
                          .start_lsn = backup.at("start_lsn"),
                          .stop_lsn = backup.at("stop_lsn")}),
              std::vector<std::string>{});
  }
  restored.stop();
  if (GetParam().has("pg_checksums")) {
    EXPECT_EQ(check_page_checksums(restored), "");
  }
}

TEST_P(StandbyBackup, FailsWhenTheStandbyIsPromotedMeanwhile) {
  PostgresCluster primary(with_small_segments(GetParam()));
  primary.start();
  PostgresCluster standby = PostgresCluster::standby_of(primary);
  standby.start();
  HoldfastProgram holdfast(standby);
  holdfast.init();
  Process backup = holdfast.start({"backup", "--standalone"},
                                  {{"HOLDFAST_FAULT_POINT", "backup.files_read:stop"}});
  wait_until_paused(backup);
  standby.promote();
  backup.send(SIGCONT);
  const Answer answer = HoldfastProgram::answer_of(backup.wait(60s));
  EXPECT_EQ(answer.outcome.exit_code, 5) << answer.text();
  EXPECT_NE(answer.error().find("promoted"), std::string::npos) << answer.error();
  EXPECT_NE(answer.error().find("again"), std::string::npos) << answer.error();
  EXPECT_TRUE(holdfast.listed().empty());
  // What it is now is backed up as a primary.
  holdfast.backup({"--standalone"});
  EXPECT_EQ(holdfast.listed().size(), 1U);
}

class StandbyOfAnArchive : public testing::Test {
 protected:
  void SetUp() override {
    primary_.server().sql("create table t as select g from generate_series(1, 1000) g");
    standby_.emplace(PostgresCluster::standby_of(primary_.server()));
    standby_->start();
    // So that the backup stops inside a segment that nobody has ended.
    primary_.server().sql("insert into t select g from generate_series(1001, 2000) g");
    primary_.server().sql("checkpoint");
    wait_until_replayed(*standby_, primary_.server());
    holdfast_.emplace(*standby_, ProgramSettings{.url = primary_.holdfast().settings().url,
                                                 .lines = {"wal: {timeout: 6s}"}});
  }

  ArchivedCluster primary_;
  std::optional<PostgresCluster> standby_;
  std::optional<HoldfastProgram> holdfast_;
};

// Nobody writes on the primary: only a switch of its segment lets the last one be archived.
TEST_F(StandbyOfAnArchive, EndsTheSegmentOnThePrimary) {
  const Answer answer = holdfast_->run(
      {"backup"}, {{"HOLDFAST_POSTGRES_PRIMARY_CONNECTION", primary_.server().connection()}});
  ASSERT_TRUE(answer.ok()) << answer.text();
  const fs::path target = holdfast_->new_path();
  holdfast_->restore(target);
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select count(*) from t"), "2000");
}

TEST_F(StandbyOfAnArchive, WithoutThePrimaryWaitsAndSaysSo) {
  const Answer answer = holdfast_->run({"backup"});
  EXPECT_EQ(answer.outcome.exit_code, 5) << answer.text();
  EXPECT_NE(answer.error().find("primary_connection"), std::string::npos) << answer.error();
  EXPECT_NE(answer.outcome.err.find("primary_connection"), std::string::npos)
      << "said while it waits, not only in the end: " << answer.outcome.err;
  EXPECT_TRUE(holdfast_->listed().empty());
}

TEST_F(StandbyOfAnArchive, WithoutThePrimaryGoesOnWhenTheSegmentEnds) {
  Process backup = holdfast_->start({"backup"});
  while (backup.running() && backup.err().find("primary_connection") == std::string::npos) {
    std::this_thread::sleep_for(50ms);
  }
  ASSERT_TRUE(backup.running()) << backup.err();
  primary_.archive();
  const Answer answer = HoldfastProgram::answer_of(backup.wait(60s));
  EXPECT_TRUE(answer.ok()) << answer.text();
}

}  // namespace
}  // namespace holdfast::test
