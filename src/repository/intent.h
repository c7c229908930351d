#pragma once
// Intents: that a backup which is not finished is going to cite packs of another one.
//
// The rule, for whoever writes a manifest with packs that lie in another backup's folder:
//   1. write the own begin record
//   2. write_intent() for each backup whose *manifest* protects what will be cited: for an
//      incremental, its direct parent. A copy has no parent in its repository; it writes one for
//      each folder in which it cites a pack, also where that folder has no backup of its own
//   3. then ask is_tombstoned() (repository/tombstone.h) for each: if one is, do not build on it
//   4. only then read its manifest, or look which packs are there already
// Who deletes does the opposite: it writes the tombstone, then looks for intents. So of a writer
// and a deleter at the same moment at least one sees the other, because listings and gets of a
// store are consistent (storage/object_store.h).
//
// An intent counts while the outcome of the citing backup is undecided. Once that is committed, its
// own manifest protects what it cites; once it is aborted, it cites nothing. A citing backup that
// died is aborted by a sweep, and so its intent ends too. Intents stay until the cited folder is
// deleted: a folder that was never committed and has none is cited by nobody.
//
// Why the direct parent is enough: what the child cites in older folders its parent cites too, and
// a parent with a live intent is not deleted, so that its manifest goes on protecting those packs.
// Errors: those of the store. Trust: names alone; an intent can only keep something from being
//   deleted. Threads: any; plain data.

#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

// Writing it again is no error: a resumed copy does.
void write_intent(const Repository& repository, const names::IntentName& intent,
                  const std::stop_token& stop);

struct Intent {
  names::IntentName name;
  Timestamp written;  // by the store's clock
};
// Every intent on backups of a history, or on one backup, whether it counts or not.
std::vector<Intent> list_intents(const Repository& repository, const std::string& cluster,
                                 const HistoryName& history, const std::stop_token& stop);
std::vector<Intent> list_intents(const Repository& repository, const BackupName& cited,
                                 const std::stop_token& stop);

// Whether the citing backup is still undecided.
bool is_live(const Repository& repository, const Intent& intent, const std::stop_token& stop);

}  // namespace holdfast
