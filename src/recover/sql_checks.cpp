#include "recover/sql_checks.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "core/counted.h"
#include "postgres/connection.h"
#include "postgres/connection_string.h"

namespace holdfast {
namespace {

using Relation = Expectation::Relation;
using Verdict = CheckResult::Verdict;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kAnswerShownMax = 200;
constexpr std::string_view kLive = "live";

struct Sign {
  std::string_view text;
  Relation relation;
};
constexpr Sign kSigns[] = {
    {"!=", Relation::kNotEqual}, {"<=", Relation::kLessOrEqual}, {">=", Relation::kGreaterOrEqual},
    {"=", Relation::kEqual},     {"<", Relation::kLess},         {">", Relation::kGreater}};

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\n") - from + 1);
}

std::optional<long double> number_of(std::string_view text) {
  text = trimmed(text);
  long double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

bool has_order(Relation relation) {
  return relation != Relation::kEqual && relation != Relation::kNotEqual;
}

// "within 5% of live"
std::optional<Expectation> parse_nearness(std::string_view text) {
  constexpr std::string_view kBegin = "within ";
  constexpr std::string_view kEnd = "% of live";
  if (!text.starts_with(kBegin) || !text.ends_with(kEnd)) return std::nullopt;
  text = text.substr(0, text.size() - kEnd.size());
  if (text.size() <= kBegin.size()) return std::nullopt;
  const auto percent = number_of(text.substr(kBegin.size()));
  if (!percent || *percent < 0) return std::nullopt;
  return Expectation{.relation = Relation::kRange, .live = true, .part = *percent / 100};
}

// "10 to 20"; nullopt also for a text that only looks a little like it.
std::optional<Expectation> parse_range(std::string_view text) {
  constexpr std::string_view kTo = " to ";
  const std::size_t at = text.find(kTo);
  if (at == std::string_view::npos) return std::nullopt;
  const auto low = number_of(text.substr(0, at));
  const auto high = number_of(text.substr(at + kTo.size()));
  if (!low || !high || *low > *high) return std::nullopt;
  return Expectation{.relation = Relation::kRange, .low = *low, .high = *high};
}

std::optional<Expectation> parse_comparison(Relation relation, std::string_view side) {
  if (side.empty()) return std::nullopt;
  Expectation expectation{.relation = relation, .live = side == kLive};
  if (expectation.live) return expectation;
  expectation.text = side;
  if (!has_order(relation)) return expectation;
  const auto limit = number_of(side);
  if (!limit) return std::nullopt;
  expectation.low = expectation.high = *limit;
  return expectation;
}

bool is_equal(std::string_view left, std::string_view right) {
  if (left == right) return true;
  const auto left_number = number_of(left), right_number = number_of(right);
  return left_number && right_number && *left_number == *right_number;
}

bool holds(const Expectation& expectation, long double value) {
  switch (expectation.relation) {
    case Relation::kLess:
      return value < expectation.low;
    case Relation::kLessOrEqual:
      return value <= expectation.low;
    case Relation::kGreater:
      return value > expectation.low;
    case Relation::kGreaterOrEqual:
      return value >= expectation.low;
    case Relation::kRange:
      return value >= expectation.low && value <= expectation.high;
    case Relation::kEqual:
    case Relation::kNotEqual:
      break;
  }
  return false;
}

// The limits of an order or a range that names the source's answer. False: that is no number.
bool take_limits(Expectation& expectation, const std::string& live) {
  const auto value = number_of(live);
  if (!value) return false;
  const long double slack = std::fabs(*value) * expectation.part.value_or(0);
  expectation.low = *value - slack;
  expectation.high = *value + slack;
  return true;
}

std::string shown(std::string text) {
  if (text.size() > kAnswerShownMax) text = text.substr(0, kAnswerShownMax) + "…";
  return text;
}

struct Answer {
  std::string value;
  std::string failure;  // why there is no value; empty: there is one
};

Answer ask(const std::string& connection, const std::string& sql, const std::stop_token& stop) {
  try {
    Connection session(connection, stop);
    session.query("set default_transaction_read_only = on", {});
    session.query(fmt::format("set statement_timeout = '{}s'",
                              std::chrono::seconds(kQuestionPatience).count()),
                  {});
    const auto rows = session.query(sql, {});
    if (rows.size() != 1 || rows.front().size() != 1) {
      return {.failure =
                  fmt::format("the answer is {} of {}, not one value", counted(rows.size(), "row"),
                              counted(rows.empty() ? 0 : rows.front().size(), "column"))};
    }
    if (!rows.front().front()) return {.failure = "the answer is NULL"};
    return {.value = *rows.front().front()};
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    return {.failure = error.message()};
  }
}

void answer_check(CheckResult& result, const SqlCheck& check, const QuestionedServers& servers,
                  const std::stop_token& stop) {
  const Answer answer = ask(servers.copy(check.database), check.sql, stop);
  if (!answer.failure.empty()) {
    result.verdict = Verdict::kFailed;
    result.detail = answer.failure;
    return;
  }
  std::optional<std::string> live;
  if (check.expectation.live) {
    const Answer other =
        servers.live.empty()
            ? Answer{.failure = "there is none to ask"}
            : ask(connection_to_database(servers.live, check.database), check.sql, stop);
    if (!other.failure.empty()) {
      result.verdict = Verdict::kSkipped;
      result.detail = fmt::format("{}, but the source's server does not say what is right: {}",
                                  shown(answer.value), other.failure);
      return;
    }
    live = other.value;
  }
  const Judgement judgement = judge(check.expectation, answer.value, live);
  if (!judgement.right) result.verdict = Verdict::kFailed;
  result.detail = judgement.right
                      ? shown(answer.value)
                      : fmt::format("{}, expected {}{}", shown(answer.value), check.expect,
                                    judgement.why.empty() ? "" : ": " + judgement.why);
}

}  // namespace

std::optional<Expectation> parse_expectation(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  for (const Sign& sign : kSigns) {
    if (!text.starts_with(sign.text)) continue;
    return parse_comparison(sign.relation, trimmed(text.substr(sign.text.size())));
  }
  if (text.starts_with("within ")) return parse_nearness(text);
  if (auto range = parse_range(text)) return range;
  return parse_comparison(Relation::kEqual, text);
}

Judgement judge(const Expectation& expectation, const std::string& answer,
                const std::optional<std::string>& live) {
  Judgement judgement;
  if (live) judgement.why = fmt::format("the source's server says {}", shown(*live));
  if (!has_order(expectation.relation)) {
    const bool equal = is_equal(trimmed(answer), live ? trimmed(*live) : expectation.text);
    judgement.right = equal == (expectation.relation == Relation::kEqual);
    return judgement;
  }
  Expectation resolved = expectation;
  const auto value = number_of(answer);
  if (!value || (live && !take_limits(resolved, *live))) {
    judgement.why = "that is no number";
    return judgement;
  }
  judgement.right = holds(resolved, *value);
  return judgement;
}

std::vector<CheckResult> run_sql_checks(const std::vector<SqlCheck>& checks,
                                        const QuestionedServers& servers,
                                        const std::stop_token& stop) {
  std::vector<CheckResult> results;
  for (const SqlCheck& check : checks) {
    const auto began = SteadyClock::now();
    CheckResult result{.name = check.name, .about = CheckResult::About::kContent};
    answer_check(result, check, servers, stop);
    result.duration_seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
    results.push_back(std::move(result));
  }
  return results;
}

bool lacks_right(const std::string& detail) {
  return detail.find("[SQLSTATE 42501]") != std::string::npos;
}

std::vector<std::string> missing_rights(const std::vector<SqlCheck>& checks,
                                        const QuestionedServers& servers, const std::string& role,
                                        const std::stop_token& stop) {
  std::vector<std::string> missing;
  for (const SqlCheck& check : checks) {
    try {
      Connection session(servers.copy(check.database), stop);
      if (session.query("select from pg_roles where rolname = $1", {role}).empty()) {
        return {fmt::format("there is no role '{}' in the copy", role)};
      }
      session.query("select set_config('role', $1, false)", {role});
      session.query("explain " + check.sql, {});
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      if (!lacks_right(error.message())) continue;  // of what else is wrong the question tells
      missing.push_back(fmt::format("'{}': {}", check.name, error.message()));
    }
  }
  return missing;
}

}  // namespace holdfast
