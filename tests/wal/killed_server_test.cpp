// PostgreSQL dies while it archives, and while it recovers: no acknowledged segment is lost, and a
// recovery that is started again goes on to the same end.
#include <set>
#include <thread>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kDeaths = 4;

std::set<int> numbers_in(const PostgresCluster& cluster) {
  std::set<int> numbers;
  for (const auto& row : cluster.rows("select n from kept")) numbers.insert(std::stoi(row.at(0)));
  return numbers;
}

// Each transaction fills about half a segment. Returns what was committed; the one that the kill
// met may be there or not.
std::set<int> write_while_it_dies(PostgresCluster& server) {
  std::set<int> committed;
  int n = 0;
  for (int death = 0; death < kDeaths; ++death) {
    {
      const std::jthread killer([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(300 + 170 * death));
        server.kill();
      });
      try {
        for (;;) {
          server.sql(
              fmt::format("insert into kept values ({}, (select string_agg(md5(g::text), '') "
                          "from generate_series(1, 15000) g))",
                          ++n));
          committed.insert(n);
        }
      } catch (const std::exception&) {  // it is dead
      }
    }
    server.start();
  }
  return committed;
}

TEST(AKilledServer, LosesNoWalAndGoesOnRecovering) {
  ArchivedCluster archived({.wal_segment_mib = 1});
  PostgresCluster& server = archived.server();
  server.sql("create table kept (n int, t text)");
  server.sql("alter table kept alter t set storage external");
  archived.holdfast().backup();
  const std::set<int> committed = write_while_it_dies(server);
  ASSERT_GT(committed.size(), 4U);
  archived.archive();
  const std::set<int> all = numbers_in(server);
  for (const int n : committed) EXPECT_TRUE(all.contains(n)) << n;
  const std::string window = archived.holdfast().must({"window"}).dump();
  EXPECT_EQ(window.find("missing_segments"), std::string::npos) << "a gap: " << window;

  const fs::path target = archived.holdfast().new_path();
  archived.holdfast().restore(target);
  PostgresCluster restored = PostgresCluster::on(target);
  for (int death = 0; death < kDeaths; ++death) {
    restored.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(60 * death));
    restored.kill();
  }
  restored.start();
  restored.wait_for("not pg_is_in_recovery()");
  EXPECT_EQ(numbers_in(restored), all);
  EXPECT_EQ(restored.sql("select count(*) from kept where length(t) <> 480000"), "0");
}

}  // namespace
}  // namespace holdfast::test
