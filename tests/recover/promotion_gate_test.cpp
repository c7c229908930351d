// What keeps a copy from being promoted, and what is said when a promotion stops: on real servers.
#include <gmock/gmock.h>

#include "support/promoting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class PromotionGate : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.server().sql("create table t as select generate_series(1, 10) as n");
    first_ = cluster_.holdfast().backup({"--type", "full"}).at("id");
    cluster_.archive();
    set_lines({"recover: {approvals: 0}"});
    recover_.must({"start"});
    recover_.must({"check"});
  }
  void set_lines(std::vector<std::string> lines) {
    cluster_.holdfast().settings().lines = std::move(lines);
  }
  // The name is asked for behind the gate: without it nothing begins.
  std::string refusal() {
    const Answer answer = recover_.run({"promote"});
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    return answer.error();
  }
  fs::path object_of(const std::string& backup, const std::string& name) {
    for (const auto& entry :
         fs::recursive_directory_iterator(cluster_.holdfast().repository_folder())) {
      const std::string path = entry.path().string();
      if (path.find(backup + "/" + name) != std::string::npos && entry.is_regular_file()) {
        return entry.path();
      }
    }
    throw std::runtime_error("no " + name + " of " + backup);
  }

  ArchivedCluster cluster_;
  Promoting recover_{cluster_};
  std::string first_;
};

TEST_F(PromotionGate, AsksForAFreshBackupOfWhatIsReplaced) {
  EXPECT_THAT(refusal(), HasSubstr("was not typed")) << "a fresh one is there";

  set_lines({"recover: {approvals: 0, backup_age: 1s}"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("recover.backup_age is 1.0 s"), HasSubstr(first_)));
  set_lines({"recover: {approvals: 0}"});

  const fs::path outcome = object_of(first_, "outcome");
  fs::rename(outcome, cluster_.holdfast().new_path("outcome"));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("has no good backup"), HasSubstr("--lost")));
}

// It was taken well, and rotted: that a verification found it out is written beside it.
TEST_F(PromotionGate, PassesOverABackupThatIsKnownToBeDamaged) {
  const fs::path pack = object_of(first_, "pack/");
  const std::string whole = read_text(pack);
  std::string rotten = whole;
  for (std::size_t at = 100; at < rotten.size(); at += 1000) rotten[at] ^= 1;
  write_text(pack, rotten);
  give_to_server_user(pack);
  EXPECT_EQ(cluster_.holdfast().run({"verify"}).outcome.exit_code, 1);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("has no good backup (" + first_ + " is damaged)"),
                               HasSubstr("holdfast backup")));
  write_text(pack, whole);
  give_to_server_user(pack);
  EXPECT_EQ(cluster_.holdfast().run({"verify"}).outcome.exit_code, 0);
  EXPECT_THAT(refusal(), HasSubstr("was not typed")) << "the last proof counts";
}

// At three in the morning: which step, what runs now, and the two ways on.
TEST_F(PromotionGate, AStepThatFailsSaysWhereOneStandsAndWhatIsNext) {
  set_lines({"recover: {approvals: 0}", "hooks:", "  start_server: {run: \"false\"}"});
  const Answer failed = recover_.run({"promote", "--confirm", "demo"});
  EXPECT_EQ(failed.outcome.exit_code, 1) << failed.text();
  const std::string next = recover_.status().at("next");
  EXPECT_THAT(failed.error(),
              AllOf(HasSubstr("step 'start server' of the promotion: the hook start_server"),
                    HasSubstr("no server runs in " + recover_.place().string()), HasSubstr(next),
                    HasSubstr("hooks.log")));
  EXPECT_THAT(next, AllOf(HasSubstr("recover promote recovery"), HasSubstr("recover rollback")));
  const fs::path reports = recover_.record().parent_path() / "reports";
  ASSERT_TRUE(fs::exists(reports));
  for (const auto& report : fs::directory_iterator(reports)) {
    EXPECT_THAT(read_text(report.path()), HasSubstr("the hook start_server"));
  }
  const Answer doctor = cluster_.holdfast().run({"doctor"});
  EXPECT_THAT(doctor.text(), HasSubstr("promotion_stopped"));

  set_lines({"recover: {approvals: 0}", "hooks:", "  stop_application: {run: \"false\"}"});
  const Answer back = recover_.run({"rollback", "--confirm", "demo"});
  EXPECT_THAT(back.error(), AllOf(HasSubstr("step 'rollback: stop application'"),
                                  HasSubstr("goes on"), HasSubstr("turns round")));
  set_lines({"recover: {approvals: 0}"});
  EXPECT_EQ(recover_.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
  EXPECT_EQ(cluster_.server().sql("select count(*) from t"), "10");
}

// What the copy's superuser may ask the cluster's role may not: known before, and mended behind.
TEST_F(PromotionGate, RightsThatValidationLacksAreSaidBeforeAndCanBeGivenBehind) {
  PostgresCluster& server = cluster_.server();
  server.sql("create role watcher login");
  server.sql("grant execute on function pg_control_system() to watcher");
  cluster_.archive();
  recover_.must({"forward"});
  const std::string question = "  - {name: rows, sql: select count(*) from t, expect: 10}";
  set_lines({"recover: {approvals: 0}", "checks:", question});
  const auto rights = [&] {
    const Json checked = recover_.must({"check"});
    for (const Json& check : checked.at("verdict").at("checks")) {
      if (check.at("name") == "rights to ask") return check;
    }
    return Json();
  };
  EXPECT_EQ(rights().at("verdict"), "passed");
  cluster_.holdfast().other_connection = server.connection("watcher");
  const Json lacking = rights();
  EXPECT_EQ(lacking.at("verdict"), "skipped");
  EXPECT_THAT(lacking.at("detail").get<std::string>(),
              AllOf(HasSubstr("'rows': "), HasSubstr("permission denied for table t"),
                    HasSubstr("GRANT pg_read_all_data TO \"watcher\"")));
  cluster_.holdfast().other_connection = server.connection("made_later");
  EXPECT_THAT(rights().at("detail").get<std::string>(), HasSubstr("no role 'made_later'"));
}

// A server that refuses the login is one.
TEST_F(PromotionGate, SomebodyWhoRefusesTheLoginMayBeThePrimary) {
  PostgresCluster other;
  other.start();
  cluster_.holdfast().other_connection = other.connection("nobody_here");
  const Answer refused =
      recover_.run({"promote", "--confirm", "demo", "--lost", "the old server is gone"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_THAT(refused.error(), AllOf(HasSubstr("could not be told"), HasSubstr("nobody_here")));
  cluster_.holdfast().other_connection.reset();
  EXPECT_EQ(recover_.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
}

}  // namespace
}  // namespace holdfast::test
