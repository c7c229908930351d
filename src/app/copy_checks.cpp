#include "app/copy_checks.h"

#include <algorithm>

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
                         .expectation = parse_expectation(check.expect).value()});
  }
  return questions;
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
  std::vector<SqlCheck> questions = questions_of(config);
  std::erase_if(questions, [](const SqlCheck& check) { return check.expectation.live; });
  const auto connection = [&](const std::string& database) {
    return connection_to_database(config.postgres.connection, database);
  };
  return run_sql_checks(questions, {.copy = connection, .live = ""}, stop);
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

}  // namespace holdfast
