#include "recover/database_checks.h"

#include <chrono>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

#include "core/cancellation.h"
#include "core/error.h"
#include "postgres/connection.h"
#include "postgres/control_file.h"
#include "recover/check_tally.h"

namespace holdfast {
namespace {

using Verdict = CheckResult::Verdict;
using SteadyClock = std::chrono::steady_clock;

// Unlogged relations have no content before recovery has ended.
// Partitioned tables and indexes, views and foreign tables have no files; mapped relations have
// no relfilenode of their own, but a path.
constexpr const char* kMissingFiles =
    "select c.oid::regclass::text, pg_relation_filepath(c.oid) from pg_class c "
    "where c.relkind in ('r','i','t','m','S') "
    "and (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery()) "
    "and (pg_stat_file(pg_relation_filepath(c.oid), true)).size is null";
constexpr const char* kRelations =
    "select count(*) from pg_class where relkind in ('r','i','t','m','S') and relpersistence <> "
    "'t'";
constexpr const char* kIndexes =
    "select c.oid::text, c.oid::regclass::text from pg_class c "
    "join pg_index i on i.indexrelid = c.oid join pg_am a on a.oid = c.relam "
    "where a.amname = 'btree' and c.relkind = 'i' "
    "and (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery()) "
    "and i.indisvalid and i.indisready order by c.oid";
constexpr const char* kTables =
    "select c.oid::text, c.oid::regclass::text from pg_class c join pg_am a on a.oid = c.relam "
    "where a.amname = 'heap' and c.relkind in ('r','m','t') "
    "and (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery()) "
    "order by c.oid";

std::vector<std::string> databases_of(const CheckedServer& server, const std::stop_token& stop) {
  Connection session(server.connection("template1"), stop);
  std::vector<std::string> names;
  for (const auto& row : session.query(
           "select datname from pg_database where datallowconn and datconnlimit <> -2 order by 1",
           {})) {
    names.push_back(row.at(0).value_or(""));
  }
  return names;
}

void count_missing_files(Connection& session, const std::string& database, CheckTally& tally) {
  tally.looked_at(std::stoull(session.query(kRelations, {}).at(0).at(0).value_or("0")));
  for (const auto& row : session.query(kMissingFiles, {})) {
    tally.found(fmt::format("{}: {} has no file {}", database, row.at(0).value_or("?"),
                            row.at(1).value_or("")));
  }
}

// The schema of amcheck, quoted; empty when there is none, and the database is left out of `tally`.
std::string make_amcheck(Connection& session, const std::string& database, CheckTally& tally) {
  constexpr const char* kSchema =
      "select quote_ident(n.nspname) from pg_extension e join pg_namespace n "
      "on n.oid = e.extnamespace where e.extname = 'amcheck'";
  auto rows = session.query(kSchema, {});
  if (!rows.empty()) return rows.at(0).at(0).value_or("");
  try {
    session.query("create extension amcheck with schema pg_catalog", {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kPostgres) throw;
    tally.left_out(database, fmt::format("amcheck cannot be used: {}", error.message()));
    return {};
  }
  rows = session.query(kSchema, {});
  return rows.empty() ? "" : rows.at(0).at(0).value_or("");
}

// One relation at a time, so that what is wrong with one does not hide the others.
void check_index(Connection& session, const std::string& call, const std::string& name,
                 CheckTally& tally) {
  try {
    session.query(call, {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kPostgres) throw;
    tally.found(fmt::format("{}: {}", name, error.message()));
  }
}

void check_indexes(Connection& session, const std::string& database, CheckTally& tally,
                   const std::stop_token& stop) {
  const std::string schema = make_amcheck(session, database, tally);
  if (schema.empty()) return;
  for (const auto& row : session.query(kIndexes, {})) {
    check_cancelled(stop);
    tally.looked_at(1);
    check_index(session,
                fmt::format("select {}.bt_index_check({}, true)", schema, row.at(0).value_or("0")),
                database + ": " + row.at(1).value_or("?"), tally);
  }
}

void check_tables(Connection& session, const std::string& database, CheckTally& tally,
                  const std::stop_token& stop) {
  const std::string schema = make_amcheck(session, database, tally);
  if (schema.empty()) return;
  for (const auto& row : session.query(kTables, {})) {
    check_cancelled(stop);
    tally.looked_at(1);
    const std::string name = database + ": " + row.at(1).value_or("?");
    try {
      const auto found =
          session.query(fmt::format("select blkno::text, msg from {}.verify_heapam({}) limit 1",
                                    schema, row.at(0).value_or("0")),
                        {});
      if (!found.empty()) {
        tally.found(fmt::format("{} block {}: {}", name, found.at(0).at(0).value_or("?"),
                                found.at(0).at(1).value_or("")));
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres) throw;
      tally.found(fmt::format("{}: {}", name, error.message()));
    }
  }
}

using CheckDatabase = std::function<void(Connection&, const std::string&, CheckTally&)>;

CheckResult in_every_database(const CheckedServer& server, std::string name, std::string_view what,
                              const CheckDatabase& check, const std::stop_token& stop) {
  const auto began = SteadyClock::now();
  CheckTally tally;
  for (const std::string& database : databases_of(server, stop)) {
    Connection session(server.connection(database), stop);
    check(session, database, tally);
  }
  CheckResult result = tally.result(std::move(name), what);
  result.duration_seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
  return result;
}

}  // namespace

std::string_view to_string(CheckResult::Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "passed";
    case Verdict::kFailed:
      return "failed";
    case Verdict::kSkipped:
      return "skipped";
  }
  return "?";
}

std::string_view to_string(CheckResult::About about) {
  switch (about) {
    case CheckResult::About::kBackup:
      return "backup";
    case CheckResult::About::kContent:
      return "content";
    case CheckResult::About::kObjective:
      return "objective";
  }
  return "?";
}

std::vector<CheckResult> check_databases(const CheckedServer& server, const std::stop_token& stop) {
  std::vector<CheckResult> results;
  results.push_back(in_every_database(server, "files", "relations", count_missing_files, stop));
  results.push_back(in_every_database(
      server, "indexes", "B-trees",
      [&](Connection& session, const std::string& database, CheckTally& tally) {
        check_indexes(session, database, tally, stop);
      },
      stop));
  if (server.major_version < 14) {
    results.push_back({.name = "tables",
                       .verdict = Verdict::kSkipped,
                       .detail = "amcheck looks at tables from PostgreSQL 14 on"});
    return results;
  }
  results.push_back(in_every_database(
      server, "tables", "tables",
      [&](Connection& session, const std::string& database, CheckTally& tally) {
        check_tables(session, database, tally, stop);
      },
      stop));
  return results;
}

CheckResult check_page_checksums(const ChecksumsCheck& check, const std::stop_token& stop) {
  constexpr std::chrono::hours kPatience{24 * 7};
  const auto began = SteadyClock::now();
  CheckResult result{.name = "checksums"};
  if (read_control_file(check.data_directory).parsed.data_checksum_version == 0) {
    result.verdict = Verdict::kSkipped;
    result.detail = "the cluster has no page checksums";
    return result;
  }
  if (!std::filesystem::exists(check.bin_directory / "pg_checksums")) {
    result.verdict = Verdict::kSkipped;
    result.detail = "this machine has no pg_checksums";
    return result;
  }
  struct stat owner{};
  ::stat(check.data_directory.c_str(), &owner);
  ChildStart start{.program = check.bin_directory / "pg_checksums",
                   .arguments = {"--check", "-D", check.data_directory},
                   .log = check.log};
  if (::geteuid() == 0) start.user = ChildUser{owner.st_uid, owner.st_gid};
  ChildProcess child(start);
  const auto code = child.wait(kPatience, stop);
  check_cancelled(stop);
  result.duration_seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
  if (!code) {
    throw Error(ErrorKind::kPostgres, "pg_checksums does not end",
                {.object = check.data_directory});
  }
  if (*code == 0) {
    result.detail = "every page";
    return result;
  }
  result.verdict = Verdict::kFailed;
  std::ifstream log(check.log);
  for (std::string line; std::getline(log, line);) {
    if (line.find("failed") == std::string::npos && line.find("error:") == std::string::npos)
      continue;
    result.detail = line;
    break;
  }
  if (result.detail.empty()) result.detail = fmt::format("pg_checksums: exit code {}", *code);
  return result;
}

}  // namespace holdfast
