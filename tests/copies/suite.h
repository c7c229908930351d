#pragma once
// What the tests of copies share: a cluster that archives to its first repository, further
// repositories beside it, and what remains when the others are gone.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/archived_cluster.h"
#include "support/cluster_content.h"
#include "support/s3_server.h"

namespace holdfast::test {

// It has a storage class GLACIER, which can be read at once.
S3Server& shared_s3_server();

// Where a repository lies.
struct Place {
  std::string name;
  bool on_s3 = false;
  Encryption encryption = Encryption::kNone;
  ObjectLock lock = ObjectLock::kOff;  // of its bucket
};

// A cluster whose repository "first" takes backups and WAL, with others that only take copies.
class CopyingCluster {
 public:
  explicit CopyingCluster(const Place& first, const std::vector<Place>& others);

  PostgresCluster& server() { return archived_->server(); }
  HoldfastProgram& holdfast() { return archived_->holdfast(); }
  ArchivedCluster& archived() { return *archived_; }

  // Rows of table `numbers`; rows() says how many there are.
  void write_rows(int count);
  std::string rows() const { return std::to_string(rows_); }
  // Of a repository that is a folder.
  std::filesystem::path folder_of(const std::string& repository) const {
    return folder_ / repository;
  }
  const std::string& url_of(const std::string& repository) const;
  // Removes every object of a repository.
  void destroy(const std::string& repository);
  // The configuration that somebody writes who has lost the others: this repository alone.
  void only(const std::string& repository);

 private:
  std::vector<std::string> lines_of(const Place& place, const std::string& url);
  std::string key_of(const std::string& repository) const;

  TempFolder folder_;
  std::vector<Place> places_;
  std::vector<std::string> urls_;
  std::optional<ArchivedCluster> archived_;
  int rows_ = 0;
};

// Compares restored data directories that were not started: one line for each file that differs,
// but for those that say where they were restored from.
std::vector<std::string> file_differences(const std::filesystem::path& expected,
                                          const std::filesystem::path& found);

}  // namespace holdfast::test
