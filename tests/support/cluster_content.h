#pragma once
// What is in a PostgreSQL server, so that two servers can be compared, and an independent account
// of which transactions of a write load a backup must hold.
// Throws std::runtime_error. Threads: every function from any thread.

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/postgres_cluster.h"

namespace holdfast::test {

// "database.schema.table" → rows and a digest of them, for every table, large object, sequence and
// materialised view of every database, and "database" → its catalogue's tables and settings.
using ClusterContent = std::map<std::string, std::string>;
// `moving`: tables ("schema.table") that a write load changes, left out.
ClusterContent content_of(const PostgresCluster& cluster, const std::set<std::string>& moving = {});
// One line for each difference, at most ten.
std::vector<std::string> differences(const ClusterContent& expected, const ClusterContent& found);

// The tables of WriteLoad, of which "load" also notes the transaction that inserted each row. Call
// it before the first WriteLoad on a cluster.
void make_load_tables(const PostgresCluster& cluster);
inline const std::set<std::string> kLoadTables{"public.load", "public.load_churn"};

// Whether `restored`, recovered to `stop_lsn`, holds exactly what the load had committed by then
// on `source`: told from the commit records in the source's WAL (pg_waldump), which is read from
// `start_lsn` on; the load has ended. One line for each thing that is wrong.
struct LoadCheck {
  const PostgresCluster& source;
  const PostgresCluster& restored;
  std::string start_lsn, stop_lsn;
};
std::vector<std::string> check_load(const LoadCheck& check);

// pgbench's own invariant: the sums of all balances and of the history are equal. Empty: they are.
std::string check_pgbench(const PostgresCluster& cluster);

// Runs pg_checksums on a stopped cluster; its complaints, empty when every page is good.
std::string check_page_checksums(const PostgresCluster& cluster);

}  // namespace holdfast::test
