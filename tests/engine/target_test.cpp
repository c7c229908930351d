// Where a restore may write, and how an unfinished one goes on.
#include <csignal>

#include "suite.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Two backups of the small cluster.
class Target : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    holdfast_ = std::make_unique<HoldfastProgram>(small_cluster());
    holdfast_->init();
    holdfast_->backup({"--name", "first"});
    holdfast_->backup({"--name", "second"});
  }
  static void TearDownTestSuite() { holdfast_.reset(); }

  Answer restore(const fs::path& target, const std::vector<std::string>& more = {},
                 const Variables& environment = {}) {
    std::vector<std::string> words{"restore", "--to", target.string()};
    words.insert(words.end(), more.begin(), more.end());
    return holdfast_->run(words, environment);
  }

  static inline std::unique_ptr<HoldfastProgram> holdfast_;
};

TEST_F(Target, ThatHoldsAnythingIsRefusedAndLeftAsItIs) {
  const fs::path target = holdfast_->new_path();
  fs::create_directory(target);
  write_text(target / "something", "precious");
  give_to_server_user(target);
  EXPECT_EQ(restore(target).outcome.exit_code, 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(target), fs::directory_iterator()), 1);
  EXPECT_EQ(read_text(target / "something"), "precious");
}

TEST_F(Target, ThatIsEmptyIsUsed) {
  const fs::path target = holdfast_->new_path();
  fs::create_directory(target);
  give_to_server_user(target);
  EXPECT_TRUE(restore(target).ok());
  EXPECT_EQ(fs::status(target).permissions(), fs::perms::owner_all);
}

TEST_F(Target, ThatWasRestoredAlreadyIsRefused) {
  const fs::path target = holdfast_->new_path();
  EXPECT_TRUE(restore(target).ok());
  const Answer again = restore(target);
  EXPECT_EQ(again.outcome.exit_code, 3) << again.text();
}

TEST_F(Target, InWhichAServerRunsIsRefused) {
  const Answer answer = restore(small_cluster().data_directory());
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_NE(answer.error().find("server"), std::string::npos) << answer.text();
  EXPECT_EQ(small_cluster().sql("select 1"), "1");
}

TEST_F(Target, OfAKilledRestoreIsFinishedReadingOnlyWhatIsMissing) {
  const fs::path whole = holdfast_->new_path();
  const Json fresh = holdfast_->restore(whole, {"second"});
  EXPECT_FALSE(fresh.at("resumed"));
  EXPECT_EQ(fresh.at("bytes_kept"), 0);

  const fs::path target = holdfast_->new_path();
  const Answer killed =
      restore(target, {"second"}, {{"HOLDFAST_FAULT_POINT", "restore.before_sync:kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL);
  // A power cut may also have lost some of it.
  const std::string relation = small_cluster().sql("select pg_relation_filepath('still')");
  const auto lost = fs::file_size(target / relation);
  fs::resize_file(target / relation, 0);
  const Json done = holdfast_->restore(target, {"second"});
  EXPECT_TRUE(done.at("resumed"));
  EXPECT_GE(done.at("bytes_written").get<std::uint64_t>(), lost / 2);
  EXPECT_LE(done.at("bytes_written").get<std::uint64_t>(), lost + 65536);
  EXPECT_GT(done.at("bytes_kept").get<std::uint64_t>() +
                done.at("bytes_written").get<std::uint64_t>() + 65536,
            fresh.at("bytes_written").get<std::uint64_t>());
  PostgresCluster restored = start_restored(target);
  EXPECT_EQ(differences(content_of(small_cluster()), content_of(restored)),
            std::vector<std::string>{});
}

TEST_F(Target, OfAKilledRestoreIsNotUsedForAnotherBackupOrOtherPlaces) {
  const fs::path target = holdfast_->new_path();
  const Answer killed =
      restore(target, {"second"}, {{"HOLDFAST_FAULT_POINT", "restore.before_sync:kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL);
  EXPECT_EQ(restore(target, {"first"}).outcome.exit_code, 3);
  EXPECT_EQ(restore(target, {"second", "--wal-dir", holdfast_->new_path("wal").string()})
                .outcome.exit_code,
            3);
  EXPECT_TRUE(restore(target, {"second"}).ok());
}

TEST_F(Target, OfAnInterruptedRestoreGoesOn) {
  const fs::path target = holdfast_->new_path();
  Process running = holdfast_->start({"restore", "--to", target.string()},
                                     {{"HOLDFAST_FAULT_POINT", "restore.marker_written:stop"}});
  while (!fs::exists(target / "holdfast.restore")) std::this_thread::sleep_for(5ms);
  std::this_thread::sleep_for(50ms);
  running.send(SIGTERM);
  running.send(SIGCONT);
  EXPECT_EQ(running.wait(20s).signal, SIGTERM);
  EXPECT_FALSE(fs::exists(target / "global/pg_control"));
  EXPECT_TRUE(restore(target).ok());
}

TEST_F(Target, NothingThatIsNotThereIsRestored) {
  const fs::path target = holdfast_->new_path();
  EXPECT_EQ(restore(target, {"nobody"}).outcome.exit_code, 1);
  EXPECT_FALSE(fs::exists(target));
  EXPECT_EQ(holdfast_->run({"restore"}).outcome.exit_code, 2) << "no --to";
}

}  // namespace
}  // namespace holdfast::test
