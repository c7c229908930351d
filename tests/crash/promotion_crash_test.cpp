// A promotion and a rollback that are killed at every step, before and after its work, go on; and
// at no moment could two servers have accepted writes.
#include <csignal>
#include <fstream>

#include <gmock/gmock.h>

#include "suite.h"
#include "support/promoting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kStepsMax = 40;

// SIGKILL to every process of it, as the kernel's when memory is short.
void kill_server_in(const fs::path& data_directory) {
  const pid_t server = postmaster_of(data_directory);
  ASSERT_GT(server, 0);
  ::kill(server, SIGSTOP);  // it starts no further ones while they are collected
  std::vector<pid_t> all{server};
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", server));
  for (pid_t child = 0; children >> child;) all.push_back(child);
  for (const pid_t one : all) ::kill(one, SIGKILL);
  for (const pid_t one : all) {
    EXPECT_TRUE(becomes_true([&] { return !fs::exists(fmt::format("/proc/{}", one)); }));
  }
}

class KilledPromotion : public testing::Test {
 protected:
  KilledPromotion() {
    cluster_.server().sql("create table t as select 1 as n");
    cluster_.holdfast().backup({"--type", "full"});
    cluster_.server().sql("select pg_create_restore_point('before'); delete from t");
    cluster_.archive();
    cluster_.holdfast().settings().lines = {"recover: {approvals: 0}"};
    recover_.must({"start", "--target-name", "before"});
    recover_.must({"check"});
  }

  // Every call does what the one before was killed in, and is killed one step further on; returns
  // how many were.
  int kill_at_each_step(const std::string& command, const std::string& point) {
    int killed = 0;
    for (; killed < kStepsMax; ++killed) {
      const Answer answer =
          recover_.run({command, "--confirm", "demo"}, point + (killed == 0 ? ":kill" : "#2:kill"));
      if (answer.outcome.signal != SIGKILL) {
        EXPECT_TRUE(answer.ok()) << answer.text();
        break;
      }
      expect_no_fenced_server_starts();
      EXPECT_EQ(recover_.status().at("state"), "interrupted");
    }
    return killed;
  }

  void kill_behind(const std::string& command, int step) {
    const Answer answer = recover_.run({command, "--confirm", "demo"},
                                       fmt::format("recover.step_worked#{}:kill", step));
    ASSERT_EQ(answer.outcome.signal, SIGKILL) << answer.text();
  }

  void expect_no_fenced_server_starts() {
    for (const fs::path& directory : {recover_.place(), recover_.aside()}) {
      const bool fenced =
          fs::exists(directory / "PG_VERSION") && !fs::exists(directory / "global/pg_control");
      EXPECT_TRUE(!fenced || !recover_.starts(directory)) << directory;
    }
    // Where the copy has been promoted, the old server must not be able to.
    const fs::path old = fs::exists(recover_.aside()) ? recover_.aside() : recover_.place();
    const Json steps = recover_.status().at("steps");
    const bool promoting = steps.back().at("name") == "promote copy";
    EXPECT_TRUE(!promoting || !fs::exists(old / "global/pg_control"));
  }

  ArchivedCluster cluster_;
  Promoting recover_{cluster_};
};

TEST_F(KilledPromotion, GoesOnAfterEachStepsWork) {
  EXPECT_GE(kill_at_each_step("promote", "recover.step_worked"), 9);
  EXPECT_EQ(recover_.status().at("state"), "promoted");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "1");
  cluster_.archive();
  EXPECT_GE(kill_at_each_step("rollback", "recover.step_worked"), 7);
  EXPECT_EQ(recover_.status().at("state"), "rolled back");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "0");
  cluster_.archive();
}

TEST_F(KilledPromotion, GoesOnBeforeEachStepsWork) {
  EXPECT_GE(kill_at_each_step("promote", "recover.step_begun"), 9);
  EXPECT_EQ(recover_.status().at("state"), "promoted");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "1");
  EXPECT_GE(kill_at_each_step("rollback", "recover.step_begun"), 7);
  EXPECT_EQ(recover_.status().at("state"), "rolled back");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "0");
  cluster_.archive();
}

// PostgreSQL removes its signal file before it has promoted: a copy without one, that died in
// between, must not go on to what lies behind the target.
TEST_F(KilledPromotion, ACopyThatDiedWhileItPromotedStillEndsAtItsTarget) {
  EXPECT_EQ(
      recover_.run({"promote", "--confirm", "demo"}, "recover.step_begun#3:kill").outcome.signal,
      SIGKILL);
  const fs::path copy = recover_.status().at("data_directory").get<std::string>();
  quit_server_in(copy);
  EXPECT_TRUE(fs::remove(copy / "recovery.signal"));
  recover_.must({"promote", "--confirm", "demo"});
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "1");
  EXPECT_EQ(cluster_.server().sql("select timeline_id from pg_control_checkpoint()"), "2");
}

// Whatever step it was in, the way back is open, and from there the way on.
TEST_F(KilledPromotion, CanBeRolledBackFromAnyStep) {
  struct Kills {
    int promote, rollback;  // behind the work of which step
  };
  // Old server fenced; copy in place, and back again; copy in production, and fenced there.
  for (const Kills& kill : {Kills{2, 5}, Kills{5, 5}, Kills{7, 3}}) {
    if (!fs::exists(recover_.record())) {
      cluster_.holdfast().backup();  // it writes a history of its own since the rollback
      recover_.must({"start", "--target-name", "before"});
      recover_.must({"check"});
    }
    kill_behind("promote", kill.promote);
    kill_behind("rollback", kill.rollback);
    EXPECT_THAT(recover_.status().at("next").get<std::string>(),
                testing::HasSubstr("recover promote recovery turns round"));
    EXPECT_EQ(recover_.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
    EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "1");
    const Json rolled_back = recover_.must({"rollback", "--confirm", "demo"});
    EXPECT_EQ(rolled_back.at("state"), "rolled back");
    EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "0");
    recover_.must({"abandon", "--yes"});
    cluster_.archive();
  }
}

// It is known to have run here: a rollback needs no clean end of it.
TEST_F(KilledPromotion, CanBeRolledBackAfterTheNewServerCrashed) {
  recover_.must({"promote", "--confirm", "demo"});
  quit_server_in(recover_.place());
  EXPECT_EQ(recover_.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "0");
}

// Not holdfast but PostgreSQL dies: that is a stop with its reason, and both ways on are open.
TEST_F(KilledPromotion, StopsWhereTheNewServerDiesWhileItIsValidated) {
  const fs::path asked = cluster_.holdfast().new_path("asked");
  const fs::path killed = cluster_.holdfast().new_path("killed");
  cluster_.holdfast().settings().lines = {
      "recover: {approvals: 0}", "hooks:",
      fmt::format("  validate: {{run: \"touch {}; while [ ! -e {} ]; do sleep 0.02; done\"}}",
                  asked.string(), killed.string())};
  const auto promote_and_kill = [&] {
    Process promoting = recover_.start({"promote", "--confirm", "demo"});
    EXPECT_TRUE(becomes_true([&] { return fs::exists(asked) || !promoting.running(); }));
    kill_server_in(recover_.place());
    write_text(killed, "");
    const Outcome outcome = promoting.wait(std::chrono::minutes(5));
    EXPECT_EQ(outcome.exit_code, 5) << outcome.out << outcome.err;
    fs::remove(asked);
    fs::remove(killed);
    const Json status = recover_.status();
    EXPECT_EQ(status.at("state"), "failed");
    EXPECT_EQ(status.at("steps").back().at("name"), "validate");
    EXPECT_NE(status.at("steps").back().at("detail"), "");
    EXPECT_THAT(status.at("next").get<std::string>(),
                testing::AllOf(testing::HasSubstr("recover promote"),
                               testing::HasSubstr("recover rollback")));
  };
  promote_and_kill();
  promote_and_kill();  // started again, and asked again
  write_text(killed, "");
  EXPECT_EQ(recover_.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "1");
  EXPECT_EQ(recover_.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "0");
}

}  // namespace
}  // namespace holdfast::test
