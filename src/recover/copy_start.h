#pragma once
// How PostgreSQL is started on a restored copy so that it reaches nothing outside of itself
// (isolation.h): the parts that a server that ends with us (isolated_server.h) and one that stays
// (detached_server.h) have in common.
//
// Errors: kHost; kRefused for a data directory that belongs to root. Threads: any.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgres/standby_settings.h"
#include "recover/isolation.h"
#include "system/child_process.h"

namespace holdfast {

struct CopyServerOptions {
  std::filesystem::path data_directory;
  std::filesystem::path bin_directory;
  std::filesystem::path log;  // appended to
  int major_version = 0;
  // Roles of which one exists in the copy: as one of them its first superuser is found.
  std::vector<std::string> known_roles = {};
  // For the commands that it runs: restore_command.
  std::vector<std::pair<std::string, std::string>> environment = {};
};

// As root, which PostgreSQL refuses to be, the owner of the data directory.
std::optional<ChildUser> copy_server_user(const std::filesystem::path& data_directory);

// A private folder for the socket and the configuration below the folder for temporary files:
// short, for the path of a socket must fit into 107 bytes.
std::filesystem::path make_server_folder(const std::optional<ChildUser>& user);

// Writes the configuration into `folder` and says how the server is started.
struct CopyStart {
  std::filesystem::path folder;
  std::optional<ChildUser> user;
  std::optional<StandbySettings> readable;  // while it recovers, with at least these settings
  CopyWal wal = CopyWal::kForgotten;
  int on_our_death = 0;
};
ChildStart prepare_copy_server(const CopyServerOptions& options, const CopyStart& start);

// For Connection (postgres/connection.h).
struct CopyAddress {
  std::filesystem::path folder;
  int major_version = 0;
};
std::string copy_connection(const CopyAddress& address, const std::string& role,
                            const std::string& database);

// The segment that the server with this process number replays; empty: none.
std::string replaying_segment(pid_t postmaster);
// Where what is appended to this log from now on will begin; 0 where there is none yet.
std::uintmax_t end_of_log(const std::filesystem::path& log);
// The last lines of a server's log that tell what went wrong, of those behind `from_bytes`.
std::string last_complaints(const std::filesystem::path& log, std::uintmax_t from_bytes = 0);

}  // namespace holdfast
