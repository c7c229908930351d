#pragma once
// The settings with which a restored copy is started so that it reaches nothing outside of itself.
//
// A copy has the source's configuration: its data_directory, its port, its archive_command, its
// standby's connection, its scheduler. None of that may act. So the server is started with an empty
// configuration file of ours, and each setting below is given on its command line, which counts
// more than postgresql.conf, postgresql.auto.conf and the environment. What restore wrote into
// postgresql.auto.conf (restore_command and the target) stays in force. What roles and databases
// set for their sessions counts more still: isolated_session_options() is for every session.
//
// Why each one is there:
//   data_directory, config_file, hba_file, ident_file   a copied path opens the source's
//   listen_addresses, port, unix_socket_*, ssl, bonjour  nobody finds it but its owner
//   external_pid_file, log*, stats_temp_directory        files of the source
//   archive_*, recovery_end_command                      the source's archive, and commands that
//   clean primary_conninfo, primary_slot_name, synchronous_*   other servers
//   shared/session/local_preload_libraries               schedulers and agents that begin to work
//   max_logical_replication_workers, max_wal_senders     subscriptions and standbys of the source
//   shared_buffers, wal_buffers, huge_pages, …_buffers   memory of this machine
//   max_wal_size, min_wal_size, wal_keep_size            its disk
//   io_method, debug_io_direct                           what its kernel may not allow
//   zero_damaged_pages, ignore_checksum_failure          damage that would not be seen
// Source: PostgreSQL's documentation, "Server Configuration", 13 to 18.
// Pure; no errors.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgres/standby_settings.h"

namespace holdfast {

// What becomes of the WAL that the copy writes itself. Kept until it can be archived, by the server
// that it becomes, or not at all.
enum class CopyWal { kForgotten, kKept };

struct IsolationPlace {
  int major_version = 0;  // 13 to 18
  std::filesystem::path data_directory;
  std::filesystem::path folder;  // of ours: the files below and nothing else; short, for the socket
  // To be read while it recovers, with settings not below these; none: nobody may ask before its
  // end.
  std::optional<StandbySettings> readable = {};
  CopyWal wal = CopyWal::kForgotten;
};

inline constexpr const char* kIsolatedConfigFile = "postgresql.conf";
inline constexpr const char* kIsolatedHbaFile = "pg_hba.conf";
inline constexpr const char* kIsolatedIdentFile = "pg_ident.conf";
inline constexpr int kIsolatedPort = 5432;  // only part of the socket's name: nothing listens

using ServerSetting = std::pair<std::string, std::string>;
std::vector<ServerSetting> isolation_settings(const IsolationPlace& place);

// For libpq's `options`: no library is loaded and no trigger runs because somebody connects, and no
// damage is passed over.
std::string isolated_session_options(int major_version);

}  // namespace holdfast
