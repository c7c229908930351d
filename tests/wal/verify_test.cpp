// verify reads the archived WAL without which a backup cannot be restored.
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class VerifyWal : public testing::Test {
 protected:
  VerifyWal() {
    archived_.server().sql("create table t as select generate_series(1, 1000) n");
    const Json backup = archived_.holdfast().backup();
    needed_ = archived_.server().sql("select pg_walfile_name('" +
                                     backup.at("start_lsn").get<std::string>() + "')");
    archived_.archive();
  }
  // Exit 1 in each of these modes, and the object of the segment is named.
  void expect_found(const std::vector<std::string>& modes) {
    for (const std::string& mode : modes) {
      std::vector<std::string> words{"verify", "latest"};
      if (!mode.empty()) words.push_back(mode);
      const Answer answer = archived_.holdfast().run(words);
      EXPECT_EQ(answer.outcome.exit_code, 1) << mode << answer.text();
      EXPECT_NE(answer.text().find(needed_), std::string::npos) << answer.text();
    }
  }
  void expect_good(const std::vector<std::string>& modes) {
    for (const std::string& mode : modes) {
      std::vector<std::string> words{"verify", "latest"};
      if (!mode.empty()) words.push_back(mode);
      const Answer answer = archived_.holdfast().run(words);
      EXPECT_TRUE(answer.ok()) << mode << answer.text();
    }
  }

  ArchivedCluster archived_;
  std::string needed_;
};

TEST_F(VerifyWal, ThatIsMissingIsFoundInEveryMode) {
  expect_good({"--quick", "", "--deep"});
  fs::remove(archived_.object_of(needed_));
  expect_found({"--quick", "", "--deep"});
}

TEST_F(VerifyWal, ThatIsDamagedIsFound) {
  const fs::path object = archived_.object_of(needed_);
  std::string bytes = read_text(object);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  fs::permissions(object, fs::perms::owner_all);
  write_text(object, bytes);
  give_to_server_user(object);
  expect_good({"--quick"});  // which looks at no content
  expect_found({"", "--deep"});
}

TEST_F(VerifyWal, BehindTheBackupIsNoPartOfIt) {
  const std::string last = archived_.server().sql("select last_archived_wal from pg_stat_archiver");
  ASSERT_NE(last, needed_);
  fs::remove(archived_.object_of(last));
  expect_good({"", "--deep"});
}

}  // namespace
}  // namespace holdfast::test
