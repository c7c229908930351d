#pragma once
// Facts about PostgreSQL on this machine, without connecting to it: whether a server runs in a data
// directory, and where the programs of a version are. Sources: PostgreSQL's documentation of
// postmaster.pid ("Database File Layout"; utils/pidfile.h lists its lines) and of PG_VERSION.
//
// Errors: kHost where a file cannot be read, kDamage where it makes no sense, kConfiguration where
// programs are not found. Threads: any. Nothing is changed, no lock is taken.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include <sys/types.h>

namespace holdfast {

// postmaster.pid, line by line.
struct PostmasterFile {
  pid_t pid = 0;
  std::filesystem::path data_directory;
  std::chrono::sys_seconds started;
  int port = 0;                            // 0: not written yet
  std::filesystem::path socket_directory;  // empty: none
  std::string listen_address;              // empty: none
  std::string status;                      // "ready", "starting", "stopping", "standby"
};
// nullopt when there is no such file. Waits up to two seconds for one that is still empty.
std::optional<PostmasterFile> read_postmaster_file(const std::filesystem::path& data_directory);

// The server that runs in `data_directory`. A file that was left behind by a crash is told by its
// process: gone, or one that works in another folder (the number was used again). Where that cannot
// be told, because the process belongs to another user, the server counts as running: to write into
// a live data directory is worse than to refuse. A server in another container, with process
// numbers of its own, cannot be seen.
std::optional<PostmasterFile> running_server(const std::filesystem::path& data_directory);

// Major version from PG_VERSION, 15; throws kConfiguration when this is no data directory.
int data_directory_version(const std::filesystem::path& data_directory);

// The folder with `postgres` of this major version: `configured` if it is not empty (kConfiguration
// when it holds another version), else Debian's and Red Hat's usual places, else where PATH leads.
std::filesystem::path find_bin_directory(int major_version,
                                         const std::filesystem::path& configured);

}  // namespace holdfast
