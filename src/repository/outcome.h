#pragma once
// The two records that frame a backup (invariant 2).
//
// `begin` is written first and only informs: who, where, since when. `outcome` is written last and
// decides: it is create-only, and the same object says "committed" or "aborted", so a sweeper that
// wants to remove the packs of a dead backup must first win `aborted`, and a writer that was only
// paused can then never commit over swept packs.

#include <optional>
#include <stop_token>
#include <string>

#include "repository/backup_info.h"
#include "repository/repository.h"

namespace holdfast {

struct BeginRecord {
  std::string host;
  std::uint64_t pid = 0;
  std::string data_directory;
  std::string started;  // RFC 3339, by this machine's clock
};

void write_begin(const Repository& repository, const BackupName& backup, const BeginRecord& record,
                 const std::stop_token& stop);
std::optional<BeginRecord> read_begin(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop);

struct Outcome {
  bool committed = false;
  std::string time;  // RFC 3339, by the writer's clock
  std::string by;    // host and process that decided
  // Of a committed backup:
  BackupInfo info;
  std::uint64_t manifest_bytes = 0;
  std::string manifest_sha256;  // of the stored manifest object, hexadecimal
};

// Commits; kRefused when the backup was aborted by a sweeper meanwhile.
void commit_backup(const Repository& repository, const Outcome& outcome,
                   const std::stop_token& stop);
// True when the backup is aborted now (by this call or before); false when it was committed.
bool abort_backup(const Repository& repository, const BackupName& backup, const std::string& by,
                  const std::stop_token& stop);
// nullopt: undecided.
std::optional<Outcome> read_outcome(const Repository& repository, const BackupName& backup,
                                    const std::stop_token& stop);

}  // namespace holdfast
