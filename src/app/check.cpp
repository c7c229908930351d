#include "app/check.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <unistd.h>

#include "app/check_parts.h"
#include "app/clock.h"
#include "app/init.h"
#include "app/open.h"
#include "backup/preflight.h"
#include "core/redact.h"
#include "core/text.h"
#include "system/files.h"

namespace holdfast {

void CheckFindings::fail(const std::string& name, const Error& error) {
  std::string detail = error.message();
  if (!error.object().empty() && detail.find(error.object()) == std::string::npos) {
    detail += fmt::format(" ({})", error.object());
  }
  add({name, FindingLevel::kFailed, redact_secrets(detail), redact_secrets(error.hint())});
}

namespace {

constexpr std::string_view kFileScheme = "file://";

void check_configuration(CheckFindings& findings, const LoadedConfig& loaded) {
  const auto problems = check_config(loaded);
  for (const ConfigFinding& problem : problems) {
    const bool failed = problem.severity == ConfigFinding::Severity::kProblem;
    findings.add({"configuration", failed ? FindingLevel::kFailed : FindingLevel::kWarning,
                  fmt::format("{}: {}", problem.key, problem.message), problem.hint});
  }
  if (problems.empty()) findings.ok("configuration", loaded.config.file.string());
}

void check_state_directory(CheckFindings& findings, const Config& config) {
  const std::string path = config.state_directory.string();
  prepare_state_directory(config);
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) throw_errno(errno, "use", path);
  findings.ok("state directory", path);
}

void check_registration(CheckFindings& findings, Session& session, const Repository& repository,
                        const Config& config, const std::stop_token& stop) {
  const HistoryRecord history =
      history_to_write(list_histories(repository, config.cluster, stop), config.cluster,
                       identity_of(session.server(), host_name()),
                       read_history_binding(config.postgres.data_directory));
  findings.ok("registration",
              fmt::format("cluster '{}', history {}", config.cluster, to_string(history.name)));
}

void check_clocks(CheckFindings& findings, std::optional<Session>& session,
                  const std::vector<CheckedRepository>& repositories, const std::stop_token& stop) {
  std::vector<ClockReading> readings;
  if (session) readings.push_back(read_clock(*session));
  for (const CheckedRepository& each : repositories) {
    readings.push_back(read_clock(each.repository->store(), stop));
    if (repositories.size() > 1) readings.back().whose += " " + each.config.name;
  }
  if (readings.empty()) return;
  if (const auto warning = clock_warning(readings)) {
    findings.add({"clock", FindingLevel::kFailed, *warning,
                  "Let all machines follow the same time, for example with chrony."});
    return;
  }
  std::string compared = "this machine";
  for (const ClockReading& reading : readings) compared += ", " + reading.whose;
  findings.ok("clock", fmt::format("{} agree within {}", compared,
                                   human_duration(widest_gap(readings).gap)));
}

// Two names for one place look like two copies, and are one.
void check_distinct(CheckFindings& findings, const std::vector<CheckedRepository>& repositories) {
  std::map<RepositoryId, std::string> names;
  for (const CheckedRepository& each : repositories) {
    const auto [known, fresh] =
        names.emplace(each.repository->keys().repository_id, each.config.name);
    if (fresh) continue;
    findings.add(
        {"repositories", FindingLevel::kFailed,
         fmt::format("'{}' and '{}' are the same repository", known->second, each.config.name),
         "Whatever destroys one destroys both. Give the second a place of its own."});
  }
}

// Only for a folder: nobody knows how much room a bucket has.
void check_space(CheckFindings& findings, Session& session, const RepositoryConfig& config) {
  if (!config.url.starts_with(kFileScheme)) return;
  const std::uint64_t free = free_bytes(config.url.substr(kFileScheme.size()));
  const auto rows = session.query("select sum(pg_database_size(oid))::bigint from pg_database");
  const std::uint64_t used = std::stoull(rows.at(0).at(0).value_or("0"));
  const std::string detail = fmt::format("{} free in the repository, the databases have {}",
                                         human_bytes(free), human_bytes(used));
  if (free >= used) return findings.ok("space", detail);
  findings.add({"space", FindingLevel::kWarning, detail,
                "A backup is smaller than the databases, but not for certain."});
}

void look_into(CheckFindings& findings, const RepositoryCheck& check,
               std::vector<CheckedRepository>& opened, const std::stop_token& stop) {
  auto repository = check_repository(findings, check, stop);
  if (!repository) return;
  findings.attempt("repository rights",
                   [&] { check_rights(findings, *repository, check.config, stop); });
  opened.push_back({check.config, std::move(repository)});
}

void check_with_server(CheckFindings& findings, Session& session, const Config& config,
                       const std::vector<CheckedRepository>& repositories,
                       const std::stop_token& stop) {
  bool archive = false;
  for (const CheckedRepository& each : repositories) {
    findings.look_at(each.config.name);
    findings.attempt("registration", [&] {
      check_registration(findings, session, *each.repository, config, stop);
    });
    findings.attempt("space", [&] { check_space(findings, session, each.config); });
    archive = archive || each.config.wal;
  }
  findings.look_at("");
  if (!archive) return;
  findings.attempt("WAL archive",
                   [&] { check_archive(findings, session, {config, repositories}, stop); });
}

}  // namespace

std::vector<CheckFinding> check_setup(const LoadedConfig& loaded, const std::string& only,
                                      const CheckOptions& options, const std::stop_token& stop) {
  const Config& config = loaded.config;
  find_repository(config, only);  // there is one of this name
  CheckFindings findings;
  check_configuration(findings, loaded);
  findings.attempt("state directory", [&] { check_state_directory(findings, config); });
  std::optional<Session> session = check_connection(findings, config, stop);
  if (session) {
    check_postgres(findings, *session, config, stop);
    check_data_directory(findings, *session, config);
  }
  std::vector<CheckedRepository> opened;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!only.empty() && repository.name != only) continue;
    findings.look_at(repository.name);
    look_into(findings, {repository, options}, opened, stop);
  }
  if (session) check_with_server(findings, *session, config, opened, stop);
  findings.look_at("");
  check_distinct(findings, opened);
  findings.attempt("clock", [&] { check_clocks(findings, session, opened, stop); });
  return findings.take();
}

std::size_t count_of(const std::vector<CheckFinding>& findings, FindingLevel level) {
  return static_cast<std::size_t>(std::ranges::count(findings, level, &CheckFinding::level));
}

std::vector<ConformanceCheck> check_store(const RepositoryConfig& repository,
                                          const std::stop_token& stop) {
  const StoreOptions options = store_options(repository);
  create_store(options);
  const auto store = open_store(options);
  // A place that cannot be reached at all is one error, not eighteen checks that failed.
  in_repository(repository, [&] { store->list({.limit = 1}, stop); });
  return run_conformance(*store, {.scratch_prefix = scratch_prefix()}, stop);
}

}  // namespace holdfast
