#include "support/postgres_cluster.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::test {
namespace {

constexpr std::chrono::seconds kStartTimeout{120};
constexpr std::chrono::seconds kStopTimeout{120};
constexpr std::chrono::milliseconds kPollInterval{20};
constexpr int kRequiredVersion = 15;
constexpr int kOldestVersion = 13;
constexpr int kNewestVersion = 18;

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using OwnedConnection = std::unique_ptr<PGconn, CloseConnection>;
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using OwnedResult = std::unique_ptr<PGresult, ClearResult>;

OwnedConnection connect(const std::string& connection) {
  OwnedConnection result(PQconnectdb(connection.c_str()));
  if (PQstatus(result.get()) != CONNECTION_OK) {
    throw std::runtime_error(PQerrorMessage(result.get()));
  }
  PQsetNoticeReceiver(result.get(), [](void*, const PGresult*) {}, nullptr);
  return result;
}

std::vector<std::vector<std::string>> execute(PGconn* connection, const std::string& statements) {
  const OwnedResult result(PQexec(connection, statements.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(statements + ": " + PQerrorMessage(connection));
  }
  std::vector<std::vector<std::string>> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    auto& cells = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      cells.emplace_back(PQgetvalue(result.get(), row, column));
    }
  }
  return rows;
}

// Every process that descends from `parent`, told by /proc.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    try {
      // "pid (program) state parent": the program's name may hold anything.
      const std::string stat = read_text(entry.path() / "stat");
      const std::string rest = stat.substr(stat.rfind(')') + 4);
      if (std::stoi(rest) == parent) result.push_back(std::stoi(name));
    } catch (const std::exception&) {
      continue;  // it has ended meanwhile
    }
  }
  return result;
}

bool is_alive(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

std::string environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

}  // namespace

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool done = bind(fd, generic, size) == 0 && getsockname(fd, generic, &size) == 0;
  close(fd);
  if (!done) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

bool ServerPrograms::has(const std::string& program) const {
  return access((bin_directory / program).c_str(), X_OK) == 0;
}

ServerPrograms default_server() {
  const std::string chosen = environment("HOLDFAST_TEST_PG15_BIN");
  ServerPrograms server{kRequiredVersion, chosen.empty() ? "/usr/lib/postgresql/15/bin" : chosen};
  if (!server.has("initdb")) {
    throw std::runtime_error("PostgreSQL 15 is not installed: " + server.bin_directory.string());
  }
  return server;
}

std::vector<ServerPrograms> available_servers() {
  std::vector<ServerPrograms> result;
  for (int major = kOldestVersion; major <= kNewestVersion; ++major) {
    const std::string folder = environment("HOLDFAST_TEST_PG" + std::to_string(major) + "_BIN");
    if (major == kRequiredVersion) {
      result.push_back(default_server());
    } else if (!folder.empty()) {
      result.push_back({major, folder});
      if (!result.back().has("initdb")) throw std::runtime_error("no PostgreSQL in " + folder);
    }
  }
  return result;
}

std::filesystem::path client_program(const std::string& name) {
  const auto servers = available_servers();
  const auto found = std::find_if(servers.rbegin(), servers.rend(),
                                  [&](const ServerPrograms& server) { return server.has(name); });
  if (found == servers.rend()) throw std::runtime_error("no " + name + " here");
  return found->bin_directory / name;
}

struct PostgresCluster::State {
  explicit State(ClusterOptions chosen) : options(std::move(chosen)) {}

  ClusterOptions options;
  TempFolder folder;
  std::filesystem::path data_directory;
  std::filesystem::path socket_directory;
  int port = 0;
  std::optional<Process> process;

  std::filesystem::path log_path() const { return folder / "log"; }
  std::string log() const {
    return std::filesystem::exists(log_path()) ? read_text(log_path()) : "";
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + "\n" + log());
  }
};

PostgresCluster::PostgresCluster(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->socket_directory = state_->folder / "s";
  std::filesystem::create_directory(state_->socket_directory);
  give_to_server_user(state_->folder.path());
}

PostgresCluster::PostgresCluster(ClusterOptions options)
    : PostgresCluster(std::make_unique<State>(std::move(options))) {
  State& state = *state_;
  state.data_directory = state.folder / "data";
  std::vector<std::string> arguments{(state.options.programs.bin_directory / "initdb").string(),
                                     "-D",
                                     state.data_directory.string(),
                                     "-U",
                                     "postgres",
                                     "-A",
                                     "trust",
                                     "-E",
                                     "UTF8",
                                     "--locale=C",
                                     "--no-sync"};
  constexpr int kChecksumsDefaultOnSince = 18;
  if (state.options.checksums == Checksums::kOn) {
    arguments.emplace_back("--data-checksums");
  } else if (state.options.programs.major_version >= kChecksumsDefaultOnSince) {
    arguments.emplace_back("--no-data-checksums");
  }
  if (state.options.wal_segment_mib) {
    arguments.push_back("--wal-segsize=" + std::to_string(*state.options.wal_segment_mib));
  }
  for (const std::string& argument : state.options.initdb_arguments) arguments.push_back(argument);
  run_or_throw({.arguments = as_server_user(arguments), .folder = state.folder.path()});

  std::string settings =
      "fsync = off\njit = off\nwal_level = replica\nmax_wal_senders = 5\n"
      "max_replication_slots = 5\nwal_keep_size = 256MB\nlog_line_prefix = '%m [%p] '\n";
  for (const std::string& line : state.options.settings) settings += line + "\n";
  append_text(state.data_directory / "postgresql.conf", settings);
}

PostgresCluster PostgresCluster::on(const std::filesystem::path& data_directory,
                                    ClusterOptions options) {
  PostgresCluster cluster(std::make_unique<State>(std::move(options)));
  cluster.state_->data_directory = data_directory;
  std::string settings;
  for (const std::string& line : cluster.state_->options.settings) settings += line + "\n";
  if (!settings.empty()) append_text(data_directory / "postgresql.auto.conf", settings);
  return cluster;
}

PostgresCluster::PostgresCluster(PostgresCluster&&) noexcept = default;
PostgresCluster& PostgresCluster::operator=(PostgresCluster&&) noexcept = default;

PostgresCluster::~PostgresCluster() {
  if (!state_ || !state_->process) return;
  try {
    stop(Shutdown::kImmediate);
  } catch (const std::exception&) {
    kill();
  }
}

namespace {

// A copy taken in backup mode, for servers that come without pg_basebackup.
void copy_in_backup_mode(PostgresCluster& primary, const std::filesystem::path& target) {
  constexpr int kFunctionsRenamedIn = 15;
  const bool renamed = primary.programs().major_version >= kFunctionsRenamedIn;
  const OwnedConnection session = connect(primary.connection());
  execute(session.get(), renamed ? "select pg_backup_start('standby', true)"
                                 : "select pg_start_backup('standby', true, false)");
  copy_while_in_use(primary.data_directory(), target);
  const auto stopped =
      execute(session.get(), renamed ? "select labelfile from pg_backup_stop(false)"
                                     : "select labelfile from pg_stop_backup(false, false)");
  write_text(target / "backup_label", stopped.at(0).at(0));
  for (const char* const name : {"postmaster.pid", "postmaster.opts"}) {
    std::filesystem::remove(target / name);
  }
  std::filesystem::remove_all(target / "pg_replslot");
  std::filesystem::create_directory(target / "pg_replslot");
}

}  // namespace

PostgresCluster PostgresCluster::standby_of(PostgresCluster& primary,
                                            const std::vector<std::string>& settings) {
  ClusterOptions options = primary.state_->options;
  options.settings = settings;
  PostgresCluster standby(std::make_unique<State>(options));
  State& state = *standby.state_;
  state.data_directory = state.folder / "data";
  if (state.options.programs.has("pg_basebackup")) {
    run_or_throw({.arguments = as_server_user(
                      {(state.options.programs.bin_directory / "pg_basebackup").string(), "-D",
                       state.data_directory.string(), "-d", primary.connection(), "-c", "fast",
                       "--no-sync", "-X", "stream"})});
  } else {
    copy_in_backup_mode(primary, state.data_directory);
  }
  std::string lines = "primary_conninfo = '" + primary.connection() + "'\nhot_standby = on\n";
  for (const std::string& line : settings) lines += line + "\n";
  append_text(state.data_directory / "postgresql.auto.conf", lines);
  write_text(state.data_directory / "standby.signal", "");
  give_to_server_user(state.data_directory);
  return standby;
}

bool PostgresCluster::try_start() {
  State& state = *state_;
  state.port = free_port();
  // setpriv's --pdeathsig: no server survives a test program that was killed, or the thread in it
  // that started the server.
  state.process.emplace(Command{
      .arguments = as_server_user(
          {"setpriv", "--pdeathsig", "INT", "sh", "-c", "exec \"$0\" \"$@\" >>\"$HFT_LOG\" 2>&1",
           (state.options.programs.bin_directory / "postgres").string(), "-D",
           state.data_directory.string(), "-p", std::to_string(state.port), "-k",
           state.socket_directory.string(), "-c", "listen_addresses=127.0.0.1"}),
      .environment = {{"HFT_LOG", state.log_path().string()}, {"LC_ALL", "C"}},
      .folder = state.folder.path()});
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (state.process->running()) {
    if (PQping(connection().c_str()) == PQPING_OK) return true;
    if (std::chrono::steady_clock::now() > deadline) state.fail("PostgreSQL does not get ready");
    std::this_thread::sleep_for(kPollInterval);
  }
  state.process.reset();
  return false;
}

void PostgresCluster::start() {
  constexpr int kAttemptsMax = 3;  // somebody else may take the free port first
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (try_start()) return;
    if (state_->log().find("could not bind") == std::string::npos) break;
  }
  state_->fail("PostgreSQL did not start");
}

void PostgresCluster::stop(Shutdown how) {
  State& state = *state_;
  if (!state.process) return;
  state.process->send(how == Shutdown::kFast ? SIGINT : SIGQUIT);
  const Outcome outcome = state.process->wait(kStopTimeout);
  state.process.reset();
  if (outcome.timed_out) state.fail("PostgreSQL did not stop");
}

void PostgresCluster::kill() {
  State& state = *state_;
  if (!state.process) return;
  // Stopped first, so that it starts no further processes while they are being collected.
  state.process->send(SIGSTOP);
  const std::vector<pid_t> children = children_of(state.process->pid());
  state.process->send(SIGKILL);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  state.process->wait(kStopTimeout);
  state.process.reset();
  for (const pid_t child : children) {
    while (is_alive(child)) std::this_thread::sleep_for(kPollInterval);
  }
}

bool PostgresCluster::running() {
  return state_->process && state_->process->running();
}

void PostgresCluster::promote() {
  sql("select pg_promote(true, 60)");
  wait_for("not pg_is_in_recovery()");
}

std::vector<std::vector<std::string>> PostgresCluster::rows(const std::string& statements) const {
  const OwnedConnection session = connect(connection());
  return execute(session.get(), statements);
}

std::string PostgresCluster::sql(const std::string& statements) const {
  const auto result = rows(statements);
  return result.empty() || result[0].empty() ? "" : result[0][0];
}

std::string PostgresCluster::connection(const std::string& user) const {
  return "host=" + state_->socket_directory.string() + " port=" + std::to_string(state_->port) +
         " user=" + user + " dbname=postgres";
}

std::string PostgresCluster::tcp_connection(const std::string& user) const {
  return "host=127.0.0.1 port=" + std::to_string(state_->port) + " user=" + user +
         " dbname=postgres";
}

void PostgresCluster::wait_for(const std::string& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (sql("select " + condition) != "t") {
    if (std::chrono::steady_clock::now() > deadline) state_->fail("never true: " + condition);
    std::this_thread::sleep_for(kPollInterval);
  }
}

const ServerPrograms& PostgresCluster::programs() const {
  return state_->options.programs;
}
const std::filesystem::path& PostgresCluster::data_directory() const {
  return state_->data_directory;
}
const std::filesystem::path& PostgresCluster::socket_directory() const {
  return state_->socket_directory;
}
int PostgresCluster::port() const {
  return state_->port;
}
pid_t PostgresCluster::pid() const {
  return state_->process ? state_->process->pid() : -1;
}
std::string PostgresCluster::log() const {
  return state_->log();
}

WriteLoad::WriteLoad(const PostgresCluster& cluster) : connection_(cluster.connection()) {
  cluster.sql(
      "create table if not exists load (number bigint primary key, rewritten int default 0,"
      " filler text);"
      "create table if not exists load_churn (number bigint, filler text)");
  const std::string last = cluster.sql("select coalesce(max(number), 0) from load");
  committed_ = std::stoull(last);
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

WriteLoad::~WriteLoad() {
  stop();
}

void WriteLoad::work(const std::stop_token& stop) {
  try {
    const OwnedConnection session = connect(connection_);
    while (!stop.stop_requested()) {
      const std::uint64_t next = committed_ + 1;
      const std::string number = std::to_string(next);
      const std::string older = std::to_string(((next * 2654435761U) >> 7U) % next);
      execute(session.get(),
              "begin; insert into load values (" + number + ", 0, repeat(md5('" + number +
                  "'), 20)); update load set rewritten = rewritten + 1 where number = " + older +
                  "; insert into load_churn values (" + number + ", repeat('x', 500));" +
                  (next % 100 == 0 ? "delete from load_churn where number < " + number + ";" : "") +
                  "commit");
      committed_ = next;
    }
  } catch (const std::exception&) {
    // The server is gone: tests stop and kill it under load.
  }
  ended_ = true;
}

void WriteLoad::wait_for_more(std::uint64_t transactions) const {
  const std::uint64_t goal = committed_ + transactions;
  while (committed_ < goal && !ended_) std::this_thread::sleep_for(kPollInterval);
  if (committed_ < goal) throw std::runtime_error("the write load has ended");
}

std::uint64_t WriteLoad::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  return committed_;
}

}  // namespace holdfast::test
