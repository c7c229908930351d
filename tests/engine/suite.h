#pragma once
// What the tests of this suite share: one small cluster, one cluster with everything a data
// directory can hold, one S3 server; each starts when it is first asked for and ends with the
// program. Tests leave them running and as they were, but for rows of the write loads.

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "support/archived_cluster.h"
#include "support/cluster_content.h"
#include "support/holdfast_program.h"
#include "support/postgres_cluster.h"

namespace holdfast::test {

class S3Server;

// Some tables, the tables of WriteLoad, pgbench at scale 1.
PostgresCluster& small_cluster();

// Tablespaces (two outside, one in place), symlinked pg_wal, group access, unlogged tables, large
// objects, a prepared transaction, several databases, odd names, a file of mode 0400, a sparse one.
struct RichCluster {
  TempFolder folder;
  std::optional<PostgresCluster> cluster;
  std::filesystem::path space(const std::string& name) const { return folder / name; }
};
RichCluster& rich_cluster();

S3Server& shared_s3_server();
// A bucket's URL of its own for each call.
std::string new_bucket_url();

// Starts what was restored in `data_directory`; throws with the server's log when it does not.
PostgresCluster start_restored(const std::filesystem::path& data_directory,
                               const ServerPrograms& programs = default_server());

// A backup that was taken while rows were written, and what was there that nobody wrote to.
struct LoadedBackup {
  Json document;
  ClusterContent still;
};
// The source has the tables of WriteLoad.
LoadedBackup back_up_under_load(const PostgresCluster& source, HoldfastProgram& holdfast);
// That `restored` holds what was still, and of the load what was committed before the backup's end.
void expect_all_of(const LoadedBackup& backup, const PostgresCluster& source,
                   const PostgresCluster& restored);

Process start_pgbench(const PostgresCluster& cluster, int seconds);

inline void PrintTo(const ServerPrograms& programs, std::ostream* out) {
  *out << programs.bin_directory;
}

}  // namespace holdfast::test
