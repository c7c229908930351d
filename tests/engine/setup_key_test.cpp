// `key` at the command line: exit codes, and that a backup outlives a change of keys.
#include <filesystem>

#include <gtest/gtest.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class SetupKey : public testing::Test {
 protected:
  SetupKey() { program_.init(); }

  std::string private_file(const std::string& name, const std::string& text) {
    const fs::path path = program_.folder() / name;
    write_text(path, text);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    give_to_server_user(path);
    return path;
  }
  // With a configuration that opens the repository with a passphrase instead of the key file.
  Answer run_with_passphrase(const std::string& path, const std::vector<std::string>& arguments) {
    program_.settings().encryption = Encryption::kNone;
    Answer answer =
        program_.run(arguments, {{"HOLDFAST_REPOSITORIES_FIRST_ENCRYPTION_PASSPHRASE_FILE", path}});
    program_.settings().encryption = Encryption::kKeyFile;
    return answer;
  }

  HoldfastProgram program_{small_cluster(), {.encryption = Encryption::kKeyFile}};
};

TEST_F(SetupKey, ABackupOutlivesTheChangeFromAKeyFileToAPassphrase) {
  const std::string backup = program_.backup().at("id");
  const std::string words = private_file("words", "correct horse battery staple\n");
  const std::string first = program_.must({"key", "list"}).at("slots").at(0).at("id");
  const Json added =
      program_.must({"key", "add", "--passphrase-file", words, "--label", "in the safe"});
  EXPECT_EQ(added.at("slot").at("label"), "in the safe");
  EXPECT_EQ(added.at("slots").size(), 2U);

  // The key that is configured cannot be removed with itself.
  EXPECT_EQ(program_.run({"key", "remove", first, "--yes"}).outcome.exit_code, 3);
  EXPECT_EQ(run_with_passphrase(words, {"key", "remove", first}).outcome.exit_code, 3);
  const Answer planned = run_with_passphrase(words, {"key", "remove", first, "--dry-run"});
  ASSERT_TRUE(planned.ok()) << planned.text();
  EXPECT_EQ(planned.result().at("removed"), false);
  EXPECT_EQ(program_.must({"key", "list"}).at("slots").size(), 2U);  // nothing happened so far
  const Answer removed = run_with_passphrase(words, {"key", "remove", first, "--yes"});
  ASSERT_TRUE(removed.ok()) << removed.text();
  EXPECT_EQ(removed.result().at("removed"), true);

  EXPECT_EQ(program_.run({"list"}).outcome.exit_code, 2);
  const Json listed = run_with_passphrase(words, {"list"}).result().at("backups");
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("id"), backup);
  const fs::path target = program_.new_path();
  const Answer restored = run_with_passphrase(words, {"restore", "--to", target.string()});
  EXPECT_TRUE(restored.ok()) << restored.text();
  EXPECT_TRUE(fs::exists(target / "global/pg_control"));
}

TEST_F(SetupKey, WrongKeysAndOpenFilesExitWith2) {
  const std::string words = private_file("words", "correct horse");
  program_.must({"key", "add", "--passphrase-file", words});
  const std::string wrong = private_file("wrong", "correct house");
  const Answer answer = run_with_passphrase(wrong, {"key", "list"});
  EXPECT_TRUE(run_with_passphrase(words, {"key", "list"}).ok());
  EXPECT_EQ(answer.outcome.exit_code, 2);
  EXPECT_EQ(answer.kind(), "wrong_key");
  EXPECT_EQ(answer.text().find("correct house"), std::string::npos);
  fs::permissions(program_.key_file(), fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(program_.run({"key", "list"}).outcome.exit_code, 2);
}

TEST_F(SetupKey, TheLastSlotStays) {
  const std::string only = program_.must({"key", "list"}).at("slots").at(0).at("id");
  const Answer answer = program_.run({"key", "remove", only, "--yes"});
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_NE(answer.error().find("last"), std::string::npos);
  EXPECT_TRUE(program_.run({"list"}).ok());
}

TEST_F(SetupKey, NewFileMakesAKeyThatOpensWhatItIsAddedTo) {
  const std::string path = program_.new_path("key").string();
  program_.must({"key", "new-file", path});
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(program_.run({"key", "new-file", path}).outcome.exit_code, 3);
  program_.must({"key", "add", "--key-file", path});
  const Json slots =
      program_.must({"key", "list"}, {{"HOLDFAST_REPOSITORIES_FIRST_ENCRYPTION_KEY_FILE", path}})
          .at("slots");
  ASSERT_EQ(slots.size(), 2U);
  EXPECT_EQ(slots[0].at("configured"), false);
  EXPECT_EQ(slots[1].at("configured"), true);
}

TEST_F(SetupKey, AddNeedsExactlyOneFile) {
  EXPECT_EQ(program_.run({"key", "add"}).outcome.exit_code, 2);
  EXPECT_EQ(
      program_.run({"key", "add", "--key-file", "/a", "--passphrase-file", "/b"}).outcome.exit_code,
      2);
  EXPECT_EQ(program_.run({"key", "remove", "00000000", "--yes"}).outcome.exit_code, 1);
}

}  // namespace
}  // namespace holdfast::test
