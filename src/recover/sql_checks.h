#pragma once
// Questions of one's own to a recovered copy: a statement with one value as its answer, and which
// answer is right.
//
// An expectation is one of:
//   42, = 42, ready          this answer; numbers are compared as numbers, all else as text
//   != 0, < 5, <= 5, > 0, >= 1
//   10 to 20                 a number in this range, both ends included
//   live, = live, <= live …  compared with what the source's server answers to the same question
//   within 5% of live        a number that differs from it by at most that part of it
// A copy lags behind its source, so `live` alone is for what does not change.
//
// The session may only read, on the copy as on the source, and a statement is ended after
//   kQuestionPatience. An answer that is no single value, is NULL, or is an error fails the check.
//   Where the source was not asked successfully the check is skipped, and says why.
// Errors: kCancelled. All else is a result.

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "recover/database_checks.h"

namespace holdfast {

inline constexpr std::chrono::minutes kQuestionPatience{10};
inline constexpr std::string_view kExpectationForms =
    "a value, '> 0' (also =, !=, <, <=, >=), '10 to 20', 'live', '<= live' or 'within 5% of live'";

struct Expectation {
  enum class Relation { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kRange };
  Relation relation = Relation::kEqual;
  bool live = false;                // the other side is the source's answer
  std::string text;                 // of kEqual and kNotEqual
  long double low = 0, high = 0;    // of kRange; of the orders: both the limit
  std::optional<long double> part;  // of kRange with `live`: 0.05 for 5%
};
// nullopt: none of the forms above.
std::optional<Expectation> parse_expectation(std::string_view text);

// Whether `answer` is right; `live` is the source's answer where the expectation names it. With
// why not, for people.
struct Judgement {
  bool right = false;
  std::string why;
};
Judgement judge(const Expectation& expectation, const std::string& answer,
                const std::optional<std::string>& live);

struct SqlCheck {
  std::string name, sql;
  std::string expect;    // for people
  std::string database;  // of the copy
  Expectation expectation;
};
struct QuestionedServers {
  std::function<std::string(const std::string& database)> copy;  // connection strings
  std::string live;  // of the source; empty: there is none to ask
};
std::vector<CheckResult> run_sql_checks(const std::vector<SqlCheck>& checks,
                                        const QuestionedServers& servers,
                                        const std::stop_token& stop);

// Why `role` may not ask some of these questions on the copy, which is asked as a superuser
// otherwise; empty: it may ask all. They are planned and not answered, so that what a function
// does inside is not seen.
std::vector<std::string> missing_rights(const std::vector<SqlCheck>& checks,
                                        const QuestionedServers& servers, const std::string& role,
                                        const std::stop_token& stop);
// Whether this detail of a question that failed says that the role lacks a right.
bool lacks_right(const std::string& detail);

}  // namespace holdfast
