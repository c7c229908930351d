#include "postgres/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <poll.h>

#include "core/cancellation.h"
#include "postgres/libpq.h"

namespace holdfast {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::seconds kConnectTimeout{15};
constexpr std::chrono::milliseconds kStopCheckInterval{100};
// How long a cancelled statement may take to end; then the connection is given up.
constexpr std::chrono::milliseconds kCancelPatience{1000};
constexpr int kRowsMax = 1'000'000;

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { libpq().conninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

std::string_view option(const Options& options, std::string_view keyword) {
  for (const PQconninfoOption* at = options.get(); at != nullptr && at->keyword != nullptr; ++at) {
    if (keyword == at->keyword && at->val != nullptr) return at->val;
  }
  return {};
}

void refuse_unparsable(const std::string& connection) {
  char* message = nullptr;
  const Options options(libpq().conninfoParse(connection.c_str(), &message));
  // libpq's own message quotes the string, and with it perhaps the password.
  if (message != nullptr) libpq().freemem(message);
  if (options) return;
  throw Error(ErrorKind::kConfiguration, "the connection string of PostgreSQL cannot be parsed",
              {.object = "postgres.connection",
               .hint = "Write it as libpq does: \"host=/var/run/postgresql user=postgres "
                       "dbname=postgres\" or \"postgresql://user@host:5432/postgres\"; values with "
                       "spaces stand in single quotes."});
}

std::string describe(const Options& options) {
  std::string text;
  for (const char* const keyword : {"host", "hostaddr", "port", "dbname", "user"}) {
    const std::string_view value = option(options, keyword);
    if (!value.empty()) text += fmt::format("{}{}={}", text.empty() ? "" : " ", keyword, value);
  }
  return text;
}

std::chrono::seconds connect_timeout(const Options& options) {
  const std::string_view text = option(options, "connect_timeout");
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || seconds <= 0) {
    return kConnectTimeout;
  }
  return std::chrono::seconds{seconds};
}

void ignore_notice(void*, const PGresult*) {}

struct SqlstateHint {
  std::string_view sqlstate;  // or its class, the first two characters
  std::string_view hint;
};
constexpr std::array kSqlstateHints{
    SqlstateHint{"42501",
                 "The role lacks a privilege. Create a role with the SQL that `holdfast init` "
                 "prints, or GRANT it EXECUTE on the function that the message names, in the "
                 "database that postgres.connection names."},
    SqlstateHint{"53400",
                 "Every replication slot is in use. Raise max_replication_slots (needs a restart), "
                 "or drop a slot that nobody uses: select * from pg_replication_slots."},
    SqlstateHint{"53300",
                 "The server has no free connection for this role. Raise max_connections, or close "
                 "connections."},
    SqlstateHint{"55000",
                 "The server is not in the state that this needs. For backups wal_level must be "
                 "replica or logical, and max_replication_slots above 0; both need a restart."},
    SqlstateHint{"57P03", "The server is starting or stopping. Try again when it is up."},
    SqlstateHint{"57P01", "The server is shutting down, or an administrator ended the session."},
    SqlstateHint{"57P02", "The server crashed or was stopped at once. See its log."},
    SqlstateHint{"3D000", "Name a database that exists in postgres.connection (dbname=...)."},
    SqlstateHint{"28",
                 "The server refused the login. Check user and password (passfile, PGPASSWORD) in "
                 "postgres.connection and the server's pg_hba.conf."},
};

struct MessageHint {
  std::string_view part;
  std::string_view hint;
};
// For failures that never reached a server, and so have no SQLSTATE.
constexpr std::array kMessageHints{
    MessageHint{"Connection refused",
                "No server listens there. Start PostgreSQL, or correct host and port in "
                "postgres.connection."},
    MessageHint{"No such file or directory",
                "No server has its socket there. Start PostgreSQL, or correct host (the folder of "
                "the socket: unix_socket_directories) and port in postgres.connection."},
    MessageHint{"could not translate host name", "Correct the host in postgres.connection."},
    MessageHint{"no password supplied",
                "The server wants a password: use a passfile (~/.pgpass, passfile=...)."},
    MessageHint{"Permission denied", "Run holdfast as the user that owns the data directory."},
    MessageHint{"SSL", "Check sslmode, sslrootcert and sslcert in postgres.connection."},
    MessageHint{"certificate", "Check sslmode, sslrootcert and sslcert in postgres.connection."},
};
// Each line about one address. A name that cannot be looked up at the moment may be a server's.
constexpr std::string_view kCannotConnect = "cannot connect to PostgreSQL: ";
constexpr std::string_view kBetweenLines = "; ";
constexpr std::array<std::string_view, 4> kNobodyThere{
    "Connection refused", "No such file or directory", "Name or service not known",
    "No route to host"};

constexpr std::string_view kNoServerHint =
    "Check that PostgreSQL runs and that postgres.connection is right.";

// "FATAL:  28P01: password authentication failed": the SQLSTATE stands there because the
// connection was told to be verbose while it is opened.
std::string sqlstate_in(std::string_view message) {
  constexpr std::size_t kSqlstateLength = 5;
  for (const std::string_view severity : {"FATAL:  ", "ERROR:  "}) {
    const auto at = message.find(severity);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = message.substr(at + severity.size());
    if (rest.size() > kSqlstateLength && rest[kSqlstateLength] == ':') {
      return std::string(rest.substr(0, kSqlstateLength));
    }
  }
  return {};
}

// One line, without libpq's advice (ours is better) and the place in the server's source.
std::string in_one_line(std::string_view message) {
  std::string result;
  while (!message.empty()) {
    const auto end = std::min(message.find('\n'), message.size());
    const std::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    if (line.empty() || line.starts_with('\t') || line.starts_with("LOCATION:")) continue;
    result += fmt::format("{}{}", result.empty() ? "" : kBetweenLines, line);
  }
  return result;
}

bool is_transient(std::string_view sqlstate) {
  return sqlstate.starts_with("57P0") || sqlstate.starts_with("53") || sqlstate.starts_with("08");
}

// False when `until` passed first.
bool poll_until(int socket, short events, SteadyTime until) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  pollfd entry{socket, events, 0};
  const int ready =
      ::poll(&entry, 1, static_cast<int>(std::max(left, std::chrono::milliseconds{0}).count()));
  if (ready < 0 && errno != EINTR) throw_errno(errno, "wait for", "the connection to PostgreSQL");
  return ready > 0;
}

[[noreturn]] void throw_result(const PGresult* result, const std::string& target) {
  const auto field = [&](int code) {
    const char* const value = libpq().resultErrorField(result, code);
    return std::string_view(value == nullptr ? "" : value);
  };
  const std::string sqlstate(field(PG_DIAG_SQLSTATE));
  std::string message(field(PG_DIAG_MESSAGE_PRIMARY));
  if (message.empty()) message = in_one_line(libpq().resultErrorMessage(result));
  if (!field(PG_DIAG_MESSAGE_DETAIL).empty()) {
    message += fmt::format(" ({})", field(PG_DIAG_MESSAGE_DETAIL));
  }
  std::string hint = hint_for_sqlstate(sqlstate);
  if (hint.empty()) hint = field(PG_DIAG_MESSAGE_HINT);
  throw Error(ErrorKind::kPostgres,
              fmt::format("PostgreSQL: {}{}", message,
                          sqlstate.empty() ? "" : fmt::format(" [SQLSTATE {}]", sqlstate)),
              {.object = target, .hint = std::move(hint), .retryable = is_transient(sqlstate)});
}

}  // namespace

bool says_no_server(const Error& error) {
  std::string_view left = error.message();
  if (error.kind() != ErrorKind::kPostgres || !left.starts_with(kCannotConnect)) return false;
  left.remove_prefix(kCannotConnect.size());
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(kBetweenLines), left.size());
    const std::string_view line = left.substr(0, end);
    if (std::ranges::none_of(kNobodyThere, [&](std::string_view words) {
          return line.find(words) != std::string_view::npos;
        })) {
      return false;
    }
    left.remove_prefix(std::min(end + kBetweenLines.size(), left.size()));
  }
  return true;
}

std::string hint_for_sqlstate(std::string_view sqlstate) {
  for (const SqlstateHint& entry : kSqlstateHints) {
    if (!sqlstate.empty() && sqlstate.starts_with(entry.sqlstate)) return std::string(entry.hint);
  }
  return {};
}

void Connection::CloseConnection::operator()(pg_conn* connection) const {
  libpq().finish(connection);
}
void Connection::ClearResult::operator()(pg_result* result) const {
  libpq().clear(result);
}

Connection::Connection(const std::string& connection, std::stop_token stop)
    : stop_(std::move(stop)) {
  check_cancelled(stop_);
  refuse_unparsable(connection);
  open(connection);
}

void Connection::open(const std::string& connection) {
  const std::array<const char*, 4> keywords{"dbname", "application_name", "client_encoding",
                                            nullptr};
  const std::array<const char*, 4> values{connection.c_str(), "holdfast", "UTF8", nullptr};
  constexpr int kExpandDbname = 1;
  connection_.reset(libpq().connectStartParams(keywords.data(), values.data(), kExpandDbname));
  if (!connection_) throw Error(ErrorKind::kHost, "not enough memory to connect to PostgreSQL");
  const Options options(libpq().conninfo(connection_.get()));
  target_ = describe(options);
  if (libpq().status(connection_.get()) == CONNECTION_BAD) throw_connect_failure();
  libpq().setErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  libpq().setNoticeReceiver(connection_.get(), ignore_notice, nullptr);

  const SteadyTime deadline = std::chrono::steady_clock::now() + connect_timeout(options);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) throw_connect_failure();
    const auto until = std::min(deadline, std::chrono::steady_clock::now() + kStopCheckInterval);
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Error(ErrorKind::kPostgres, "PostgreSQL did not answer in time",
                  {.object = target_, .hint = std::string(kNoServerHint), .retryable = true});
    }
    check_cancelled(stop_);
    if (poll_until(libpq().socket(connection_.get()),
                   state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) {
      state = libpq().connectPoll(connection_.get());
    }
  }
  libpq().setErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  libpq().setnonblocking(connection_.get(), 1);
}

void Connection::throw_connect_failure() const {
  const std::string_view text = libpq().errorMessage(connection_.get());
  const std::string sqlstate = sqlstate_in(text);
  std::string hint = hint_for_sqlstate(sqlstate);
  for (const MessageHint& entry : kMessageHints) {
    if (hint.empty() && text.find(entry.part) != std::string_view::npos) hint = entry.hint;
  }
  if (hint.empty()) hint = kNoServerHint;
  throw Error(ErrorKind::kPostgres, fmt::format("{}{}", kCannotConnect, in_one_line(text)),
              {.object = target_,
               .hint = std::move(hint),
               .retryable = sqlstate.empty() || is_transient(sqlstate)});
}

void Connection::throw_lost() const {
  throw Error(ErrorKind::kPostgres,
              fmt::format("lost the connection to PostgreSQL: {}",
                          in_one_line(libpq().errorMessage(connection_.get()))),
              {.object = target_,
               .hint = "See the server's log for why it ended the session.",
               .retryable = true});
}

bool Connection::wait(short events) {
  while (!stop_.stop_requested()) {
    const auto until = std::chrono::steady_clock::now() + kStopCheckInterval;
    if (poll_until(libpq().socket(connection_.get()), events, until)) return true;
  }
  return false;
}

void Connection::send(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  constexpr int kTextResult = 0;
  if (libpq().sendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                              nullptr, values.data(), nullptr, nullptr, kTextResult) == 0) {
    throw_lost();
  }
  for (int unsent = libpq().flush(connection_.get()); unsent != 0;
       unsent = libpq().flush(connection_.get())) {
    if (unsent < 0) throw_lost();
    if (!wait(POLLIN | POLLOUT)) check_cancelled(stop_);
    if (libpq().consumeInput(connection_.get()) == 0) throw_lost();
  }
}

void Connection::cancel() {
  // PQcancel opens a connection of its own and waits for it: not in this thread, which has to come
  // back in time even when the network is gone.
  std::shared_ptr<PGcancel> request(libpq().getCancel(connection_.get()), libpq().freeCancel);
  if (!request) return;
  std::thread([request = std::move(request)] {
    std::array<char, 256> message{};
    libpq().cancel(request.get(), message.data(), static_cast<int>(message.size()));
  }).detach();
}

// Returns when PQgetResult will not block; cancels the statement when told to stop.
void Connection::wait_for_result() {
  std::optional<SteadyTime> give_up;
  while (libpq().isBusy(connection_.get()) != 0) {
    const auto now = std::chrono::steady_clock::now();
    if (stop_.stop_requested() && !give_up) {
      give_up = now + kCancelPatience;
      cancel();
    }
    if (give_up && now >= *give_up) check_cancelled(stop_);
    if (!poll_until(libpq().socket(connection_.get()), POLLIN, now + kStopCheckInterval)) continue;
    if (libpq().consumeInput(connection_.get()) == 0) throw_lost();
  }
}

// The last result of the statement; the connection is ready for the next one then.
Connection::Result Connection::receive() {
  Result last;
  while (true) {
    wait_for_result();
    Result next(libpq().getResult(connection_.get()));
    if (!next) break;
    last = std::move(next);
  }
  if (!last || libpq().status(connection_.get()) == CONNECTION_BAD) throw_lost();
  return last;
}

std::vector<Connection::Row> Connection::query(const std::string& sql,
                                               const std::vector<std::string>& parameters) {
  check_cancelled(stop_);
  send(sql, parameters);
  const Result result = receive();
  const ExecStatusType status = libpq().resultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    check_cancelled(stop_);  // the failure is our own cancellation
    throw_result(result.get(), target_);
  }
  const int row_count = libpq().ntuples(result.get());
  if (row_count > kRowsMax) {
    throw Error(ErrorKind::kPostgres, fmt::format("a statement returned {} rows", row_count),
                {.object = target_});
  }
  std::vector<Row> rows(static_cast<std::size_t>(row_count));
  for (int row = 0; row < row_count; ++row) {
    for (int column = 0; column < libpq().nfields(result.get()); ++column) {
      auto& cells = rows[static_cast<std::size_t>(row)];
      if (libpq().getisnull(result.get(), row, column) != 0) {
        cells.emplace_back(std::nullopt);
      } else {
        cells.emplace_back(libpq().getvalue(result.get(), row, column));
      }
    }
  }
  return rows;
}

int Connection::version_num() const {
  return libpq().serverVersion(connection_.get());
}
int Connection::announced_backend() const {
  return libpq().backendPID(connection_.get());
}

}  // namespace holdfast
