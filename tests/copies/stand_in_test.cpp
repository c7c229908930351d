// What an incremental backup's repository lost of an older backup's packs comes from its copy in
// another repository, which has another key, and, where it is standalone, other packs.
#include <gmock/gmock.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

enum class Form : std::uint8_t { kPlain, kStandalone };

class StandInOfACopy : public testing::TestWithParam<Form> {
 protected:
  StandInOfACopy() {
    copying_.write_rows(30000);
    full_ = holdfast().backup({"--type", "full"}).at("id");
    copying_.write_rows(500);
    const Json second = holdfast().backup({"--type", "incr"});
    EXPECT_EQ(second.at("type"), "incr");
    incremental_ = second.at("id");
    copying_.archived().archive();
    std::vector<std::string> words{"copy", incremental_, "--to", "second"};
    if (GetParam() == Form::kStandalone) words.push_back("--standalone");
    holdfast().must(words);
  }
  HoldfastProgram& holdfast() { return copying_.holdfast(); }
  void remove_packs(const std::string& repository, const std::string& backup,
                    const std::string& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(copying_.folder_of(repository))) {
      const std::string name = entry.path().string();
      const bool wanted = name.find("/backup/" + backup + "/" + folder + "/") != std::string::npos;
      if (entry.is_regular_file() && wanted) found.push_back(entry.path());
    }
    EXPECT_FALSE(found.empty()) << backup << " " << folder;
    for (const fs::path& pack : found) fs::remove(pack);
  }
  Outcome cat(const std::string& path) {
    return run({.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                             holdfast().configuration().string(), "cat",
                                             incremental_, path})});
  }
  Json expect_restored() {
    const fs::path target = holdfast().new_path("target");
    const Json result = holdfast().restore(target, {incremental_});
    PostgresCluster restored = start_recovered(target);
    EXPECT_EQ(restored.sql("select count(*) || ' ' || count(distinct t) from numbers"),
              copying_.rows() + " 30000");
    restored.stop();
    EXPECT_EQ(check_page_checksums(restored), "");
    return result.at("stood_in");
  }

  CopyingCluster copying_{{"first", false, Encryption::kKeyFile},
                          {{"second", false, Encryption::kKeyFile}}};
  std::string full_, incremental_;
};

TEST_P(StandInOfACopy, ForPacksOfTheBackupThatItBuildsOn) {
  EXPECT_TRUE(expect_restored().empty());
  remove_packs("first", full_, "pack");
  const Json stood_in = expect_restored();
  ASSERT_FALSE(stood_in.empty());
  for (const Json& each : stood_in) {
    EXPECT_EQ(each.at("repository"), "second");
    EXPECT_NE(each.at("object").get<std::string>().find(full_ + "/pack/"), std::string::npos);
  }
}

TEST_P(StandInOfACopy, ForItsManifest) {
  remove_packs("first", incremental_, "map");
  const Json stood_in = expect_restored();
  ASSERT_EQ(stood_in.size(), 1U);
  EXPECT_EQ(stood_in[0].at("repository"), "second");
}

// And the other way round: the copy's own repository is the first one here.
TEST_P(StandInOfACopy, ForTheCopy) {
  remove_packs("second", GetParam() == Form::kPlain ? full_ : incremental_, "pack");
  const Answer answer =
      holdfast().run({"--repo", "second", "restore", incremental_, "--target-immediate", "--to",
                      holdfast().new_path().string()});
  // The WAL that only the standalone copy carries is nowhere else.
  EXPECT_EQ(answer.ok(), GetParam() == Form::kPlain) << answer.text();
  if (answer.ok()) {
    EXPECT_EQ(answer.result().at("stood_in").at(0).at("repository"), "first");
  } else {
    EXPECT_EQ(answer.kind(), "damage");
  }
}

TEST_P(StandInOfACopy, ForAFileThatIsStreamed) {
  const std::string path = copying_.server().sql("select pg_relation_filepath('numbers')");
  const Outcome whole = cat(path);
  ASSERT_GT(whole.out.size(), 1000000U);
  remove_packs("first", full_, "pack");
  const Outcome helped = cat(path);
  EXPECT_EQ(helped.exit_code, 0) << helped.err;
  EXPECT_TRUE(helped.out == whole.out);
  EXPECT_THAT(helped.err, testing::HasSubstr("were taken from repository 'second' instead"));
  remove_packs("first", incremental_, "map");
  const Outcome other = cat(path);
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_TRUE(other.out == whole.out);
}

INSTANTIATE_TEST_SUITE_P(In, StandInOfACopy, testing::Values(Form::kPlain, Form::kStandalone),
                         [](const testing::TestParamInfo<Form>& form) {
                           return form.param == Form::kPlain ? "PlainCopy" : "StandaloneCopy";
                         });

}  // namespace
}  // namespace holdfast::test
