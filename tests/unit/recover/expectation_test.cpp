// Expectations: which texts are some, and which answers are right.
#include <gtest/gtest.h>

#include "postgres/connection_string.h"
#include "recover/sql_checks.h"

namespace holdfast {
namespace {

struct Case {
  const char* name;
  std::string expect, answer;
  std::optional<std::string> live;
  bool right;
};
void PrintTo(const Case& one, std::ostream* out) {
  *out << one.answer << " for " << one.expect;
}

class Expectations : public testing::TestWithParam<Case> {};

TEST_P(Expectations, JudgeTheAnswer) {
  const auto expectation = parse_expectation(GetParam().expect);
  ASSERT_TRUE(expectation);
  EXPECT_EQ(expectation->live, GetParam().live.has_value());
  EXPECT_EQ(judge(*expectation, GetParam().answer, GetParam().live).right, GetParam().right);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Expectations,
    testing::Values(
        Case{"number", "42", "42", {}, true}, Case{"other_number", "42", "43", {}, false},
        Case{"same_number_written_otherwise", "= 42", "42.00", {}, true},
        Case{"big_numbers_that_a_double_confuses",
             "9007199254740993",
             "9007199254740992",
             {},
             false},
        Case{"text", "ready", "ready", {}, true}, Case{"other_text", "ready", "Ready", {}, false},
        Case{"text_with_a_sign", "= > 5", "> 5", {}, true}, Case{"unequal", "!= 0", "1", {}, true},
        Case{"equal_after_all", "!= 0", "0.0", {}, false}, Case{"more", "> 0", "1", {}, true},
        Case{"not_more", "> 0", "0", {}, false}, Case{"at_least", ">= 0", "0", {}, true},
        Case{"less", "< 0", "-1", {}, true}, Case{"not_less", "< 0", "0", {}, false},
        Case{"at_most", "<= 0.5", "0.5", {}, true}, Case{"no_number", "> 0", "many", {}, false},
        Case{"nan", "> 0", "NaN", {}, false}, Case{"low_end", "10 to 20", "10", {}, true},
        Case{"high_end", "10 to 20", "20", {}, true}, Case{"below", "10 to 20", "9.9", {}, false},
        Case{"above", "10 to 20", "20.1", {}, false}, Case{"live", "live", "7", "7", true},
        Case{"not_live", "live", "7", "8", false}, Case{"behind_live", "<= live", "7", "8", true},
        Case{"ahead_of_live", "<= live", "9", "8", false},
        Case{"live_is_no_number", "<= live", "9", "many", false},
        Case{"near_live", "within 5% of live", "95", "100", true},
        Case{"above_live", "within 5% of live", "105", "100", true},
        Case{"far_from_live", "within 5% of live", "94", "100", false},
        Case{"near_a_negative", "within 10% of live", "-11", "-10", true}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Expectation, ThatMakesNoSenseIsNone) {
  for (const char* text : {"", "  ", ">", "> many", "<= ", "within x% of live", "within 5% of",
                           "within % of live", "within -1% of live", "> inf"}) {
    EXPECT_FALSE(parse_expectation(text)) << "'" << text << "'";
  }
}

TEST(Expectation, SaysWhatTheSourceAnswered) {
  EXPECT_NE(judge(parse_expectation("live").value(), "1", "2").why.find("says 2"),
            std::string::npos);
}

TEST(ConnectionToDatabase, KeepsAllButTheDatabase) {
  const std::string other =
      connection_to_database("postgresql://me:it's@host:5433/one?application_name=x", "the other");
  EXPECT_NE(other.find("dbname='the other'"), std::string::npos) << other;
  EXPECT_NE(other.find("user='me'"), std::string::npos) << other;
  EXPECT_NE(other.find("password='it\\'s'"), std::string::npos) << other;
  EXPECT_NE(other.find("port='5433'"), std::string::npos) << other;
  EXPECT_EQ(other.find("one"), std::string::npos) << other;
  EXPECT_EQ(database_of_connection("user=me dbname=mine"), "mine");
}

}  // namespace
}  // namespace holdfast
