#pragma once
// Removes what backups that died left behind.
//
// Consistency: a backup is swept only after its `outcome` says aborted, which its writer, if it is
//   alive after all, cannot overwrite; it then fails at its commit instead of committing over
//   missing packs. `begin` and `outcome` stay, as a record that the id was used.
// Which are dead: those begun on this host in this data directory, because the caller holds the
//   lock that such a writer would hold; and those that stored nothing for kQuietTime by the
//   store's clock.
// Never swept: an id that has a proof. Proofs are written for committed backups only, so its commit
//   record was lost, and sweeping would turn that loss into the loss of the backup.
// Aborted but not emptied: a copy that died and whose packs other copies cite, as intents on it
// tell
//   (repository/intent.h). What of it nobody cites is left to `expire`, which reads manifests.
// Without the right to delete, the objects stay and are reported; that is not an error.

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/catalogue.h"

namespace holdfast {

inline constexpr std::chrono::hours kQuietTime{24};

struct SweepResult {
  std::vector<std::string> swept;        // backup ids
  std::vector<std::string> not_removed;  // object names
  std::vector<std::string> cited;        // ids: aborted, but with packs that others may cite
  std::vector<std::string> lost_commit;  // ids with a proof but no commit record; left alone
};

struct SweepScope {
  std::string host;
  std::string data_directory;
};

SweepResult sweep_dead_backups(const Repository& repository,
                               const std::vector<CatalogueEntry>& backups, const SweepScope& scope,
                               const std::stop_token& stop);

}  // namespace holdfast
