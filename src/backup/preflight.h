#pragma once
// What is checked before a backup writes its first object: that server, data directory, repository
// and configuration belong together. Every mismatch is refused with what to do about it.

#include <filesystem>
#include <string>

#include "postgres/control_file.h"
#include "postgres/session.h"
#include "repository/catalogue.h"
#include "repository/history.h"

namespace holdfast {

// Throws kRefused or kPostgres. Returns the control file of the data directory.
ControlFile check_server(const ServerInfo& server, const std::filesystem::path& data_directory);

ClusterIdentity identity_of(const ServerInfo& server, const std::string& host);

// A name may not look like an id, `latest` or `oldest`, and not be taken: kUsage, kRefused.
void check_label(const std::string& label, const std::vector<CatalogueEntry>& backups);

// An id that sorts behind those of all backups there are, also when two are taken within one second
// or the clock was set back: `latest` must mean the one taken last.
BackupId next_backup_id(Timestamp now, const std::vector<CatalogueEntry>& backups);

// The key of the advisory lock that excludes two backups of one cluster.
std::int64_t backup_lock_key(std::uint64_t system_identifier);

// Who takes the backup that is running, as far as its begin record tells; for the refusal.
std::string describe_running(const Repository& repository,
                             const std::vector<CatalogueEntry>& backups,
                             const std::stop_token& stop);

}  // namespace holdfast
