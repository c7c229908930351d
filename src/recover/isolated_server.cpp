#include "recover/isolated_server.h"

#include <csignal>
#include <thread>

#include "core/cancellation.h"
#include "postgres/connection.h"
#include "postgres/local_server.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPoll{100};
constexpr std::chrono::minutes kStopPatience{10};

}  // namespace

IsolatedServer::Folder::Folder(const std::optional<ChildUser>& user)
    : path(make_server_folder(user)) {}

IsolatedServer::Folder::~Folder() {
  std::error_code ignored;  // a few small files in the folder for temporary ones
  fs::remove_all(path, ignored);
}

IsolatedServer::IsolatedServer(CopyServerOptions options)
    : options_(std::move(options)),
      user_(copy_server_user(options_.data_directory)),
      folder_(user_) {
  server_.emplace(prepare_copy_server(
      options_, {.folder = folder_.path, .user = user_, .on_our_death = SIGQUIT}));
}

IsolatedServer::~IsolatedServer() {
  if (!server_ || server_->ended()) return;
  server_->send(SIGQUIT);  // nobody needs what this copy has in memory
  server_->wait(10s, {});
}

std::string IsolatedServer::connection(const std::string& database) const {
  return copy_connection({folder_.path, options_.major_version}, superuser_, database);
}

// Whether the server is open: then superuser_ is known.
bool IsolatedServer::find_superuser(const std::stop_token& stop) {
  for (const std::string& role : options_.known_roles) {
    try {
      Connection session(copy_connection({folder_.path, options_.major_version}, role, "template1"),
                         stop);
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
    if (const std::string segment = replaying_segment(server_->pid()); !segment.empty()) {
      progress.note(fmt::format("replaying {}", segment));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

bool IsolatedServer::is_ready() const {
  const auto file = read_postmaster_file(options_.data_directory);
  return file && file->pid == server_->pid() && file->status == "ready";
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
