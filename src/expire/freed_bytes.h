#pragma once
// What removing some backups would free: their manifests, and the packs that none of the others
// cites, also those that lie in folders of backups that are gone already. Smaller records and WAL
// are not counted; what a running backup or copy takes over meanwhile is counted as freed.
// Errors: those of the store; kRefused when the manifest of a backup that stays cannot be read,
// because nobody knows then what it cites. One that goes and has no readable manifest counts as
// nothing. Memory: a bit for each pack of the folders concerned, and a few manifest roots.
// Threads: any.

#include <cstdint>
#include <stop_token>
#include <vector>

#include "expire/expire_survey.h"

namespace holdfast {

std::uint64_t freed_bytes(const Repository& repository, const ExpireSurvey& survey,
                          const std::vector<BackupName>& going, const std::stop_token& stop);

// As above, of one backup alone.
std::uint64_t bytes_freed_by_deleting(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop);

}  // namespace holdfast
