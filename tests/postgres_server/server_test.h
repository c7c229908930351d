#pragma once
// One running server for each version that is available, shared by the tests of this suite that
// leave it as it was. 15 is always among them; HOLDFAST_TEST_PG<major>_BIN adds others.

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "postgres/session.h"
#include "support/postgres_cluster.h"

namespace holdfast::test {

inline void PrintTo(const ServerPrograms& programs, std::ostream* out) {
  *out << programs.bin_directory;
}

inline PostgresCluster& shared_server(const ServerPrograms& programs) {
  static std::map<int, PostgresCluster> servers;
  const auto found = servers.find(programs.major_version);
  if (found != servers.end()) return found->second;
  PostgresCluster cluster({.programs = programs, .wal_segment_mib = 1});
  cluster.start();
  return servers.emplace(programs.major_version, std::move(cluster)).first->second;
}

class EveryServer : public testing::TestWithParam<ServerPrograms> {
 protected:
  // Not in a thread that a test starts: a server ends with the thread that started it.
  void SetUp() override { server(); }
  PostgresCluster& server() { return shared_server(GetParam()); }
  Session connect(const std::string& user = "postgres") {
    return Session::connect(server().connection(user), stop_.get_token());
  }
  std::stop_source stop_;
};

inline std::string version_name(const testing::TestParamInfo<ServerPrograms>& info) {
  return "PostgreSQL" + std::to_string(info.param.major_version);
}

#define HF_FOR_EVERY_SERVER(suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(Version, suite, testing::ValuesIn(test::available_servers()), \
                           test::version_name)

}  // namespace holdfast::test
