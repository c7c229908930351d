#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "program_testing.h"

namespace holdfast {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> keys_of(const nlohmann::json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST_F(ProgramTest, ASuccessHasTheShapeOfTheContract) {
  const auto document = json({"version"});
  EXPECT_EQ(keys_of(document),
            (std::vector<std::string>{"command", "ok", "result", "schema", "warnings"}));
  EXPECT_EQ(document["schema"], 1);
  EXPECT_EQ(document["command"], "version");
  EXPECT_TRUE(document["warnings"].is_array());
  EXPECT_EQ(keys_of(document["result"]), std::vector<std::string>{"version"});
}

TEST_F(ProgramTest, AFailureHasTheShapeOfTheContract) {
  test::write_text(folder_ / "a.yaml", "cluster: demo\nretentoin: 1\n");
  const auto document = json({"config", "show"});
  EXPECT_EQ(keys_of(document),
            (std::vector<std::string>{"command", "error", "ok", "schema", "warnings"}));
  EXPECT_EQ(document["command"], "config show");
  const auto& error = document["error"];
  EXPECT_EQ(keys_of(error),
            (std::vector<std::string>{"exit", "hint", "kind", "message", "object"}));
  EXPECT_EQ(error["kind"], "configuration");
  EXPECT_EQ(error["exit"], 2);
  EXPECT_THAT(error["object"].get<std::string>(), EndsWith("a.yaml:2"));
}

TEST_F(ProgramTest, ErrorsOfParsingAreJsonToo) {
  EXPECT_EQ(json({"version", "--bogus"})["error"]["kind"], "usage");
  EXPECT_EQ(json({"verison"})["error"]["hint"], "Did you mean 'version'?");
}

TEST_F(ProgramTest, TextErrorsAreThreeLines) {
  test::write_text(folder_ / "a.yaml", "cluster: demo\nrepostories: 1\n");
  const test::Outcome outcome = holdfast({"config", "check"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "holdfast: unknown key 'repostories' in the top of the file\n  object: " +
                             (folder_ / "a.yaml").string() +
                             ":2\n  hint: Did you mean 'repositories'?\n");
}

TEST_F(ProgramTest, ErrorsFollowTheLogFormat) {
  const test::Outcome outcome = holdfast({"config", "check", "--log-format", "json"});
  const auto line = nlohmann::json::parse(outcome.err);
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["kind"], "configuration");
}

TEST_F(ProgramTest, ConfigShowNamesSourcesAndHidesPasswords) {
  write_config("    encryption: {key_file: /k}\n");
  test::Command show = command({"config", "show"});
  show.environment["HOLDFAST_POSTGRES_CONNECTION"] = "host=a password=geheim";
  const std::string text = test::run_or_throw(show);
  EXPECT_THAT(text, Not(HasSubstr("geheim")));
  EXPECT_THAT(text,
              ContainsRegex("host=a password=[*]{3} +environment HOLDFAST_POSTGRES_CONNECTION"));
  show.arguments.insert(show.arguments.end(), {"--output", "json"});
  const auto values = nlohmann::json::parse(test::run_or_throw(show))["result"]["values"];
  bool found = false;
  for (const auto& value : values) {
    EXPECT_EQ(keys_of(value), (std::vector<std::string>{"key", "source", "value"}));
    found = found || (value["key"] == "repositories.hot.encryption.key_file" &&
                      value["value"] == "/k" && value["source"] == "file");
  }
  EXPECT_TRUE(found);
}

TEST_F(ProgramTest, ConfigCheckPrintsFindingsAndError) {
  write_config("    encryption: {key_file: /missing/key}\n");
  const auto document = json({"config", "check"});
  EXPECT_EQ(document["error"]["kind"], "configuration");
  ASSERT_EQ(document["result"]["findings"].size(), 1U);
  const auto& finding = document["result"]["findings"][0];
  EXPECT_EQ(keys_of(finding), (std::vector<std::string>{"hint", "key", "message", "severity"}));
  EXPECT_EQ(finding["severity"], "problem");
  const test::Outcome text = holdfast({"config", "check"});
  EXPECT_THAT(text.out, HasSubstr("repositories.hot.encryption.key_file"));
  EXPECT_THAT(text.err, HasSubstr("1 problem"));
}

TEST_F(ProgramTest, ConfigCheckAcceptsAGoodConfiguration) {
  test::write_text(folder_ / "key", "k");
  ASSERT_EQ(::chmod((folder_ / "key").c_str(), 0600), 0);
  write_config("    encryption: {key_file: " + (folder_ / "key").string() + "}\n");
  const auto document = json({"config", "check"});
  EXPECT_EQ(keys_of(document["result"]), (std::vector<std::string>{"cluster", "file", "findings"}));
  EXPECT_TRUE(document["result"]["findings"].empty());
}

TEST_F(ProgramTest, AFullDiskUnderStdoutIsAnErrorOfThisMachine) {
  const test::Outcome outcome =
      test::run({.arguments = {"sh", "-c", "exec \"$0\" version > /dev/full", test::program_path()},
                 .timeout = std::chrono::seconds(30)});
  EXPECT_EQ(outcome.exit_code, 6);
  EXPECT_THAT(outcome.err, HasSubstr("cannot write standard output"));
}

TEST_F(ProgramTest, AReaderThatHasGoneEndsTheProgramBySigpipe) {
  // The FIFO's reader is opened and gone before the program writes.
  const std::string fifo = (folder_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const test::Outcome outcome = test::run(
      {.arguments = {"bash", "-c", "exec 3<>\"$1\"; exec 4>\"$1\"; exec 3<&-; exec \"$0\" help >&4",
                     test::program_path(), fifo},
       .timeout = std::chrono::seconds(30)});
  EXPECT_EQ(outcome.signal, SIGPIPE);
}

}  // namespace
}  // namespace holdfast
