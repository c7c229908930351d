#include "support/cluster_content.h"

#include <memory>
#include <regex>
#include <stdexcept>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "support/process.h"

namespace holdfast::test {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows rows_in(const std::string& connection, const std::string& query) {
  const std::unique_ptr<PGconn, void (*)(PGconn*)> session(PQconnectdb(connection.c_str()),
                                                           PQfinish);
  if (PQstatus(session.get()) != CONNECTION_OK) {
    throw std::runtime_error(PQerrorMessage(session.get()));
  }
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(session.get(), query.c_str()),
                                                              PQclear);
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
    throw std::runtime_error(query + ": " + PQerrorMessage(session.get()));
  }
  Rows rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    auto& cells = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      cells.emplace_back(PQgetvalue(result.get(), row, column));
    }
  }
  return rows;
}

std::string in_database(const PostgresCluster& cluster, const std::string& database) {
  // The last value of a repeated key counts.
  return cluster.connection() + " dbname='" + database + "'";
}

std::string digest_query(const std::string& table) {
  return fmt::format(
      "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {} t", table);
}

void add_database(const PostgresCluster& cluster, const std::string& database,
                  const std::set<std::string>& moving, ClusterContent& content) {
  const std::string connection = in_database(cluster, database);
  const Rows tables = rows_in(
      connection,
      "select quote_ident(nspname), quote_ident(relname), relpersistence, relkind from pg_class c "
      "join "
      "pg_namespace n on n.oid = relnamespace where relkind in ('r', 'm', 'S') and relpersistence "
      "<> 't' and nspname not like 'pg_%' and nspname <> 'information_schema' order by 1, 2");
  std::string names;
  for (const auto& table : tables) {
    const std::string name = table.at(0) + "." + table.at(1);
    names += name + " ";
    // Unlogged tables are empty after a restore, rightly.
    if (moving.contains(name) || table.at(2) == "u") continue;
    if (table.at(3) == "S") {
      content[database + "." + name] = rows_in(connection, "select last_value from " + name)[0][0];
      continue;
    }
    const Rows digest = rows_in(connection, digest_query(name));
    content[database + "." + name] = digest.at(0).at(0) + " rows, " + digest.at(0).at(1);
  }
  content[database] = names;
  const Rows objects = rows_in(
      connection,
      "select oid, md5(string_agg(data, '' order by pageno)) from pg_largeobject_metadata m left "
      "join pg_largeobject l on loid = m.oid group by oid");
  for (const auto& object : objects) {
    content[database + ".large object " + object.at(0)] = object.at(1);
  }
}

// Where each transaction that the WAL from `start` on commits has its commit record.
std::map<std::uint64_t, std::uint64_t> commits_in_wal(const PostgresCluster& cluster,
                                                      const std::string& start) {
  // Of the server's own version: others do not read its WAL.
  const std::filesystem::path program = cluster.programs().bin_directory / "pg_waldump";
  const Outcome dump =
      run({.arguments = {program.string(), "--path", cluster.sql("show data_directory") + "/pg_wal",
                         "--start", start, "--rmgr", "Transaction"}});
  static const std::regex kCommit(
      R"(tx: +(\d+), lsn: ([0-9A-F]+)/([0-9A-F]+), [^\n]*desc: COMMIT)");
  std::map<std::uint64_t, std::uint64_t> commits;
  for (std::sregex_iterator at(dump.out.begin(), dump.out.end(), kCommit), end; at != end; ++at) {
    commits[std::stoull((*at)[1])] =
        (std::stoull((*at)[2], nullptr, 16) << 32U) | std::stoull((*at)[3], nullptr, 16);
  }
  if (commits.empty()) throw std::runtime_error("pg_waldump shows no commit: " + dump.err);
  return commits;
}

std::uint64_t parse_position(const std::string& text) {
  const auto slash = text.find('/');
  return (std::stoull(text.substr(0, slash), nullptr, 16) << 32U) |
         std::stoull(text.substr(slash + 1), nullptr, 16);
}

}  // namespace

ClusterContent content_of(const PostgresCluster& cluster, const std::set<std::string>& moving) {
  ClusterContent content;
  for (const auto& row :
       cluster.rows("select datname from pg_database where datallowconn order by datname")) {
    add_database(cluster, row.at(0), moving, content);
  }
  return content;
}

std::vector<std::string> differences(const ClusterContent& expected, const ClusterContent& found) {
  constexpr std::size_t kMaxLines = 10;
  std::vector<std::string> lines;
  for (const auto& [name, digest] : expected) {
    const auto at = found.find(name);
    if (at != found.end() && at->second == digest) continue;
    lines.push_back(fmt::format("{}: {}, expected {}", name,
                                at == found.end() ? "missing" : at->second, digest));
  }
  for (const auto& [name, digest] : found) {
    if (!expected.contains(name)) lines.push_back(name + ": not expected, " + digest);
  }
  if (lines.size() > kMaxLines) lines.resize(kMaxLines);
  return lines;
}

void make_load_tables(const PostgresCluster& cluster) {
  cluster.sql(
      "create table load (number bigint primary key, rewritten int default 0, filler text,"
      " xid bigint default txid_current());"
      "create table load_churn (number bigint, filler text)");
}

std::vector<std::string> check_load(const LoadCheck& check) {
  const auto commits = commits_in_wal(check.source, check.start_lsn);
  const std::uint64_t stop = parse_position(check.stop_lsn);
  std::set<std::uint64_t> present;
  for (const auto& row : check.restored.rows("select number from load")) {
    present.insert(std::stoull(row.at(0)));
  }
  std::vector<std::string> wrong;
  std::uint64_t expected = 0, later = 0, rewritten = 0;
  for (const auto& row : check.source.rows("select number, xid from load order by number")) {
    const std::uint64_t number = std::stoull(row.at(0));
    const auto commit = commits.find(std::stoull(row.at(1)));
    // A commit record that is not in the WAL from the backup's start on lies before it.
    const bool due = commit == commits.end() || commit->second < stop;
    (due ? expected : later) += 1;
    if (due && ((number * 2654435761U) >> 7U) % number > 0) ++rewritten;  // as WriteLoad chooses
    if (due != present.contains(number)) {
      wrong.push_back(fmt::format("row {} is {}", number, due ? "missing" : "there too early"));
    }
  }
  if (present.size() > expected + later) wrong.emplace_back("rows that nobody wrote");
  if (expected == 0) wrong.emplace_back("the load wrote nothing before the stop");
  if (later == 0) wrong.emplace_back("the load wrote nothing after the stop");
  const std::string sum = check.restored.sql("select sum(rewritten) from load");
  if (wrong.empty() && sum != std::to_string(rewritten)) {
    wrong.push_back(fmt::format("{} rewrites, expected {}", sum, rewritten));
  }
  return wrong;
}

std::string check_pgbench(const PostgresCluster& cluster) {
  const auto rows = cluster.rows(
      "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from "
      "pgbench_tellers), (select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta),"
      " 0) from pgbench_history), (select count(*) from pgbench_history)");
  const auto& sums = rows.at(0);
  const bool equal = sums[0] == sums[1] && sums[1] == sums[2] && sums[2] == sums[3];
  if (equal && sums[4] != "0") return "";
  return fmt::format("accounts {}, tellers {}, branches {}, history {} of {} rows", sums[0],
                     sums[1], sums[2], sums[3], sums[4]);
}

std::string check_page_checksums(const PostgresCluster& cluster) {
  const Outcome outcome = run(
      {.arguments = as_server_user({(cluster.programs().bin_directory / "pg_checksums").string(),
                                    "--check", "-D", cluster.data_directory().string()})});
  return outcome.ok() ? "" : outcome.out + outcome.err;
}

}  // namespace holdfast::test
