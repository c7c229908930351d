#pragma once
// What the tests of this suite share: one small cluster that runs throughout, and the checker that
// says whether a repository keeps invariant 2: whatever it lists as a backup restores.
//
// Every run of the program, and every call of it inside this process, notes the fault points that
// it passes in one file; when the suite ends, a point of kFaultPoints that is not in it fails the
// run (unless tests were filtered out).

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/cluster_content.h"
#include "support/holdfast_program.h"

namespace holdfast::test {

PostgresCluster& crash_cluster();

// Restores, starts and compares every backup that a repository lists.
class ListedBackups {
 public:
  explicit ListedBackups(HoldfastProgram& program) : program_(program) {}

  // What is wrong with those listed now, one line each. A backup that was found good before is
  // only restored again when its objects have changed.
  std::vector<std::string> complaints();

 private:
  std::string complaint(const Json& backup);
  HoldfastProgram& program_;
  std::map<std::string, std::string> good_;  // id → its objects with their sizes
};

// Every object of the backup with its size, one line each, but for begin and outcome.
std::string objects_of(const HoldfastProgram& program, const std::string& backup_id);

// The ids of the backups in a state, whether they are listed or not.
std::vector<std::string> ids_in_state(HoldfastProgram& program, const std::string& state);

// HOLDFAST_TEST_SEED, or a fixed number.
std::uint64_t test_seed();

}  // namespace holdfast::test
