#pragma once
// What the tests of WAL and of incremental backups share: a cluster that archives with the program
// under test.
//
// `init --apply` has set its archive_command, so it is the printed one that is tested.

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/holdfast_program.h"
#include "support/postgres_cluster.h"

namespace holdfast::test {

struct ArchivedOptions {
  std::vector<std::string> settings = {};
  std::optional<int> wal_segment_mib = {};
  ServerPrograms programs = default_server();
  ProgramSettings program = {};
};

class ArchivedCluster {
 public:
  explicit ArchivedCluster(const ArchivedOptions& options = {});

  PostgresCluster& server() { return cluster_; }
  HoldfastProgram& holdfast() { return holdfast_; }

  // Ends the current segment and waits until everything before is archived.
  void archive();
  // Calls archive-push or archive-get as PostgreSQL does: in the data directory.
  Outcome call(const std::vector<std::string>& arguments,
               const std::filesystem::path& data_directory);
  // The same in the background.
  Process start(const std::vector<std::string>& arguments,
                const std::filesystem::path& data_directory);
  Outcome push(const std::string& segment) {
    return call({"archive-push", "pg_wal/" + segment}, cluster_.data_directory());
  }
  Outcome get(const std::string& file) {
    return call({"archive-get", file, "pg_wal/RECOVERYXLOG"}, cluster_.data_directory());
  }
  // The objects of this history's WAL, by the names of the files that they hold.
  std::filesystem::path object_of(const std::string& segment);

 private:
  Command command(const std::vector<std::string>& arguments,
                  const std::filesystem::path& data_directory);

  PostgresCluster cluster_;
  HoldfastProgram holdfast_;
};

// Starts a restored directory, waits until its recovery has ended or is paused at its target.
PostgresCluster start_recovered(const std::filesystem::path& data_directory,
                                const ServerPrograms& programs = default_server());

// Sets a variable of this process, which servers and programs that it starts inherit.
class Variable {
 public:
  Variable(std::string name, const std::string& value);
  ~Variable();
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const std::string name_;
};

// The wide run takes minutes more and gigabytes.
bool is_wide_run();

}  // namespace holdfast::test
