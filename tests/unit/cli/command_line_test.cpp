#include <gmock/gmock.h>

#include "program_testing.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

TEST_F(ProgramTest, EveryCommandHasHelpWithExamples) {
  const auto commands = json({"help"}).at("result").at("commands");
  ASSERT_GE(commands.size(), 4U);
  for (const auto& command : commands) {
    const std::string name = command.at("name");
    std::vector<std::string> words{"help"};
    for (std::size_t from = 0, to = 0; from <= name.size(); from = to + 1) {
      to = std::min(name.find(' ', from), name.size());
      words.push_back(name.substr(from, to - from));
    }
    const auto help = json(words).at("result");
    EXPECT_FALSE(help.at("summary").get<std::string>().empty()) << name;
    ASSERT_GE(help.at("examples").size(), 1U) << name;
    for (const auto& example : help["examples"]) {
      EXPECT_THAT(example.at("command").get<std::string>(), HasSubstr("holdfast ")) << name;
      EXPECT_FALSE(example.at("what").get<std::string>().empty()) << name;
    }
    for (const auto& option : help.at("options")) {
      EXPECT_FALSE(option.at("help").get<std::string>().empty()) << name << option;
    }
    words.erase(words.begin());
    words.push_back("--help");  // the same text both ways, whatever arguments the command needs
    EXPECT_EQ(json(words).at("result"), help) << name;
  }
}

TEST_F(ProgramTest, HelpIsTextWithExamples) {
  for (const auto& words : {std::vector<std::string>{"help"}, {"--help"}, {"-h"}}) {
    const test::Outcome outcome = holdfast(words);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Examples\n"));
    EXPECT_THAT(outcome.out, HasSubstr("config check"));
  }
  EXPECT_THAT(holdfast({"config", "check", "-h"}).out, HasSubstr("Usage: holdfast config check"));
}

struct WrongLine {
  std::vector<std::string> words;
  const char* message;
  const char* hint;
};

TEST_F(ProgramTest, WrongCommandLinesExitWith2AndAHint) {
  const WrongLine lines[] = {
      {{}, "no command", "holdfast help"},
      {{"verison"}, "unknown command 'verison'", "Did you mean 'version'?"},
      {{"conifg", "show"}, "unknown command 'conifg'", "Did you mean 'config'?"},
      {{"config", "shwo"}, "unknown command 'config shwo'", "Did you mean 'config show'?"},
      {{"config"}, "needs a second word", "show, check"},
      {{"version", "--ouptut", "json"}, "unknown option --ouptut", "Did you mean --output?"},
      {{"--clutser=x", "version"}, "unknown option --clutser", "Did you mean --cluster?"},
      {{"version", "more"}, "'more' is one argument too many", "holdfast help version"},
      {{"help", "version", "more"}, "'more' is one word too many", "holdfast help version"},
      {{"version", "--config"}, "--config needs a value (FILE)", ""},
      {{"--config", "--output", "json", "version"}, "--config needs a value (FILE)", ""},
      {{"version", "--output", "yaml"}, "--output takes text|json, not 'yaml'", ""},
      {{"version", "--repo", "a", "--repo", "b"}, "--repo is given twice", ""},
      {{"-q", "version", "-v"}, "contradict", ""},
      {{"serve"}, "'serve' is not in this build yet", ""},
      {{"help", "serve"}, "'serve' is not in this build yet", ""},
  };
  for (const WrongLine& line : lines) {
    SCOPED_TRACE(::testing::PrintToString(line.words));
    std::vector<std::string> words = line.words;
    const test::Outcome outcome = holdfast(words);
    EXPECT_EQ(outcome.exit_code, 2);
    if (outcome.out.empty()) {
      EXPECT_THAT(outcome.err, HasSubstr(std::string("holdfast: ")));
      EXPECT_THAT(outcome.err, HasSubstr(line.message));
      EXPECT_THAT(outcome.err, HasSubstr(line.hint));
    } else {  // --output json was among the words
      const auto document = nlohmann::json::parse(outcome.out);
      EXPECT_EQ(document["error"]["kind"], "usage");
      EXPECT_THAT(document["error"]["message"], HasSubstr(line.message));
    }
  }
}

TEST_F(ProgramTest, GlobalOptionsStandBeforeBetweenAndAfter) {
  write_config();
  const std::string wanted = holdfast({"config", "show", "--output", "json"}).out;
  EXPECT_THAT(wanted, HasSubstr("\"ok\": true"));
  EXPECT_EQ(holdfast({"--output", "json", "config", "show"}).out, wanted);
  EXPECT_EQ(holdfast({"config", "--output=json", "show"}).out, wanted);
  EXPECT_EQ(holdfast({"-v", "config", "show", "-v", "--output", "json"}).out, wanted);
}

TEST_F(ProgramTest, ArchiveGetIsNeverTakenForAnAbsentFile) {
  const std::vector<std::vector<std::string>> lines{
      {"archive-get"},
      {"archive-get", "000000010000000000000001", "pg_wal/x"},
      {"archive-get", "--bogus"},
      {"--bogus", "archive-get", "a", "b"},
      {"--config", "/missing", "archive-get", "a", "b"},
      {"--repo", "version", "archive-get", "a", "b"},
      {"--version", "archive-get"},
      {"archive-get", "--output", "json"},
      {"--log-level", "loud", "archive-get"}};
  for (const auto& words : lines) {
    EXPECT_EQ(holdfast(words).exit_code, 255) << ::testing::PrintToString(words);
  }
  EXPECT_EQ(json({"archive-get"})["error"]["exit"], 255);
}

TEST_F(ProgramTest, ArchivePushThatIsMissingDoesNotLookLikeACrash) {
  EXPECT_EQ(holdfast({"archive-push", "pg_wal/x"}).exit_code, 2);
}

}  // namespace
}  // namespace holdfast
