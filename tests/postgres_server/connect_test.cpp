// Connections that cannot be used: nobody there, refused, poolers, servers of the wrong kind.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "postgres/connection.h"
#include "postgres/session.h"
#include "server_test.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

Error failure_of(const std::string& connection) {
  try {
    const std::stop_source stop;
    Session::connect(connection, stop.get_token());
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kBug, "it connected");
}

test::PostgresCluster& server() {
  return test::shared_server(test::default_server());
}

std::string without_user() {
  const std::string whole = server().tcp_connection();
  return whole.substr(0, whole.find(" user="));
}

TEST(Connecting, ToNobodySaysThatNoServerListens) {
  const Error refused = failure_of("host=127.0.0.1 port=" + std::to_string(test::free_port()) +
                                   " user=postgres password=geheim");
  EXPECT_EQ(refused.kind(), ErrorKind::kPostgres);
  EXPECT_TRUE(refused.retryable());
  EXPECT_THAT(refused.hint(), HasSubstr("Start PostgreSQL"));
  EXPECT_THAT(refused.object(), HasSubstr("host=127.0.0.1"));
  const test::TempFolder folder;
  EXPECT_THAT(failure_of("host=" + folder.path().string()).hint(), HasSubstr("socket"));
}

// Only where nothing can be there. Who promotes relies on it.
TEST(Connecting, TellsNobodyFromSomebodyWhoDoesNotLetOneIn) {
  const std::string nobody = "host=127.0.0.1 port=" + std::to_string(test::free_port());
  EXPECT_TRUE(says_no_server(failure_of(nobody)));
  const test::TempFolder folder;
  EXPECT_TRUE(says_no_server(failure_of("host=" + folder.path().string())));
  EXPECT_TRUE(says_no_server(failure_of("host=127.0.0.1," + folder.path().string() +
                                        " port=" + std::to_string(test::free_port()))));
  for (const char* wrong : {" user=nobody_here", " user=postgres dbname=none"}) {
    const Error refused = failure_of(without_user() + wrong);
    EXPECT_FALSE(says_no_server(refused)) << refused.message();
  }
  // One address of two is somebody's.
  const Error both = failure_of(fmt::format("host=127.0.0.1,127.0.0.1 port={},{} user=nobody_here",
                                            test::free_port(), server().port()));
  EXPECT_FALSE(says_no_server(both)) << both.message();
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);  // takes connections and says nothing
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const Error late =
      failure_of(fmt::format("host=127.0.0.1 port={} connect_timeout=1", ntohs(address.sin_port)));
  EXPECT_FALSE(says_no_server(late)) << late.message();
  ::close(silent);
}

TEST(Connecting, WithNonsenseShowsNothingOfIt) {
  for (const char* const text :
       {"password=geheim host", "postgresql://user:geheim@[host/x", "geheim"}) {
    const Error error = failure_of(text);
    EXPECT_EQ(error.kind(), ErrorKind::kConfiguration) << text;
    for (const std::string& shown : {error.message(), error.hint(), error.object()}) {
      EXPECT_THAT(shown, Not(HasSubstr("geheim")));
    }
  }
}

TEST(Connecting, AsAnUnknownRoleOrToAnUnknownDatabase) {
  const Error role = failure_of(without_user() + " user=nobody_here password=geheim");
  EXPECT_THAT(role.message(), HasSubstr("28000"));
  EXPECT_THAT(role.hint(), HasSubstr("pg_hba.conf"));
  EXPECT_THAT(role.message() + role.object() + role.hint(), Not(HasSubstr("geheim")));
  EXPECT_FALSE(role.retryable());
  const Error database = failure_of(without_user() + " user=postgres dbname=none");
  EXPECT_THAT(database.message(), HasSubstr("3D000"));
  EXPECT_THAT(database.hint(), HasSubstr("dbname"));
}

TEST(Connecting, WithAWrongPassword) {
  test::PostgresCluster cluster;
  test::write_text(cluster.data_directory() / "pg_hba.conf",
                   "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
  cluster.start();
  cluster.sql("create role guarded login superuser password 'right'");
  const std::string target =
      "host=127.0.0.1 port=" + std::to_string(cluster.port()) + " user=guarded dbname=postgres";
  const Error wrong = failure_of(target + " password=geheim");
  EXPECT_EQ(wrong.kind(), ErrorKind::kPostgres);
  EXPECT_THAT(wrong.message(), HasSubstr("28P01"));
  EXPECT_THAT(wrong.message() + wrong.object() + wrong.hint(), Not(HasSubstr("geheim")));
  EXPECT_THAT(failure_of(target + " passfile=/dev/null").hint(), HasSubstr("passfile"));
  EXPECT_THAT(failure_of(target + " password=right").message(), "it connected");
}

TEST(Connecting, ToAServerThatDoesNotAnswerEndsWithTheTimeout) {
  test::PostgresCluster cluster;
  cluster.start();
  ASSERT_EQ(kill(cluster.pid(), SIGSTOP), 0);
  const auto began = std::chrono::steady_clock::now();
  const Error error = failure_of(cluster.tcp_connection() + " connect_timeout=2");
  const auto elapsed = std::chrono::steady_clock::now() - began;
  // A cancelled attempt ends at once, whatever the timeout is.
  std::stop_source stop;
  const std::jthread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    stop.request_stop();
  });
  EXPECT_THROW(Session::connect(cluster.tcp_connection(), stop.get_token()), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - began, elapsed + std::chrono::seconds{1});
  kill(cluster.pid(), SIGCONT);
  EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
  EXPECT_TRUE(error.retryable());
  EXPECT_THAT(error.message(), HasSubstr("in time"));
  EXPECT_GE(elapsed, std::chrono::milliseconds{1900});
  EXPECT_LT(elapsed, std::chrono::seconds{4});
}

class ThroughPgBouncer : public testing::TestWithParam<const char*> {};

TEST_P(ThroughPgBouncer, IsRefused) {
  const test::TempFolder folder;
  const int port = test::free_port();
  test::write_text(folder / "ini",
                   "[databases]\npostgres = host=" + server().socket_directory().string() +
                       " port=" + std::to_string(server().port()) +
                       "\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = " + folder.path().string() +
                       "\nlisten_port = " + std::to_string(port) +
                       "\nauth_type = trust\nauth_file = " + (folder / "users").string() +
                       "\npool_mode = " + GetParam() + "\n" +
                       "ignore_startup_parameters = extra_float_digits\n");
  test::write_text(folder / "users", "\"postgres\" \"\"\n");
  const std::string database = " user=postgres dbname=postgres";
  test::give_to_server_user(folder.path());
  test::Process pooler(
      {.arguments = test::as_server_user({"/usr/sbin/pgbouncer", (folder / "ini").string()})});
  const std::string target =
      "host=" + folder.path().string() + " port=" + std::to_string(port) + database;
  Error error(ErrorKind::kBug, "never tried");
  for (int attempt = 0; attempt < 100 && pooler.running(); ++attempt) {
    error = failure_of(target);
    if (error.message().find("No such file") == std::string::npos) break;
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  EXPECT_EQ(error.kind(), ErrorKind::kRefused) << error.message() << pooler.err();
  EXPECT_THAT(error.message(), HasSubstr("pooler"));
  EXPECT_THAT(error.hint(), HasSubstr("PgBouncer"));
}

INSTANTIATE_TEST_SUITE_P(Mode, ThroughPgBouncer,
                         testing::Values("transaction", "statement", "session"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST(Slots, ThatAreAllInUseSayWhatToRaise) {
  test::PostgresCluster cluster({.settings = {"max_replication_slots = 1"}});
  cluster.start();
  const std::stop_source stop;
  Session first = Session::connect(cluster.connection(), stop.get_token());
  Session second = Session::connect(cluster.connection(), stop.get_token());
  first.reserve_wal("one");
  try {
    second.reserve_wal("two");
    FAIL() << "two slots in the place of one";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
    EXPECT_THAT(error.hint(), HasSubstr("max_replication_slots"));
  }
}

TEST(Server, WithMinimalWalSaysWhatABackupNeeds) {
  test::PostgresCluster cluster({.settings = {"wal_level = minimal", "max_wal_senders = 0"}});
  cluster.start();
  const std::stop_source stop;
  Session session = Session::connect(cluster.connection(), stop.get_token());
  EXPECT_EQ(session.server().wal_level, "minimal");
  try {
    session.start_backup("x", Session::Checkpoint::kFast);
    FAIL() << "a backup without WAL to make it whole";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
    EXPECT_THAT(error.hint(), HasSubstr("wal_level"));
  }
}

}  // namespace
}  // namespace holdfast
