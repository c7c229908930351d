#pragma once
// A cluster that archives to a bucket on a real S3 server. The server is started with the first
// test that needs it and shared by all of this program; each test has a bucket of its own.

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "storage/object_store.h"
#include "support/archived_cluster.h"
#include "support/s3_server.h"

namespace holdfast::test {

class WalOnS3 : public testing::Test {
 protected:
  void SetUp() override;

  // Archives to the bucket; repository encrypted. With table kept (n int), and a backup.
  ArchivedCluster& begin(ArchivedOptions options = {});
  PostgresCluster& server() { return archived_->server(); }
  HoldfastProgram& holdfast() { return archived_->holdfast(); }
  void keep(int n) { server().sql(fmt::format("insert into kept values ({})", n)); }
  // Returns the name of the segment that the row is in.
  std::string keep_in_a_segment(int n);
  // Ended, but not archived.
  std::string next_segment() {
    keep(0);
    return server().sql("select pg_walfile_name(pg_switch_wal())");
  }
  // Every row of a restored copy's table kept, in order.
  std::string rows_after(const std::vector<std::string>& options);
  static std::string rows_of(const PostgresCluster& cluster);

  const S3Server& s3() const;
  std::unique_ptr<ObjectStore> store() const;
  std::string object_of(const std::string& file) const;
  // Actions as in a policy, quoted: "\"s3:GetObject\"". Replaces what was denied before.
  void deny(const std::string& actions) const { deny(actions, ""); }
  // Of one object; empty: of all, and of the bucket.
  void deny(const std::string& actions, const std::string& object) const;

  std::string bucket_;
  std::optional<ArchivedCluster> archived_;
};

}  // namespace holdfast::test
