#pragma once
// The settings that a server which is read during its recovery must not have smaller than the
// server whose WAL it replays had them. global/pg_control holds the latter's, and replay keeps that
// up to date. Source: PostgreSQL's documentation, "Hot Standby", Administrator's Overview;
// catalog/pg_control.h, 13 to 18.
// Pure; no errors beyond those of read_control_file.

#include <filesystem>

namespace holdfast {

struct StandbySettings {
  int max_connections = 0;
  int max_worker_processes = 0;
  int max_wal_senders = 0;
  int max_prepared_transactions = 0;
  int max_locks_per_transaction = 0;
  // Need not be the same, but what is there is removed where a recovery ends without it.
  bool track_commit_timestamp = false;
  bool operator==(const StandbySettings&) const = default;
};

StandbySettings read_standby_settings(const std::filesystem::path& data_directory);
// Whether each is at least as large as in `least`.
bool covers(const StandbySettings& settings, const StandbySettings& least);

}  // namespace holdfast
