#pragma once
// The server in the cluster's own data directory while a promotion or a rollback replaces it: it is
// stopped, kept from starting, and started.
//
// Fenced is a data directory whose global/pg_control is set aside under another name: PostgreSQL,
// whoever calls it, ends before it has written anything (access/transam/xlog.c, ReadControlFile;
// postmaster.c, checkControlFile). It is a rename, durable, and undone by one.
// Errors: kPostgres where a server does not stop or start, with what it said; kHost; kCancelled.
// Threads: one at a time.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast {

// A fast shutdown by signal, and the wait for its end; nothing when no server runs there. A stop
// that comes meanwhile ends the waiting.
void stop_server_in(const std::filesystem::path& data_directory, const std::stop_token& stop);

// Whether the session with this process number is one of the server that runs there: a connection
// may lead to another one.
bool is_session_of(const std::filesystem::path& data_directory, pid_t session);

bool is_fenced(const std::filesystem::path& data_directory);
void fence(const std::filesystem::path& data_directory);    // nothing when it is
void unfence(const std::filesystem::path& data_directory);  // nothing when it is not

// With which options the last server here was started, without its data directory; from
// postmaster.opts. Empty: none, or there never was one.
std::vector<std::string> last_start_options(const std::filesystem::path& data_directory);

struct ServerStart {
  std::filesystem::path data_directory;
  std::filesystem::path bin_directory;
  std::vector<std::string> options;
  std::filesystem::path log;  // that pg_ctl gives it
};
// pg_ctl start, as the owner of the data directory; returns when the server accepts sessions. The
// server is nobody's child and outlives this process.
void start_server_in(const ServerStart& start, const std::stop_token& stop);

}  // namespace holdfast
