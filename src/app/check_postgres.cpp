// `check`, the server's side: connection, privileges, settings, the standby's primary, the data
// directory.
#include <array>

#include <fmt/format.h>
#include <unistd.h>

#include "app/check_parts.h"
#include "app/settings.h"
#include "backup/preflight.h"

namespace holdfast {
namespace {

constexpr int kBackupFunctionsRenamedIn = 150000;

std::string start_function(int version_num) {
  return version_num >= kBackupFunctionsRenamedIn ? "pg_backup_start(text, boolean)"
                                                  : "pg_start_backup(text, boolean, boolean)";
}
std::string stop_function(int version_num) {
  return version_num >= kBackupFunctionsRenamedIn ? "pg_backup_stop(boolean)"
                                                  : "pg_stop_backup(boolean, boolean)";
}

bool may_execute(Session& session, const std::string& function) {
  return session.query("select has_function_privilege('pg_catalog.' || $1, 'execute')", {function})
             .at(0)
             .at(0) == "t";
}

void check_privileges(CheckFindings& findings, Session& session) {
  const int version = session.server().version_num;
  std::string missing;
  const auto miss = [&](std::string_view what) {
    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", what);
  };
  for (const std::string& function : {start_function(version), stop_function(version)}) {
    if (!may_execute(session, function)) miss("execute " + function);
  }
  const auto rows = session.query(
      "select rolsuper or rolreplication, pg_has_role(current_user, 'pg_monitor', 'usage')"
      " from pg_roles where rolname = current_user");
  if (rows.at(0).at(0) != "t") miss("replication");
  if (rows.at(0).at(1) != "t") miss("pg_monitor");
  if (missing.empty()) {
    findings.ok("privileges", "role " + session.server().user);
    return;
  }
  findings.add({"privileges", FindingLevel::kFailed,
                fmt::format("role {} lacks: {}", session.server().user, missing),
                "Run the SQL that 'holdfast init' prints, in the database that it names."});
}

void check_setting(CheckFindings& findings, const PostgresSetting& setting) {
  if (setting.fits) return findings.ok(setting.name, setting.current);
  findings.add({setting.name, FindingLevel::kFailed,
                fmt::format("{}, wanted is {}", setting.current, setting.wanted),
                setting.restart_pending ? "It is set already: restart PostgreSQL."
                                        : "Set it with 'holdfast init --apply', then restart "
                                          "PostgreSQL."});
}

void check_full_page_writes(CheckFindings& findings, Session& session) {
  const auto rows = session.query("select current_setting('full_page_writes')");
  const std::string value = rows.at(0).at(0).value_or("");
  if (value == "on") return findings.ok("full_page_writes", value);
  findings.add({"full_page_writes", FindingLevel::kWarning, value,
                "While a backup runs PostgreSQL writes full pages all the same, but a crash can "
                "tear pages now, and a standby of this server cannot be backed up."});
}

// Where the WAL of a standby's backup is finished.
void check_primary(CheckFindings& findings, const ServerInfo& standby, const Config& config,
                   const std::stop_token& stop) {
  if (config.postgres.primary_connection.empty()) {
    findings.add({"primary", FindingLevel::kWarning,
                  "the server is a standby and postgres.primary_connection is not set",
                  "A backup then waits until the primary has finished a WAL segment by itself."});
    return;
  }
  Session primary = Session::connect(config.postgres.primary_connection, stop);
  const ServerInfo& server = primary.server();
  if (server.system_identifier != standby.system_identifier) {
    throw Error(ErrorKind::kRefused, "postgres.primary_connection names another cluster",
                {.hint = "Make it name the primary of this standby."});
  }
  if (server.in_recovery) {
    throw Error(ErrorKind::kRefused, "postgres.primary_connection names a standby",
                {.hint = "Make it name the primary of this standby."});
  }
  if (!may_execute(primary, "pg_switch_wal()")) {
    throw Error(ErrorKind::kPostgres,
                fmt::format("role {} may not execute pg_switch_wal() on the primary", server.user),
                {.hint = "Run the SQL that 'holdfast init' prints, on the primary."});
  }
  findings.ok("primary", fmt::format("role {}", server.user));
}

// What has to be readable stands at the top of the directory and of each tablespace; the server
// gives all its files the same owner and mode.
void check_readable(const std::filesystem::path& path) {
  if (::access(path.c_str(), R_OK | X_OK) == 0) return;
  throw_errno(errno, "read", path.string());
}

}  // namespace

std::optional<Session> check_connection(CheckFindings& findings, const Config& config,
                                        const std::stop_token& stop) {
  std::optional<Session> session;
  findings.attempt("connection", [&] {
    session = Session::connect(config.postgres.connection, stop);
    const ServerInfo& server = session->server();
    findings.ok("connection", fmt::format("PostgreSQL {}, role {}{}", server.version, server.user,
                                          server.in_recovery ? ", a standby" : ""));
  });
  return session;
}

void check_postgres(CheckFindings& findings, Session& session, const Config& config,
                    const std::stop_token& stop) {
  findings.attempt("privileges", [&] { check_privileges(findings, session); });
  findings.attempt("settings", [&] {
    for (const PostgresSetting& setting : backup_settings(session)) {
      check_setting(findings, setting);
    }
    check_full_page_writes(findings, session);
  });
  if (!session.server().in_recovery) return;
  findings.attempt("primary", [&] { check_primary(findings, session.server(), config, stop); });
}

void check_data_directory(CheckFindings& findings, Session& session, const Config& config) {
  const std::filesystem::path folder = config.postgres.data_directory;
  if (folder.empty()) return;  // the configuration's finding
  findings.attempt("data directory", [&] {
    ServerInfo examined = session.server();
    examined.wal_level = "replica";  // has a finding of its own
    check_server(examined, folder);
    for (const char* const inner : {"", "base", "global", "pg_wal", "pg_tblspc"}) {
      check_readable(folder / inner);
    }
    for (const TablespaceInfo& space : session.tablespaces()) {
      if (!space.location.empty()) check_readable(space.location);
    }
    findings.ok("data directory", folder.string());
  });
}

}  // namespace holdfast
