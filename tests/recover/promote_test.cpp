// A recovered copy takes the place of the cluster, and gives it back: with an application that
// writes, on real servers.
#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "support/promoting.h"
#include "support/test_http_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<std::string> with(std::vector<std::string> lines,
                              const std::vector<std::string>& more) {
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

// Whatever a test comes to.
struct StopsServers {
  std::vector<fs::path> directories;
  ~StopsServers() {
    for (const fs::path& directory : directories) quit_server_in(directory);
  }
};

std::string answer_of_server(const std::string& connection, const std::string& statement) {
  const Outcome outcome =
      test::run({.arguments = as_server_user(
                     {client_program("psql").string(), "-XAt", "-c", statement, connection})});
  return outcome.ok() ? outcome.out.substr(0, outcome.out.find('\n')) : "";
}

class PromoteOn : public testing::TestWithParam<ServerPrograms> {};
INSTANTIATE_TEST_SUITE_P(Server, PromoteOn, testing::ValuesIn(available_servers()),
                         [](const auto& tested) {
                           return fmt::format("Version{}", tested.param.major_version);
                         });

// An application writes; somebody deletes what must not be deleted; the copy of just before takes
// the cluster's place; the application goes on; and everything is put back.
TEST_P(PromoteOn, TheWholeStory) {
  ArchivedCluster cluster({.programs = GetParam()});
  Promoting recover(cluster);
  PostgresCluster& server = cluster.server();
  server.sql(
      "create table orders (n int primary key); create table customers as "
      "select generate_series(1, 100) as n");
  cluster.holdfast().backup({"--type", "full"});
  Application application(server, cluster.holdfast().folder());
  const TestHttpServer health(
      [&](const TestRequest&) { return TestAnswer{.status = application.healthy() ? 200 : 503}; });
  cluster.holdfast().settings().lines =
      with(application.hooks(),
           {fmt::format("recover: {{approvals: 2, health: '{}'}}", health.url()),
            "checks:", "  - {name: customers, sql: select count(*) from customers, expect: 100}"});
  ASSERT_TRUE(application.goes_on());
  server.sql("select pg_create_restore_point('before')");
  const int orders_before = std::stoi(server.sql("select max(n) from orders"));
  server.sql("delete from customers");
  ASSERT_TRUE(application.goes_on());
  cluster.archive();

  recover.must({"start", "--target-name", "before"});
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& because) {
    const Answer answer = recover.run(arguments);
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    EXPECT_THAT(answer.error(), HasSubstr(because));
  };
  const std::vector<std::string> promote{"promote", "--confirm", "demo"};
  refused(promote, "was not checked");
  refused({"approve", "--by", "Ada"}, "was not checked");
  EXPECT_TRUE(recover.must({"check"}).at("verdict").at("passed"));
  refused(promote, "0 of the 2 approvals");
  recover.must({"approve", "--by", "Ada"});
  refused({"approve", "--by", "Ada"}, "approved it already");
  refused(promote, "1 of the 2 approvals");
  recover.must({"approve", "--by", "Grace"});
  refused({"promote"}, "was not typed");
  refused({"promote", "--confirm", "another"}, "not the cluster's");
  refused({"rollback", "--confirm", "demo"}, "was not promoted");
  EXPECT_EQ(server.sql("select count(*) from customers"), "0") << "nothing has happened yet";

  const Json promoted = recover.must(promote);
  EXPECT_EQ(promoted.at("state"), "promoted") << promoted.dump(1);
  EXPECT_EQ(server.sql("select count(*) from customers"), "100");
  EXPECT_GE(std::stoi(server.sql("select max(n) from orders")), orders_before);
  EXPECT_EQ(server.sql("show archive_mode"), "on");
  EXPECT_EQ(server.sql("select timeline_id from pg_control_checkpoint()"), "2");
  EXPECT_TRUE(application.goes_on());
  const fs::path aside = recover.aside();
  EXPECT_TRUE(fs::exists(aside / "PG_VERSION"));
  EXPECT_FALSE(recover.starts(aside)) << "two servers";
  EXPECT_EQ(cluster.holdfast().listed().size(), 2U);
  for (const Json& report : promoted.at("reports")) {
    EXPECT_THAT(read_text(report.get<std::string>()), HasSubstr("Grace"));
  }
  refused({"check"}, "promotion of this recovery has begun");
  refused({"start"}, "promotion of this recovery has begun");
  cluster.archive();  // its WAL flows

  // Of one place one promotion at a time.
  const fs::path other = recover.record("other");
  std::string other_record = read_text(recover.record());
  other_record.replace(other_record.find("\"recovery\""), 10, "\"other\"");
  write_text(other, other_record);
  give_to_server_user(other);
  refused({"promote", "other", "--confirm", "demo"}, "another recovery was promoted");
  fs::remove(other);
  // Nothing is stopped for a way back that is not there.
  fs::rename(aside, aside.native() + ".elsewhere");
  refused({"rollback", "--confirm", "demo"}, "nothing to go back to");
  EXPECT_TRUE(application.goes_on());
  fs::rename(aside.native() + ".elsewhere", aside);
  refused({"rollback"}, "was not typed");
  const Json rolled_back = recover.must({"rollback", "--confirm", "demo"});
  EXPECT_EQ(rolled_back.at("state"), "rolled back") << rolled_back.dump(1);
  EXPECT_EQ(server.sql("select count(*) from customers"), "0");
  EXPECT_EQ(server.sql("select timeline_id from pg_control_checkpoint()"), "1");
  EXPECT_FALSE(fs::exists(aside));
  EXPECT_TRUE(application.goes_on());
  cluster.archive();  // and its own flows again
  refused(promote, "was rolled back");
  recover.must({"abandon", "--yes"});
  EXPECT_TRUE(application.goes_on());
}

// On a machine that has nothing but the program, the configuration and the repository.
TEST_P(PromoteOn, AfterATotalLoss) {
  ArchivedCluster cluster({.programs = GetParam()});
  Promoting recover(cluster);
  cluster.server().sql("create table t as select generate_series(1, 10) as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  const fs::path place = recover.place();
  const std::string connection = cluster.server().connection();
  const std::string options = fmt::format("-p {} -k {}", cluster.server().port(),
                                          cluster.server().socket_directory().string());
  cluster.server().stop();
  const fs::path elsewhere = place.native() + ".elsewhere";
  fs::rename(place, elsewhere);
  cluster.holdfast().settings().lines = {
      "recover: {approvals: 0}", "hooks:",
      fmt::format("  start_server: {{run: \"{}/pg_ctl start -w -s -D $HF_DATA_DIRECTORY -l "
                  "$HF_DATA_DIRECTORY.log -o '{}'\"}}",
                  cluster.server().programs().bin_directory.string(), options)};
  recover.must({"start"});
  EXPECT_TRUE(recover.must({"check"}).at("verdict").at("passed"));
  const Answer refused = recover.run({"promote", "--confirm", "demo"});
  EXPECT_EQ(refused.outcome.exit_code, 3);
  EXPECT_THAT(refused.error(), HasSubstr("--lost"));
  const std::vector<std::string> promote{"promote", "--confirm", "demo", "--lost",
                                         "the disk is gone"};
  {
    // It is not lost, but runs on another disk.
    PostgresCluster alive = PostgresCluster::on(elsewhere, {.programs = GetParam()});
    alive.start();
    cluster.holdfast().other_connection = alive.connection();
    const Answer answered = recover.run(promote);
    EXPECT_EQ(answered.outcome.exit_code, 3) << answered.text();
    EXPECT_THAT(answered.error(), HasSubstr("still answers"));
  }
  cluster.holdfast().other_connection.reset();
  fs::remove_all(elsewhere);
  const Json promoted = recover.must(promote);
  EXPECT_EQ(promoted.at("state"), "promoted") << promoted.dump(1);
  EXPECT_EQ(cluster.server().sql("select count(*) from t"), "10");
  EXPECT_EQ(recover.run({"rollback", "--confirm", "demo"}).outcome.exit_code, 3) << "to nothing";
  recover.must({"abandon", "--yes"});
  EXPECT_EQ(cluster.server().sql("select count(*) from t"), "10");
}

// Starts whatever server is not running, ten times a second, in the place of the cluster and where
// the old one was set aside: as a service manager that nobody told.
class ServiceManager {
 public:
  explicit ServiceManager(Promoting& recover)
      : server_(recover.cluster().server()),
        place_(recover.place()),
        told_to_stop_(recover.cluster().holdfast().folder() / "stop-server"),
        thread_([this](const std::stop_token& stop) {
          for (; !stop.stop_requested(); std::this_thread::sleep_for(kEvery)) start_all();
        }) {}

  // For the configuration; it listens to that until the old server is fenced.
  std::string stop_hook() const {
    return fmt::format("  stop_server: {{run: \"touch {}; sleep 0.5\"}}", told_to_stop_.string());
  }
  int refused() const { return refused_; }

 private:
  static constexpr std::chrono::milliseconds kEvery{100};

  void start_all() {
    const fs::path fenced = "global/pg_control.set-aside-by-holdfast";
    if (fs::exists(place_ / fenced)) fs::remove(told_to_stop_);
    if (fs::exists(told_to_stop_)) return;
    start(place_);
    for (const auto& entry : fs::directory_iterator(place_.parent_path())) {
      const std::string name = entry.path().filename();
      if (name.starts_with(place_.filename().string() + ".replaced-")) start(entry.path());
    }
  }
  void start(const fs::path& directory) {
    if (postmaster_of(directory) > 0) return;
    const Outcome outcome = test::run(
        {.arguments = as_server_user(
             {(server_.programs().bin_directory / "pg_ctl").string(), "start", "-W", "-s", "-D",
              directory.string(), "-l", (place_.parent_path() / "manager.log").string(), "-o",
              fmt::format("-p {} -k {}", server_.port(), server_.socket_directory().string())})});
    std::this_thread::sleep_for(kEvery);
    if (!outcome.ok() || postmaster_of(directory) == 0) ++refused_;
  }

  const PostgresCluster& server_;
  const fs::path place_, told_to_stop_;
  std::atomic<int> refused_{0};
  std::jthread thread_;  // last: it uses the others
};

// Of an application that nobody stops: which timeline each order went to that was acknowledged.
class Orders {
 public:
  explicit Orders(const PostgresCluster& server)
      : thread_([this, &server](const std::stop_token& stop) {
          for (int n = 1; !stop.stop_requested(); ++n) {
            try {
              const std::string timeline = server.sql(fmt::format(
                  "insert into orders select {}, timeline_id from pg_control_checkpoint() "
                  "returning timeline",
                  n));
              const std::lock_guard lock(mutex_);
              acknowledged_.emplace_back(n, timeline);
            } catch (const std::exception&) {
              std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
          }
        }) {}
  std::vector<std::pair<int, std::string>> acknowledged() const {
    const std::lock_guard lock(mutex_);
    return acknowledged_;
  }
  std::string timeline() const {
    const auto all = acknowledged();
    return all.empty() ? "" : all.back().second;
  }
  void stop() { thread_ = {}; }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<int, std::string>> acknowledged_;
  std::jthread thread_;
};

TEST(Promote, NoTwoServersWriteWhileAServiceManagerStartsTheOldOneAllTheTime) {
  ArchivedCluster cluster;
  Promoting recover(cluster);
  PostgresCluster& server = cluster.server();
  server.sql("create table orders (n int primary key, timeline int)");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  recover.must({"start"});
  recover.must({"check"});
  Orders orders(server);
  ServiceManager manager(recover);
  ASSERT_TRUE(becomes_true([&] { return orders.timeline() == "1"; }));

  // It is not told: the old server is not fenced, and serves on; or it is, by luck.
  const std::vector<std::string> promote{"promote", "--confirm", "demo"};
  const Answer untold = recover.run(promote);
  if (!untold.ok()) {
    EXPECT_EQ(untold.outcome.exit_code, 3) << untold.text();
    EXPECT_THAT(untold.error(), HasSubstr("something starts the server again"));
    const std::size_t before = orders.acknowledged().size();
    EXPECT_TRUE(becomes_true([&] { return orders.acknowledged().size() > before; }));
    EXPECT_EQ(orders.timeline(), "1");
  }
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}", "hooks:", manager.stop_hook()};
  EXPECT_EQ(recover.must(promote).at("state"), "promoted");
  ASSERT_TRUE(becomes_true([&] { return orders.timeline() == "2"; }));
  EXPECT_GT(manager.refused(), 3) << "it should have tried";
  EXPECT_EQ(postmaster_of(recover.aside()), 0);
  orders.stop();
  int first_new = 0;
  for (const auto& [n, timeline] : orders.acknowledged()) {
    if (first_new == 0 && timeline == "2") first_new = n;
    EXPECT_EQ(timeline, first_new == 0 ? "1" : "2") << n << ": two servers";
    const std::string there =
        server.sql(fmt::format("select count(*) from orders where n = {}", n));
    EXPECT_EQ(there, timeline == "2" ? "1" : "0") << n;
  }
}

// A server that is gone without having said so may run where it cannot be seen.
TEST(Promote, AnOldServerThatDiedIsLostOnlyIfSomebodySaysSo) {
  ArchivedCluster cluster;
  Promoting recover(cluster);
  cluster.server().sql("create table t as select 1 as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  recover.must({"start"});
  recover.must({"check"});
  cluster.server().kill();
  const Answer refused = recover.run({"promote", "--confirm", "demo"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_THAT(refused.error(), HasSubstr("not shut down cleanly"));
  const Json promoted = recover.must({"promote", "--confirm", "demo", "--lost", "it died"});
  EXPECT_EQ(promoted.at("state"), "promoted") << promoted.dump(1);
  EXPECT_EQ(promoted.at("promotion").at("lost"), "it died");
  EXPECT_FALSE(recover.starts(recover.aside()));
}

// Two standbys that follow; one that cannot be started keeps nobody from going on.
TEST_P(PromoteOn, WithNewStandbys) {
  ArchivedCluster cluster({.programs = GetParam()});
  Promoting recover(cluster);
  PostgresCluster& server = cluster.server();
  server.sql("create table t as select generate_series(1, 10) as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  recover.must({"start"});
  recover.must({"check"});
  const fs::path under = cluster.holdfast().new_path("standbys");
  const std::vector<std::string> promote{"promote",
                                         "--confirm",
                                         "demo",
                                         "--instances",
                                         "3",
                                         "--standby-port",
                                         std::to_string(free_port(2)),
                                         "--standbys-under",
                                         under.string()};
  const fs::path first = under / (recover.place().filename().string() + ".standby-1");
  const fs::path second = under / (recover.place().filename().string() + ".standby-2");
  const StopsServers stops{{first, second}};
  fs::create_directories(second);
  write_text(second / "precious", "data");
  EXPECT_EQ(recover.run(promote).outcome.exit_code, 3) << "before anything is stopped";
  EXPECT_EQ(server.sql("select count(*) from t"), "10");
  fs::remove(second / "precious");

  // Killed while the first one is restored, and when it runs and nobody knows.
  EXPECT_EQ(recover.run(promote, "restore.window_written:kill").outcome.signal, SIGKILL);
  EXPECT_EQ(recover.status().at("steps").back().at("name"), "standby 1");
  EXPECT_EQ(recover.status().at("state"), "interrupted");
  EXPECT_EQ(recover.run({"abandon", "--yes"}).outcome.exit_code, 3);
  EXPECT_EQ(
      recover.run({"promote", "--confirm", "demo"}, "recover.step_worked:kill").outcome.signal,
      SIGKILL);
  EXPECT_GT(postmaster_of(first), 0);
  const Json promoted = recover.must({"promote", "--confirm", "demo"});
  EXPECT_EQ(promoted.at("state"), "promoted") << promoted.dump(1);
  server.sql("insert into t values (11)");
  for (const Json& standby : promoted.at("promotion").at("standbys")) {
    const std::string connection =
        fmt::format("host={} port={} user=postgres dbname=postgres",
                    server.socket_directory().string(), standby.at("port").get<int>());
    EXPECT_TRUE(becomes_true([&] {
      return answer_of_server(connection, "select count(*) from t") == "11";
    })) << connection;
    EXPECT_EQ(answer_of_server(connection, "select pg_is_in_recovery()"), "t");
  }
  EXPECT_EQ(server.sql("select count(*) from pg_stat_replication where state = 'streaming'"), "2");

  // They serve nobody when the old server is back.
  const Json back = recover.must({"rollback", "--confirm", "demo"});
  EXPECT_EQ(back.at("state"), "rolled back") << back.dump(1);
  for (const Json& standby : back.at("promotion").at("standbys")) {
    EXPECT_FALSE(fs::exists(standby.at("data_directory").get<std::string>()));
    const fs::path aside = standby.at("set_aside").get<std::string>();
    EXPECT_TRUE(fs::exists(aside / "PG_VERSION"));
    EXPECT_FALSE(recover.starts(aside));
  }
  EXPECT_EQ(server.sql("select count(*) from t"), "10");
}

TEST(Promote, ReplacesWhatASymbolicLinkLeadsTo) {
  ArchivedCluster cluster;
  Promoting recover(cluster);
  PostgresCluster& server = cluster.server();
  server.sql("create table t as select generate_series(1, 10) as n");
  cluster.holdfast().backup({"--type", "full"});
  server.sql("select pg_create_restore_point('before'); delete from t");
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  const fs::path link = cluster.holdfast().new_path("link");
  fs::create_symlink(recover.place(), link);
  const Variable linked("HOLDFAST_POSTGRES_DATA_DIRECTORY", link.string());
  recover.must({"start", "--target-name", "before"});
  recover.must({"check"});
  EXPECT_EQ(recover.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
  EXPECT_EQ(server.sql("select count(*) from t"), "10");
  EXPECT_EQ(fs::read_symlink(link), recover.place());
  EXPECT_EQ(recover.aside().parent_path(), recover.place().parent_path());
  EXPECT_FALSE(recover.starts(recover.aside())) << "two servers";
  cluster.archive();
  EXPECT_EQ(recover.must({"rollback", "--confirm", "demo"}).at("state"), "rolled back");
  EXPECT_EQ(server.sql("select count(*) from t"), "0");
  EXPECT_EQ(fs::read_symlink(link), recover.place());
  cluster.archive();
}

// Neither a directory of somebody else's is touched, nor a standby forgotten that is not asked for
// any more: it would go on as a server of the line that was taken back.
TEST(Promote, WithFewerStandbysThanWereBuilt) {
  ArchivedCluster cluster;
  Promoting recover(cluster);
  PostgresCluster& server = cluster.server();
  server.sql("create table t as select generate_series(1, 10) as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  recover.must({"start"});
  recover.must({"check"});
  const fs::path first = recover.place().native() + ".standby-1";
  const fs::path second = recover.place().native() + ".standby-2";
  const StopsServers stops{{first, second}};
  const Answer killed = recover.run({"promote", "--confirm", "demo", "--instances", "3",
                                     "--standby-port", std::to_string(free_port(2))},
                                    "recover.step_begun#12:kill");
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  ASSERT_TRUE(recover.is_under_way("standby 2"));
  ASSERT_FALSE(fs::exists(second));
  const fs::path fenced = second / "global/pg_control.set-aside-by-holdfast";
  fs::create_directories(fenced.parent_path());
  write_text(fenced, "of another server");
  give_to_server_user(second);

  const Answer refused = recover.run({"promote", "--confirm", "demo"});
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_THAT(refused.error(), HasSubstr("somebody else made"));
  EXPECT_EQ(read_text(fenced), "of another server");
  const Json promoted = recover.must({"promote", "--confirm", "demo", "--instances", "1"});
  EXPECT_EQ(promoted.at("state"), "promoted");
  EXPECT_GT(postmaster_of(first), 0);
  for (const Json& standby : promoted.at("promotion").at("standbys")) {
    EXPECT_TRUE(standby.at("dropped")) << standby.dump();
  }

  const Answer back = recover.run({"rollback", "--confirm", "demo"});
  ASSERT_TRUE(back.ok()) << back.text();
  EXPECT_THAT(back.text(), HasSubstr("standby-2 was left as it is"));
  EXPECT_FALSE(fs::exists(first));
  EXPECT_FALSE(recover.starts(
      back.result().at("promotion").at("standbys").at(0).at("set_aside").get<std::string>()));
  EXPECT_EQ(read_text(fenced), "of another server");
  EXPECT_EQ(server.sql("select count(*) from t"), "10");
}

}  // namespace
}  // namespace holdfast::test
