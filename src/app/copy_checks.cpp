#include "app/copy_checks.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/known.h"
#include "core/redact.h"
#include "postgres/connection_string.h"

namespace holdfast {
namespace {

using Verdict = CheckResult::Verdict;

std::vector<SqlCheck> questions_of(const Config& config) {
  std::vector<SqlCheck> questions;
  for (const CheckConfig& check : config.checks) {
    questions.push_back({.name = check.name,
                         .sql = check.sql,
                         .expect = check.expect,
                         .database = check.database.empty()
                                         ? database_of_connection(config.postgres.connection)
                                         : check.database,
                         .expectation = known(parse_expectation(check.expect))});
  }
  return questions;
}

// Those that the cluster itself is asked.
std::vector<SqlCheck> questions_to_cluster(const Config& config) {
  std::vector<SqlCheck> questions = questions_of(config);
  std::erase_if(questions, [](const SqlCheck& check) { return check.expectation.live; });
  return questions;
}

constexpr std::string_view kRightsToAsk = "rights to ask";

// Passed, and would have seen data that is wrong: not that the server opened, that files are there,
// how long it took, and who may ask.
bool has_looked_inside(const CheckResult& check) {
  static constexpr std::array<std::string_view, 4> kOutside{"recovery", "questions", "files",
                                                            kRightsToAsk};
  return check.verdict == Verdict::kPassed && check.about != CheckResult::About::kObjective &&
         std::ranges::find(kOutside, check.name) == kOutside.end();
}

CheckResult check_from(const nlohmann::ordered_json& json) {
  CheckResult check{.name = json.at("name"),
                    .detail = json.at("detail"),
                    .duration_seconds = json.at("duration_seconds")};
  using About = CheckResult::About;
  const std::string verdict = json.at("verdict"), about = json.at("about");
  check.verdict = Verdict::kFailed;
  for (const Verdict one : {Verdict::kPassed, Verdict::kSkipped}) {
    if (verdict == to_string(one)) check.verdict = one;
  }
  for (const About one : {About::kContent, About::kObjective}) {
    if (about == to_string(one)) check.about = one;
  }
  return check;
}

}  // namespace

std::vector<CheckResult> check_running_copy(const Config& config, const CheckedServer& server,
                                            AskSource source, const std::stop_token& stop) {
  std::vector<CheckResult> results = check_databases(server, stop);
  const QuestionedServers servers{
      .copy = server.connection,
      .live = source == AskSource::kNever ? "" : config.postgres.connection};
  for (CheckResult& result : run_sql_checks(questions_of(config), servers, stop)) {
    results.push_back(std::move(result));
  }
  return results;
}

std::vector<CheckResult> check_production(const Config& config, const std::stop_token& stop) {
  const auto connection = [&](const std::string& database) {
    return connection_to_database(config.postgres.connection, database);
  };
  return run_sql_checks(questions_to_cluster(config), {.copy = connection, .live = ""}, stop);
}

std::optional<CheckResult> check_rights_to_ask(const Config& config, const CheckedServer& server,
                                               const std::stop_token& stop) {
  const std::vector<SqlCheck> questions = questions_to_cluster(config);
  if (questions.empty()) return std::nullopt;
  const std::string role = user_of_connection(config.postgres.connection);
  const auto missing =
      missing_rights(questions, {.copy = server.connection, .live = ""}, role, stop);
  CheckResult result{.name = std::string(kRightsToAsk), .about = CheckResult::About::kContent};
  if (missing.empty()) {
    result.detail = fmt::format("'{}' may ask what a promotion is validated by", role);
    return result;
  }
  result.verdict = Verdict::kSkipped;
  result.detail = fmt::format("validation of a promotion will stop, for '{}' may not ask {}. {}",
                              role, fmt::join(missing, "; "), rights_remedy(config));
  return result;
}

std::string rights_remedy(const Config& config) {
  const std::string role = user_of_connection(config.postgres.connection);
  return fmt::format(
      "On the promoted server, as a superuser: GRANT pg_read_all_data TO \"{}\" (PostgreSQL 13: "
      "GRANT SELECT ON what the question reads); then promote again.",
      role);
}

bool all_passed(const std::vector<CheckResult>& checks) {
  return std::ranges::none_of(
      checks, [](const CheckResult& check) { return check.verdict == Verdict::kFailed; });
}

bool backup_passed(const std::vector<CheckResult>& checks) {
  return std::ranges::none_of(checks, [](const CheckResult& check) {
    return check.verdict == Verdict::kFailed && check.about == CheckResult::About::kBackup;
  });
}

std::string_view to_string(CopyVerdict verdict) {
  switch (verdict) {
    case CopyVerdict::kPassed:
      return "passed";
    case CopyVerdict::kFailed:
      return "failed";
    case CopyVerdict::kNotChecked:
      break;
  }
  return "not checked";
}

bool tell_of_backup(const std::vector<CheckResult>& checks) {
  return !backup_passed(checks) || std::ranges::any_of(checks, has_looked_inside);
}

CopyVerdict verdict_of(const std::vector<CheckResult>& checks) {
  const bool wrong = std::ranges::any_of(checks, [](const CheckResult& check) {
    return check.verdict == Verdict::kFailed && check.about != CheckResult::About::kObjective;
  });
  if (wrong) return CopyVerdict::kFailed;
  if (!tell_of_backup(checks)) return CopyVerdict::kNotChecked;
  return all_passed(checks) ? CopyVerdict::kPassed : CopyVerdict::kFailed;
}

std::string not_looked_at(const std::vector<CheckResult>& checks) {
  std::vector<std::string> skipped;
  for (const CheckResult& check : checks) {
    if (check.verdict != Verdict::kSkipped) continue;
    skipped.push_back(fmt::format("{} ({})", check.name, check.detail));
  }
  return fmt::format("{}", fmt::join(skipped, ", "));
}

std::string let_recovery_be_checked(const std::string& recovery) {
  return fmt::format(
      "Give the configuration a question of your own (checks), then again: holdfast recover check "
      "{}. (amcheck cannot be added to a copy that can only be read: it has to be in the source's "
      "databases before the backup.)",
      recovery);
}

nlohmann::ordered_json check_results_json(const std::vector<CheckResult>& checks) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CheckResult& check : checks) {
    json.push_back({{"name", check.name},
                    {"about", to_string(check.about)},
                    {"verdict", to_string(check.verdict)},
                    {"detail", redact_secrets(check.detail)},
                    {"duration_seconds", check.duration_seconds}});
  }
  return json;
}

std::vector<CheckResult> check_results_from(const nlohmann::ordered_json& json) {
  std::vector<CheckResult> checks;
  for (const nlohmann::ordered_json& each : json) checks.push_back(check_from(each));
  return checks;
}

}  // namespace holdfast
