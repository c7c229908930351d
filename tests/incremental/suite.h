#pragma once
// What the tests of incremental backups share: a cluster that archives, and the proof that an
// incremental backup of it holds what a full one of the same moment holds.

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/archived_cluster.h"

namespace holdfast::test {

// Settings under which nothing happens in the server but what a test does.
inline const std::vector<std::string> kQuiet{"autovacuum = off", "bgwriter_lru_maxpages = 0",
                                             "jit = off"};

class Grown {
 public:
  explicit Grown(ArchivedOptions options = {});

  PostgresCluster& server() { return archived_.server(); }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  ArchivedCluster& archived() { return archived_; }

  // From now on backups are taken of this server, which outlives the next call.
  void turn_to(const PostgresCluster& server);
  Json full() { return holdfast().backup({"--type", "full"}); }
  // An incremental backup; its `incremental` member must name `source`.
  Json incremental(const std::string& source, const std::vector<std::string>& more = {});
  // Takes a full backup of the same moment into a repository of its own, restores both, compares
  // them file by file and byte by byte, starts what `incremental` restored and has the server's own
  // checkers look at it. One line for each thing that is wrong.
  std::vector<std::string> check(const Json& incremental);
  // The same against a full backup in the repository of the incremental one: where a take-over
  // keeps the server from writing to another. The next backup would build on that one.
  std::vector<std::string> check_beside(const Json& incremental);

  // What check() compares, restored and not started.
  struct Restored {
    std::filesystem::path expected, found;
  };
  Restored restore_both(const Json& incremental) { return restore_both(incremental, reference_); }

 private:
  Restored restore_both(const Json& incremental, HoldfastProgram& reference);
  std::vector<std::string> check(const Restored& restored);
  std::filesystem::path restore(HoldfastProgram& program, const std::string& id);

  ArchivedCluster archived_;
  HoldfastProgram reference_;  // takes full backups only
};

// What reaches the disk without WAL where there are no checksums: which transactions had ended when
// a row was read, that an index entry is dead, and what a page may hold for pruning.
enum class HintBits { kCompared, kLeftOut };
// Compares restored data directories that were not started.
std::vector<std::string> file_differences(const std::filesystem::path& expected,
                                          const std::filesystem::path& found,
                                          HintBits hint_bits = HintBits::kCompared);
// Starts it as far as it goes, and runs pg_amcheck, pg_check_visible and pg_check_frozen on every
// database; stops it again.
std::vector<std::string> complaints_about(const std::filesystem::path& data_directory,
                                          const ServerPrograms& programs);

}  // namespace holdfast::test
