#include "backup/preflight.h"

#include <algorithm>

#include "core/error.h"
#include "postgres/page.h"
#include "postgres/wal_segment.h"

namespace holdfast {
namespace {

[[noreturn]] void refuse(std::string message, std::string object, std::string hint) {
  throw Error(ErrorKind::kRefused, std::move(message), {std::move(object), std::move(hint)});
}

}  // namespace

ControlFile check_server(const ServerInfo& server, const std::filesystem::path& data_directory) {
  if (server.version_num < 130000 || server.version_num >= 190000) {
    refuse(fmt::format("PostgreSQL {} is not supported", server.version), "postgres.connection",
           "Holdfast backs up PostgreSQL 13 to 18.");
  }
  if (server.wal_level == "minimal") {
    refuse("wal_level is 'minimal': a backup taken now could not be recovered", "wal_level",
           "Set wal_level = replica in postgresql.conf and restart the server.");
  }
  const ControlFile control = read_control_file(data_directory).parsed;
  if (control.system_identifier != server.system_identifier) {
    refuse(fmt::format("the data directory belongs to another cluster than the server: system "
                       "identifier {} in the directory, {} in the server",
                       control.system_identifier, server.system_identifier),
           data_directory.string(),
           "Make postgres.data_directory and postgres.connection name the same cluster.");
  }
  if (control.block_size != kPageBytes || control.wal_block_size != kWalPageBytes) {
    refuse("this PostgreSQL was built with an unusual block size", data_directory.string(),
           "Holdfast supports the standard 8 KiB blocks only.");
  }
  return control;
}

ClusterIdentity identity_of(const ServerInfo& server, const std::string& host) {
  return {.system_identifier = server.system_identifier,
          .postgres_version_num = server.version_num,
          .wal_segment_size = server.wal_segment_size,
          .host = host};
}

void check_label(const std::string& label, const std::vector<CatalogueEntry>& backups) {
  if (label.empty()) return;
  if (label == "latest" || label == "oldest" || parse_backup_id(label)) {
    throw Error(
        ErrorKind::kUsage, "a backup cannot have this name: it already means something",
        {.object = label, .hint = "Choose a name that is no id, nor 'latest' or 'oldest'."});
  }
  const auto taken = std::ranges::find_if(backups, [&](const CatalogueEntry& entry) {
    return entry.state == BackupState::kCommitted && entry.outcome.info.label == label;
  });
  if (taken != backups.end()) {
    refuse(fmt::format("backup {} has this name already", taken->name.id.text), label,
           "Choose another name.");
  }
}

BackupId next_backup_id(Timestamp now, const std::vector<CatalogueEntry>& backups) {
  Timestamp time = now;
  for (const CatalogueEntry& entry : backups) {
    const std::string& id = entry.name.id.text;  // 20261122T020000Z-3f9a
    const auto taken = parse_rfc3339(fmt::format("{}-{}-{}T{}:{}:{}Z", id.substr(0, 4),
                                                 id.substr(4, 2), id.substr(6, 2), id.substr(9, 2),
                                                 id.substr(11, 2), id.substr(13, 2)));
    if (taken) time = std::max(time, *taken + std::chrono::seconds(1));
  }
  return new_backup_id(time);
}

std::int64_t backup_lock_key(std::uint64_t system_identifier) {
  // "hold" in the upper half, so that the key does not meet an application's small numbers.
  return static_cast<std::int64_t>((std::uint64_t{0x686f6c64} << 32U) |
                                   (system_identifier & 0xffffffffU));
}

std::string describe_running(const Repository& repository,
                             const std::vector<CatalogueEntry>& backups,
                             const std::stop_token& stop) {
  const auto newest = std::ranges::find_if(
      backups.rbegin(), backups.rend(),
      [](const CatalogueEntry& entry) { return entry.state == BackupState::kUnfinished; });
  if (newest == backups.rend()) return "it has not written its begin record yet";
  const auto begin = read_begin(repository, newest->name, stop);
  if (!begin) return newest->name.id.text;
  return fmt::format("{}, on host {}, process {}, since {}", newest->name.id.text, begin->host,
                     begin->pid, begin->started);
}

}  // namespace holdfast
