#pragma once
// Empties the folders of backups that are being deleted or were aborted, as far as nothing needs
// them: step 5 of the argument in expire/expire.h.
//
// Order in a folder that says "deleting": commit record, manifest, then packs that are not cited,
// proofs and the begin record; when nothing of it is left, the intents on it. If the commit record
// cannot be removed, nothing else of the folder is. In an aborted one the commit record and the
// begin record stay for ever: they say that the id was used.
// Errors: those of the store. Threads: one call at a time.

#include <stop_token>

#include "expire/expire_survey.h"
#include "expire/object_remover.h"
#include "expire/pack_use.h"

namespace holdfast {

struct EmptyFolder {
  const BackupFolder& folder;
  bool cited_by_intent = false;  // a live one: its packs stay
};
// True when nothing of the backup is left but packs that others cite.
bool empty_folder(const Repository& repository, const EmptyFolder& which, const PackUse& use,
                  RemovedObjects& counts, const std::stop_token& stop);

}  // namespace holdfast
