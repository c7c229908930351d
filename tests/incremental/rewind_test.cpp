// A failover, and pg_rewind of the old primary: backups that it took behind the fork hold blocks of
// a line that is gone, and are never trusted for what WAL does not name.
#include <fmt/format.h>

#include "suite.h"

namespace holdfast::test {
namespace {

const std::vector<std::string> kNothing;

// A server, and whether it writes summaries of its WAL.
struct Writer {
  ServerPrograms programs;
  bool summaries = false;
};
void PrintTo(const Writer& writer, std::ostream* out) {
  *out << "version " << writer.programs.major_version;
}

std::vector<Writer> writers() {
  std::vector<Writer> all;
  for (const ServerPrograms& programs : available_servers()) {
    if (!programs.has("pg_rewind")) continue;
    all.push_back({programs, programs.major_version >= 17});
  }
  return all;
}

class Rewound : public testing::TestWithParam<Writer> {
 protected:
  Rewound() {
    old().sql(
        "create table kept (n int primary key, t text);"
        "insert into kept select i, repeat('x', 100) from generate_series(1, 20000) i");
    old().sql("vacuum kept");
  }
  PostgresCluster& old() { return grown_.server(); }

  static void change(PostgresCluster& server, int which) {
    server.sql(fmt::format("update kept set t = 'change {}' where n % 91 = {}", which, which));
  }
  static void wait_for_replay(PostgresCluster& standby, const PostgresCluster& primary) {
    standby.wait_for(fmt::format("pg_last_wal_replay_lsn() >= '{}'",
                                 primary.sql("select pg_current_wal_lsn()")));
  }
  // A standby becomes the primary, and the old one, which nobody stopped, writes on.
  void fail_over() {
    standby_.emplace(PostgresCluster::standby_of(old()));
    standby_->start();
    change(old(), 1);
    wait_for_replay(*standby_, old());
    standby_->promote();
    standby_->sql("checkpoint");  // pg_rewind reads the timeline from the control file
    change(old(), 2);
    old().sql("create table lost as select i n from generate_series(1, 5000) i");
    grown_.archived().archive();
  }
  // The old primary becomes the new one's standby, and then the primary again.
  void rewind_and_fail_back() {
    change(*standby_, 3);
    old().stop();
    run_or_throw({.arguments = as_server_user(
                      {(old().programs().bin_directory / "pg_rewind").string(), "--no-sync", "-D",
                       old().data_directory().string(), "--source-server",
                       standby_->connection() + " dbname=postgres"})});
    append_text(old().data_directory() / "postgresql.auto.conf",
                fmt::format("primary_conninfo = '{}'\n", standby_->connection()));
    write_text(old().data_directory() / "standby.signal", "");
    give_to_server_user(old().data_directory() / "standby.signal");
    old().start();
    wait_for_replay(old(), *standby_);
    standby_->stop();
    old().promote();
    change(old(), 4);
  }

  static std::vector<std::string> settings() {
    std::vector<std::string> lines{"wal_log_hints = on"};
    if (GetParam().summaries) lines.emplace_back("summarize_wal = on");
    return lines;
  }

  Grown grown_{{.settings = settings(), .programs = GetParam().programs}};
  std::optional<PostgresCluster> standby_;
};

TEST_P(Rewound, ItBuildsOnABackupFromBeforeTheFork) {
  const Json full = grown_.full();
  fail_over();
  const Json lost = grown_.incremental(GetParam().summaries ? "wal summaries" : "wal index");
  rewind_and_fail_back();
  const Json made = grown_.incremental("wal index");
  EXPECT_EQ(made.at("timeline"), 3);
  EXPECT_EQ(made.at("incremental").at("parent"), full.at("id")) << "not " << lost.at("id");
  EXPECT_EQ(grown_.check(made), kNothing);
}

TEST_P(Rewound, ItIsComparedWithABackupFromBehindTheFork) {
  fail_over();
  const Json lost = grown_.full();
  rewind_and_fail_back();
  const Json made = grown_.incremental("comparison");
  EXPECT_EQ(made.at("incremental").at("parent"), lost.at("id"));
  const std::string reason = made.at("incremental").at("source_reason");
  EXPECT_NE(reason.find("left its timeline"), std::string::npos) << reason;
  EXPECT_EQ(grown_.check(made), kNothing);
}

INSTANTIATE_TEST_SUITE_P(Server, Rewound, testing::ValuesIn(writers()),
                         [](const testing::TestParamInfo<Writer>& given) {
                           return fmt::format("Version{}{}", given.param.programs.major_version,
                                              given.param.summaries ? "WithSummaries" : "");
                         });

}  // namespace
}  // namespace holdfast::test
