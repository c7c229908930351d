#pragma once
// A libpq connection as an object: opened, used and closed without ever blocking longer than the
// stop token allows (about a tenth of a second; a running statement is cancelled on the server).
//
// Errors: kPostgres with the SQLSTATE in the message, kConfiguration for a connection string that
// cannot be parsed, kCancelled. Passwords are never part of a message. Threads: one at a time.

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"

struct pg_conn;
struct pg_result;

namespace holdfast {

class Connection {
 public:
  // Gives up after the connect_timeout of `connection`, or kConnectTimeout.
  Connection(const std::string& connection, std::stop_token stop);

  // One statement; values come as text, null as nullopt.
  using Row = std::vector<std::optional<std::string>>;
  std::vector<Row> query(const std::string& sql, const std::vector<std::string>& parameters);

  int version_num() const;
  int announced_backend() const;  // process id that the other side told on connecting
  const std::string& target() const { return target_; }  // host, port, database, user: no secret

 private:
  struct CloseConnection {
    void operator()(pg_conn* connection) const;
  };
  struct ClearResult {
    void operator()(pg_result* result) const;
  };
  using Result = std::unique_ptr<pg_result, ClearResult>;

  void open(const std::string& connection);
  void send(const std::string& sql, const std::vector<std::string>& parameters);
  Result receive();
  // Waits until the socket is ready; false when it was told to stop.
  bool wait(short events);
  void wait_for_result();
  void cancel();
  [[noreturn]] void throw_lost() const;
  [[noreturn]] void throw_connect_failure() const;

  std::unique_ptr<pg_conn, CloseConnection> connection_;
  std::stop_token stop_;
  std::string target_;
};

// Whether a failure to connect means that no server is there, at any of the addresses: nothing
// listens, or the address does not exist. A refused login, a server that is starting or full, and
// no answer in time do not mean that.
bool says_no_server(const Error& error);

// What to do about a SQLSTATE, empty when there is nothing better to say than the server did.
std::string hint_for_sqlstate(std::string_view sqlstate);

}  // namespace holdfast
