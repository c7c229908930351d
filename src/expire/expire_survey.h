#pragma once
// What an expiry looks at: every folder of backups with its tombstone and its hold, and the archive
// as it is without those that are being deleted.
// Errors: those of the store; kRefused when two listings do not agree. Threads: any; plain data.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/known.h"
#include "repository/hold.h"
#include "repository/intent.h"
#include "repository/recoverable.h"
#include "repository/tombstone.h"

namespace holdfast {

enum class FolderState {
  kCounts,      // a committed backup, or one with a damaged commit record
  kMarked,      // has a tombstone that says "marked"; counts too if it is a backup
  kUnsure,      // has one that cannot be read; counts too if it is a backup
  kDeleting,    // its tombstone says "deleting"
  kAborted,     // its outcome says so
  kUnfinished,  // running, or died
  kLoosePacks,  // packs alone, for other backups
};

struct BackupFolder {
  BackupName name;
  FolderState state = FolderState::kUnfinished;
  bool is_backup = false;  // has a commit record, readable or not
  std::string damage;      // of the commit record
  BackupInfo info;         // of a readable one
  Outcome outcome;
  std::optional<TombstoneName> last_tombstone;
  std::optional<Tombstone> tombstone;  // where it can be read
  std::optional<Hold> hold;            // the last record
  bool counts() const {
    return is_backup && (state == FolderState::kCounts || state == FolderState::kMarked ||
                         state == FolderState::kUnsure);
  }
  // When its last tombstone was written; of folders whose state says that they have one.
  Timestamp marked_at() const { return known(last_tombstone).written; }
  // Somebody asked for its deletion, and that was not withdrawn.
  bool requested() const {
    return state == FolderState::kMarked && tombstone && !tombstone->by_policy;
  }
};

struct ExpireSurvey {
  std::string cluster;
  Timestamp now;  // the store's
  std::vector<HistoryName> histories;
  std::vector<BackupFolder> folders;  // by id
};
ExpireSurvey survey_folders(const Repository& repository, const std::string& cluster,
                            const std::stop_token& stop);
const BackupFolder* find_folder(const ExpireSurvey& survey, const BackupName& name);

// Every intent of the cluster.
std::vector<Intent> all_intents(const Repository& repository, const ExpireSurvey& survey,
                                const std::stop_token& stop);
// Whether the citing backup of an intent may still commit, as `survey` says, which was made after
// the intents were listed.
bool is_live_intent(const ExpireSurvey& survey, const Intent& intent);

// kRefused when `later` or the intents tell of a backup that a listing should have shown and did
// not.
void require_whole_listing(const Repository& repository, const ExpireSurvey& earlier,
                           const ExpireSurvey& later, const std::vector<Intent>& intents,
                           const std::stop_token& stop);

}  // namespace holdfast
