// What a check says of databases that it looked into, and of those that it could not.
#include "recover/check_tally.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Verdict = CheckResult::Verdict;

TEST(CheckTally, PassesWithoutTheDatabasesThatWereLeftOutAndNamesThem) {
  CheckTally tally;
  tally.left_out("postgres", "no amcheck");
  tally.looked_at(1);
  tally.looked_at(1);
  tally.left_out("template1", "no amcheck");
  const CheckResult result = tally.result("indexes", "B-trees");
  EXPECT_EQ(result.verdict, Verdict::kPassed);
  EXPECT_EQ(result.detail, "2 B-trees, without those of postgres, template1: no amcheck");
}

TEST(CheckTally, IsSkippedWhereAllWereLeftOut) {
  CheckTally tally;
  tally.left_out("postgres", "no amcheck");
  const CheckResult result = tally.result("indexes", "B-trees");
  EXPECT_EQ(result.verdict, Verdict::kSkipped);
  EXPECT_EQ(result.detail, "no amcheck");
}

TEST(CheckTally, FailsWithTheFirstOfWhatIsWrongWhateverWasLeftOut) {
  CheckTally tally;
  tally.left_out("postgres", "no amcheck");
  tally.looked_at(9);
  for (const char* what : {"a", "b", "c", "d", "e", "f"}) tally.found(what);
  const CheckResult result = tally.result("tables", "tables");
  EXPECT_EQ(result.verdict, Verdict::kFailed);
  EXPECT_EQ(result.detail, "6 of 9 tables: a; b; c; d; e");
}

TEST(CheckTally, WithNothingToLookAtPasses) {
  EXPECT_EQ(CheckTally().result("files", "relations").verdict, Verdict::kPassed);
}

}  // namespace
}  // namespace holdfast
