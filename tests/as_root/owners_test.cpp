// What only root can do, and with which care it does it. ./test runs this program as root and all
// others as the server's user.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/cluster_content.h"
#include "support/holdfast_program.h"
#include "support/promoting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

struct Owner {
  uid_t user;
  gid_t group;
  bool operator==(const Owner&) const = default;
};
void PrintTo(const Owner& owner, std::ostream* out) {
  *out << owner.user << ":" << owner.group;
}

Owner owner_of(const fs::path& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) throw std::runtime_error("no " + path.string());
  return {info.st_uid, info.st_gid};
}

class AsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    source_.start();
    source_.sql("create table t as select g, md5(g::text) from generate_series(1, 5000) g");
    // The people who look after the machine own some of what lies in a data directory.
    write_text(source_.data_directory() / "of_root", "x");
    write_text(source_.data_directory() / "of_others", "y");
    ASSERT_EQ(::chown((source_.data_directory() / "of_others").c_str(), kOther.user, kOther.group),
              0);
    holdfast_.run_as = RunAs::kOurselves;
    holdfast_.init();
  }

  static constexpr Owner kOther{12345, 23456};
  PostgresCluster source_;
  HoldfastProgram holdfast_{source_};
};

TEST_F(AsRoot, RestoreGivesEveryFileToItsOwnerAndTheServerStarts) {
  const Owner server = owner_of(source_.data_directory());
  ASSERT_NE(server.user, 0U);
  holdfast_.backup();
  const fs::path target = holdfast_.new_path();
  holdfast_.restore(target);
  EXPECT_EQ(owner_of(target), server);
  EXPECT_EQ(owner_of(target / "of_root"), (Owner{0, 0}));
  EXPECT_EQ(owner_of(target / "of_others"), kOther);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(target)) {
    if (entry.path().filename().string().starts_with("of_")) continue;
    EXPECT_EQ(owner_of(entry.path()), server) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 500);

  PostgresCluster restored = PostgresCluster::on(target);
  ASSERT_TRUE(restored.try_start()) << restored.log();
  EXPECT_EQ(restored.sql("select count(*) from t"), "5000");
}

// Root tries it once by hand; the timer runs it as the owner ever after.
TEST(Drill, ByRootLeavesNothingThatTheOwnersNextOneCannotUse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  holdfast.backup({"--type", "full"});
  cluster.archive();
  holdfast.run_as = RunAs::kOurselves;
  EXPECT_TRUE(holdfast.must({"drill"}).at("passed"));
  holdfast.run_as = RunAs::kServerUser;
  EXPECT_TRUE(holdfast.must({"drill"}).at("passed"));
}

// Who is called at night is root perhaps; what promotes is not.
TEST(Recover, BegunByRootIsFinishedByTheOwnerOfTheDataDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ArchivedCluster cluster;
  Promoting recover(cluster);
  cluster.server().sql("create table t as select generate_series(1, 10) as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 1}"};
  cluster.holdfast().run_as = RunAs::kOurselves;
  recover.must({"start"});
  recover.must({"check"});
  recover.must({"approve", "--by", "Ada"});
  const Answer refused = recover.run({"promote", "--confirm", "demo"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();

  cluster.holdfast().run_as = RunAs::kServerUser;
  EXPECT_TRUE(recover.must({"check"}).at("verdict").at("passed"));
  recover.must({"approve", "--by", "Ada"});
  EXPECT_EQ(recover.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
  cluster.holdfast().run_as = RunAs::kOurselves;
  recover.must({"status"});
  cluster.holdfast().run_as = RunAs::kServerUser;
  EXPECT_EQ(recover.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
  recover.must({"abandon", "--yes"});
  EXPECT_EQ(cluster.server().sql("select count(*) from t"), "10");
}

}  // namespace
}  // namespace holdfast::test
