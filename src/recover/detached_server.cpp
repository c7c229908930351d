#include "recover/detached_server.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "postgres/connection.h"
#include "postgres/local_server.h"
#include "system/files.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kEndPoll{50};
constexpr std::chrono::minutes kEndPatience{10};

// Replay is at its end of what there is when the startup process sleeps before it asks again.
constexpr const char* kPosition =
    "select pg_is_in_recovery(), "
    "case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end, "
    "exists(select from pg_stat_activity where backend_type = 'startup' "
    "and wait_event = 'RecoveryRetrieveRetryInterval'), "
    "coalesce(pg_last_wal_replay_lsn(), '0/0'), "
    "(extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint, "
    "current_setting('max_connections'), current_setting('max_worker_processes'), "
    "current_setting('max_wal_senders'), current_setting('max_prepared_transactions'), "
    "current_setting('max_locks_per_transaction')";

StandbySettings settings_in(const Connection::Row& row, std::size_t first) {
  const auto number = [&](std::size_t at) { return std::stoi(row.at(first + at).value_or("0")); };
  return {.max_connections = number(0),
          .max_worker_processes = number(1),
          .max_wal_senders = number(2),
          .max_prepared_transactions = number(3),
          .max_locks_per_transaction = number(4)};
}

}  // namespace

DetachedServer::DetachedServer(CopyServerOptions options, fs::path folder)
    : options_(std::move(options)), folder_(std::move(folder)) {}

DetachedServer::~DetachedServer() {
  if (child_) child_->leave_running();
}

std::optional<pid_t> copy_postmaster(const fs::path& data_directory) {
  const auto file = read_postmaster_file(data_directory);
  if (!file) return std::nullopt;
  // Readable by everybody, unlike the working directory of another user's process.
  std::ifstream in(fmt::format("/proc/{}/cmdline", file->pid), std::ios::binary);
  const std::string words(std::istreambuf_iterator<char>(in), {});
  const std::string ours = std::string("-D") + '\0' + data_directory.native() + '\0';
  if (words.find(ours) == std::string::npos) return std::nullopt;
  return file->pid;
}

bool DetachedServer::running() {
  return pid() > 0;
}

pid_t DetachedServer::pid() {
  if (child_ && !child_->ended()) return child_->pid();  // also before it has written its file
  return copy_postmaster(options_.data_directory).value_or(0);
}

void DetachedServer::start(CopyWal wal) {
  started_with_ = read_standby_settings(options_.data_directory);
  log_from_ = end_of_log(options_.log);
  if (child_) child_->leave_running();  // it has ended
  child_.emplace(prepare_copy_server(options_, {.folder = folder_,
                                                .user = copy_server_user(options_.data_directory),
                                                .readable = started_with_,
                                                .wal = wal}));
}

void DetachedServer::end(int signal, const std::stop_token& stop) {
  const pid_t server = pid();
  if (server <= 0) return;
  if (::kill(server, signal) != 0 && errno != ESRCH) {
    throw_errno(errno, "stop PostgreSQL on", options_.data_directory.native());
  }
  const auto deadline = std::chrono::steady_clock::now() + kEndPatience;
  while (running()) {
    check_cancelled(stop);
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::kPostgres, "PostgreSQL on the recovered copy does not stop",
                  {.object = options_.data_directory});
    }
    std::this_thread::sleep_for(kEndPoll);
  }
}

void DetachedServer::stop(const std::stop_token& stop) {
  end(SIGINT, stop);
}

void DetachedServer::kill(const std::stop_token& stop) {
  end(SIGQUIT, stop);
}

const std::string& DetachedServer::superuser(const std::stop_token& stop) {
  for (const std::string& role : options_.known_roles) {
    if (!superuser_.empty()) break;
    try {
      Connection session(copy_connection({folder_, options_.major_version}, role, "template1"),
                         stop);
      // initdb's first role, which cannot be dropped.
      const auto rows = session.query("select rolname from pg_roles where oid = 10", {});
      if (!rows.empty()) superuser_ = rows.at(0).at(0).value_or("");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres) throw;
      last_refusal_ = error.message();
    }
  }
  return superuser_;
}

std::string DetachedServer::connection(const std::string& database, const std::stop_token& stop) {
  const std::string& role = superuser(stop);
  if (role.empty()) {
    throw Error(ErrorKind::kPostgres, "no session on the recovered copy: " + last_refusal_,
                {.object = options_.data_directory,
                 .hint = "The role of postgres.connection, or a role postgres, has to exist in "
                         "the backup."});
  }
  return copy_connection({folder_, options_.major_version}, role, database);
}

std::optional<DetachedServer::Position> DetachedServer::position(const std::stop_token& stop) {
  if (superuser(stop).empty()) return std::nullopt;
  try {
    Connection session(connection("template1", stop), stop);
    const auto row = session.query(kPosition, {}).at(0);
    Position position{.recovering = row.at(0) == "t",
                      .paused = row.at(1) == "t",
                      .awaits_wal = row.at(2) == "t",
                      .replayed = parse_lsn(row.at(3).value_or("")).value_or(Lsn{})};
    if (row.at(4)) {
      position.last_transaction = Timestamp(std::chrono::microseconds(std::stoll(*row.at(4))));
    }
    position.outgrown =
        !covers(settings_in(row, 5), read_standby_settings(options_.data_directory));
    return position;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kPostgres) throw;
    last_refusal_ = error.message();  // it stops, perhaps
    return std::nullopt;
  }
}

std::string DetachedServer::segment() {
  const pid_t server = pid();
  return server > 0 ? replaying_segment(server) : "";
}

bool DetachedServer::ended_outgrown() const {
  return child_ && !covers(started_with_, read_standby_settings(options_.data_directory));
}

void DetachedServer::pause_replay(const std::stop_token& stop) {
  Connection session(connection("template1", stop), stop);
  session.query("select pg_wal_replay_pause()", {});
}

void DetachedServer::promote(const std::stop_token& stop) {
  Connection session(connection("template1", stop), stop);
  session.query("select pg_promote(false)", {});
  const auto deadline = std::chrono::steady_clock::now() + kEndPatience;
  while (session.query("select pg_is_in_recovery()", {}).at(0).at(0) == "t") {
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::kPostgres, "PostgreSQL on the recovered copy does not promote",
                  {.object = options_.data_directory,
                   .hint = fmt::format("Read {}.", options_.log.native())});
    }
    check_cancelled(stop);
    std::this_thread::sleep_for(kEndPoll);
  }
}

void DetachedServer::await_open(const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + kEndPatience;
  while (running()) {
    const auto now = position(stop);
    if (now && !now->recovering) return;
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::kPostgres,
                  "PostgreSQL on the recovered copy gives no session: " + last_refusal_,
                  {.object = options_.data_directory,
                   .hint = fmt::format("Read {}.", options_.log.native())});
    }
    check_cancelled(stop);
    std::this_thread::sleep_for(kEndPoll);
  }
  if (child_) throw_ended();
}

void DetachedServer::throw_ended() {
  throw Error(
      ErrorKind::kPostgres,
      "PostgreSQL on the recovered copy ended: " + last_complaints(options_.log, log_from_),
      {.object = options_.data_directory, .hint = fmt::format("Read {}.", options_.log.native())});
}

}  // namespace holdfast
