#include "recover/isolated_server.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancellation.h"
#include "postgres/connection.h"
#include "postgres/connection_string.h"
#include "postgres/local_server.h"
#include "recover/isolation.h"
#include "system/files.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPoll{100};
constexpr std::chrono::minutes kStopPatience{10};
constexpr std::uintmax_t kLogTailBytes = 16384;
constexpr std::size_t kLogLinesShown = 5;

std::optional<ChildUser> user_for(const fs::path& data_directory) {
  if (::geteuid() != 0) return std::nullopt;
  struct stat status{};
  if (::stat(data_directory.c_str(), &status) != 0) {
    throw_errno(errno, "examine", data_directory.native());
  }
  if (status.st_uid == 0) {
    throw Error(ErrorKind::kRefused, "PostgreSQL does not run as root, who owns the directory",
                {.object = data_directory, .hint = "Run holdfast as the user of PostgreSQL."});
  }
  return ChildUser{status.st_uid, status.st_gid};
}

void write_text(const fs::path& path, std::string_view text, const std::optional<ChildUser>& user) {
  publish_unsynced(path, as_bytes(text), 0600);
  if (user && ::chown(path.c_str(), user->uid, user->gid) != 0) {
    throw_errno(errno, "set the owner of", path.native());
  }
}

// The last lines of a server's log that tell what went wrong.
std::string last_complaints(const fs::path& log) {
  std::ifstream in(log, std::ios::binary);
  std::error_code error;
  const std::uintmax_t size = fs::file_size(log, error);
  if (!error && size > kLogTailBytes) in.seekg(static_cast<std::streamoff>(size - kLogTailBytes));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    for (const char* mark : {"ERROR:", "FATAL:", "PANIC:"}) {
      const auto at = line.find(mark);
      if (at != std::string::npos) lines.push_back(line.substr(at));
    }
  }
  if (lines.size() > kLogLinesShown) lines.erase(lines.begin(), lines.end() - kLogLinesShown);
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text.empty() ? "its log does not say why" : text;
}

}  // namespace

// Short, for the path of a socket must fit into 107 bytes.
IsolatedServer::Folder::Folder(const std::optional<ChildUser>& user) {
  std::string name = fs::temp_directory_path() / "holdfast-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw_errno(errno, "create", name);
  path = name;
  if (user && ::chown(name.c_str(), user->uid, user->gid) != 0) {
    throw_errno(errno, "set the owner of", name);
  }
}

IsolatedServer::Folder::~Folder() {
  std::error_code ignored;  // a few small files in the folder for temporary ones
  fs::remove_all(path, ignored);
}

IsolatedServer::IsolatedServer(IsolatedServerOptions options)
    : options_(std::move(options)), user_(user_for(options_.data_directory)), folder_(user_) {
  write_text(folder_.path / kIsolatedConfigFile, "# Everything is on the command line.\n", user_);
  // The socket's folder is private: whoever reaches it may be any role.
  write_text(folder_.path / kIsolatedHbaFile, "local all all trust\n", user_);
  write_text(folder_.path / kIsolatedIdentFile, "", user_);
  std::vector<std::string> arguments{"-D", options_.data_directory};
  for (const auto& [name, value] : isolation_settings({.major_version = options_.major_version,
                                                       .data_directory = options_.data_directory,
                                                       .folder = folder_.path})) {
    arguments.insert(arguments.end(), {"-c", name + "=" + value});
  }
  server_.emplace(ChildStart{.program = options_.bin_directory / "postgres",
                             .arguments = arguments,
                             .log = options_.log,
                             .user = user_,
                             .on_our_death = SIGQUIT});
}

IsolatedServer::~IsolatedServer() {
  if (!server_ || server_->ended()) return;
  server_->send(SIGQUIT);  // nobody needs what this copy has in memory
  server_->wait(10s, {});
}

std::string IsolatedServer::connection(const std::string& database) const {
  return connection_as(superuser_, database);
}

std::string IsolatedServer::connection_as(const std::string& role,
                                          const std::string& database) const {
  return fmt::format("host={} port={} user={} dbname={} connect_timeout=10 options={}",
                     quoted_connection_value(folder_.path.native()), kIsolatedPort,
                     quoted_connection_value(role), quoted_connection_value(database),
                     quoted_connection_value(isolated_session_options(options_.major_version)));
}

// Whether the server is open: then superuser_ is known.
bool IsolatedServer::find_superuser(const std::stop_token& stop) {
  for (const std::string& role : options_.known_roles) {
    try {
      Connection session(connection_as(role, "template1"), stop);
      // initdb's first role, which cannot be dropped.
      const auto rows = session.query(
          "select rolname from pg_roles where oid = 10 and not pg_is_in_recovery()", {});
      if (!rows.empty()) superuser_ = rows.at(0).at(0).value_or("");
      return !rows.empty();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres) throw;
      last_refusal_ = error.message();  // not open yet, or no such role
    }
  }
  return false;
}

void IsolatedServer::throw_ended(int exit_code) const {
  throw Error(
      ErrorKind::kPostgres,
      fmt::format("PostgreSQL on the restored copy ended with exit code {}: {}", exit_code,
                  last_complaints(options_.log)),
      {.object = options_.data_directory, .hint = fmt::format("Read {}.", options_.log.native())});
}

void IsolatedServer::wait_until_open(Progress& progress, const std::stop_token& stop) {
  progress.phase("replay", 0);
  for (;;) {
    check_cancelled(stop);
    if (const auto code = server_->ended()) throw_ended(*code);
    const bool ready = is_ready();  // before it is asked, so that a refusal counts
    if (find_superuser(stop)) return;
    if (ready) {
      throw Error(ErrorKind::kPostgres, "no session on the restored copy: " + last_refusal_,
                  {.object = options_.data_directory,
                   .hint = "The role of postgres.connection, or a role postgres, has to exist in "
                           "the backup."});
    }
    if (const std::string segment = recovering_segment(); !segment.empty()) {
      progress.note(fmt::format("replaying {}", segment));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

bool IsolatedServer::is_ready() const {
  const auto file = read_postmaster_file(options_.data_directory);
  return file && file->pid == server_->pid() && file->status == "ready";
}

// From the title of the startup process: "postgres: startup recovering 00000001000000000000000A".
std::string IsolatedServer::recovering_segment() const {
  const fs::path children = fmt::format("/proc/{0}/task/{0}/children", server_->pid());
  std::ifstream list(children);
  for (std::string pid; list >> pid;) {
    std::ifstream title("/proc/" + pid + "/cmdline", std::ios::binary);
    std::string text(256, '\0');
    title.read(text.data(), static_cast<std::streamsize>(text.size()));
    const auto at = text.find("recovering ");
    if (at == std::string::npos) continue;
    const std::string name = text.substr(at + std::string_view("recovering ").size(), 24);
    return name.substr(0, name.find_first_not_of("0123456789ABCDEF"));
  }
  return {};
}

void IsolatedServer::stop(const std::stop_token& stop) {
  server_->send(SIGINT);
  const auto code = server_->wait(kStopPatience, stop);
  check_cancelled(stop);
  if (!code) {
    throw Error(ErrorKind::kPostgres, "PostgreSQL on the restored copy does not stop",
                {.object = options_.data_directory});
  }
  if (*code != 0) throw_ended(*code);
}

}  // namespace holdfast
