#include "recover/isolation.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace holdfast {
namespace {

void add_places(std::vector<ServerSetting>& settings, const IsolationPlace& place) {
  settings.insert(settings.end(), {{"config_file", place.folder / kIsolatedConfigFile},
                                   {"data_directory", place.data_directory},
                                   {"hba_file", place.folder / kIsolatedHbaFile},
                                   {"ident_file", place.folder / kIsolatedIdentFile},
                                   {"external_pid_file", ""},
                                   {"listen_addresses", ""},
                                   {"port", std::to_string(kIsolatedPort)},
                                   {"unix_socket_directories", place.folder},
                                   {"unix_socket_permissions", "0700"},
                                   {"unix_socket_group", ""},
                                   {"ssl", "off"},
                                   {"bonjour", "off"},
                                   {"logging_collector", "off"},
                                   {"log_destination", "stderr"},
                                   {"update_process_title", "on"}});
  // Debian's is below /run, and the source's.
  if (place.major_version < 15) settings.emplace_back("stats_temp_directory", "pg_stat_tmp");
}

void add_silence(std::vector<ServerSetting>& settings, const IsolationPlace& place) {
  const int major_version = place.major_version;
  settings.insert(settings.end(), {{"archive_mode", place.wal == CopyWal::kKept ? "on" : "off"},
                                   {"archive_command", ""},
                                   {"archive_cleanup_command", ""},
                                   {"recovery_end_command", ""},
                                   {"primary_conninfo", ""},
                                   {"primary_slot_name", ""},
                                   {"synchronous_standby_names", ""},
                                   {"shared_preload_libraries", ""},
                                   {"session_preload_libraries", ""},
                                   {"local_preload_libraries", ""},
                                   {"max_logical_replication_workers", "0"},
                                   {"temp_tablespaces", ""}});
  if (major_version >= 15) settings.emplace_back("archive_library", "");
  if (major_version >= 18) settings.emplace_back("oauth_validator_libraries", "");
  if (major_version < 16) settings.emplace_back("promote_trigger_file", "");
  if (major_version >= 17) {
    settings.emplace_back("sync_replication_slots", "off");
    settings.emplace_back("summarize_wal", "off");
    settings.emplace_back("synchronized_standby_slots", "");
  }
}

void add_modesty_of_newer(std::vector<ServerSetting>& settings, int major_version) {
  // What the source's disk can do, this one's may not.
  if (major_version >= 16) settings.emplace_back("debug_io_direct", "");
  if (major_version >= 17) {
    settings.insert(settings.end(), {{"commit_timestamp_buffers", "0"},
                                     {"transaction_buffers", "0"},
                                     {"subtransaction_buffers", "0"},
                                     {"multixact_member_buffers", "256kB"},
                                     {"multixact_offset_buffers", "128kB"},
                                     {"notify_buffers", "128kB"},
                                     {"serializable_buffers", "256kB"}});
  }
  if (major_version >= 18) {
    settings.insert(settings.end(), {{"io_method", "worker"},  // io_uring may be forbidden here
                                     {"io_max_concurrency", "-1"},
                                     {"autovacuum_worker_slots", "16"},
                                     // What max_replication_slots was for them until then.
                                     {"max_active_replication_origins", "1000"}});
  }
}

// Enough to recover and to answer questions beside whatever else this machine does. Only who is
// read while it recovers needs some sizes at least as on the source.
void add_modesty(std::vector<ServerSetting>& settings, const IsolationPlace& place) {
  const StandbySettings own{.max_connections = 20,
                            .max_worker_processes = 8,
                            .max_wal_senders = 0,
                            .max_prepared_transactions = 1000,
                            .max_locks_per_transaction = 64};
  const StandbySettings least = place.readable.value_or(own);
  const auto at_least = [](int one, int other) { return std::to_string(std::max(one, other)); };
  settings.insert(
      settings.end(),
      {{"hot_standby", place.readable ? "on" : "off"},
       {"max_connections", at_least(own.max_connections, least.max_connections)},
       {"max_worker_processes", at_least(own.max_worker_processes, least.max_worker_processes)},
       {"max_wal_senders", at_least(own.max_wal_senders, least.max_wal_senders)},
       {"max_prepared_transactions",
        at_least(own.max_prepared_transactions, least.max_prepared_transactions)},
       {"max_locks_per_transaction",
        at_least(own.max_locks_per_transaction, least.max_locks_per_transaction)}});
  // Soon at its end, where it is paused; before 14 a paused server goes on asking the archive.
  if (place.readable && place.major_version >= 14) {
    settings.emplace_back("wal_retrieve_retry_interval", "1s");
  }
  settings.emplace_back("track_commit_timestamp", least.track_commit_timestamp ? "on" : "off");
  settings.insert(settings.end(), {{"wal_level", "replica"},
                                   {"shared_buffers", "128MB"},
                                   {"huge_pages", "off"},
                                   {"work_mem", "16MB"},
                                   {"maintenance_work_mem", "128MB"},
                                   // Origins of subscriptions are read at the start, and want room.
                                   {"max_replication_slots", "1000"},
                                   {"wal_buffers", "-1"},
                                   {"autovacuum", "off"}});
  if (place.major_version >= 14) settings.emplace_back("min_dynamic_shared_memory", "0");
  // Room on the disk: WAL that was replayed goes. Not below two segments, which may have a GiB
  // each.
  settings.insert(settings.end(),
                  {{"max_wal_size", "2GB"}, {"min_wal_size", "2GB"}, {"wal_keep_size", "0"}});
  add_modesty_of_newer(settings, place.major_version);
}

// Settings that let a server go on over damaged pages would hide what a copy is looked at for.
constexpr std::string_view kLooksAway[] = {"zero_damaged_pages", "ignore_checksum_failure"};

}  // namespace

std::vector<ServerSetting> isolation_settings(const IsolationPlace& place) {
  std::vector<ServerSetting> settings;
  add_places(settings, place);
  add_silence(settings, place);
  add_modesty(settings, place);
  for (const std::string_view name : kLooksAway) settings.emplace_back(name, "off");
  return settings;
}

std::string isolated_session_options(int major_version) {
  std::string options = "-c session_preload_libraries= -c local_preload_libraries=";
  if (major_version >= 17) options += " -c event_triggers=off";
  for (const std::string_view name : kLooksAway) options += fmt::format(" -c {}=off", name);
  return options;
}

}  // namespace holdfast
