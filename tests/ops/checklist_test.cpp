// `checklist` on a real server: lines that nothing was done for, and what answers them.
#include <gmock/gmock.h>

#include "ops/suite.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string answer_of(const Answer& answer, const std::string& code) {
  for (const Json& line : answer.result().at("lines")) {
    if (line.at("code") == code) return line.at("answer");
  }
  return "no such line";
}

TEST(Checklist, IsAnsweredFromWhatWasDone) {
  Observed observed(
      {.program = {.encryption = Encryption::kKeyFile,
                   .lines = {"objectives: {recovery_time: 1h, recovery_point: 1h}"}}});
  HoldfastProgram& holdfast = observed.holdfast();
  const Answer before = observed.run({"checklist"});
  EXPECT_EQ(before.outcome.exit_code, 1);
  for (const char* const line : {"automated_backups", "manual_backup", "full_restore",
                                 "point_in_time", "recovery_time", "nothing_wrong"}) {
    EXPECT_EQ(answer_of(before, line), "no") << line;
  }
  EXPECT_EQ(answer_of(before, "key_elsewhere"), "not known");

  holdfast.backup({"--reason", "before a deploy"});
  holdfast.must({"verify"});
  observed.server().sql("select pg_create_restore_point('deploy')");
  observed.archived().archive();
  holdfast.must(
      {"drill", "--target-name", "deploy"},
      {{"HOLDFAST_POSTGRES_BIN_DIRECTORY", observed.server().programs().bin_directory.string()}});
  holdfast.must({"checklist", "--attest", "key_elsewhere", "--by", "A. Sample", "--note", "safe"});
  EXPECT_EQ(observed.run({"checklist", "--attest", "three_days", "--by", "A."}).outcome.exit_code,
            2);
  const Answer after = observed.run({"checklist"});
  EXPECT_EQ(after.outcome.exit_code, 1) << "three days have not passed";
  for (const char* const line :
       {"automated_backups", "manual_backup", "full_restore", "point_in_time", "recovery_time",
        "key_elsewhere", "nothing_wrong"}) {
    EXPECT_EQ(answer_of(after, line), "yes") << line << after.text();
  }
  EXPECT_EQ(answer_of(after, "three_days"), "no");
  const Outcome page = observed.plain({"checklist", "--format", "markdown"});
  EXPECT_THAT(page.out, StartsWith("# Readiness of demo\n"));
  EXPECT_THAT(page.out, HasSubstr("- [x] A whole restore was tested"));
}

}  // namespace
}  // namespace holdfast::test
