#pragma once
// Tombstones: that a backup is going to be deleted, is being deleted, or was.
//
// They are a series of numbered, create-only records, <history>/tombstone/<id>/NNNN, of which the
// highest counts:
//   odd   "marked": the backup is going; nothing of it is touched yet
//   even  whichever of two is first, so that exactly one wins:
//         "withdrawn": somebody wants it after all (a hold, a changed policy)
//         "deleting": from now on objects of it are removed, and nothing brings it back
// A mark that follows a withdrawal takes the next odd number. The records stay for ever: they are
// small, they say what became of a backup, and a copy of it does not come again.
//
// Who may build on a backup asks is_tombstoned(), and before that writes an intent
// (repository/intent.h). Who deletes marks, waits for the grace period, and looks for intents and
// holds before it says "deleting".
// Errors: those of the store. A record that cannot be read is never taken for a withdrawal: the
//   backup counts as going, and nobody deletes it. Threads: any; plain data.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

enum class TombstoneState { kMarked, kWithdrawn, kDeleting };
std::string_view to_string(TombstoneState state);  // "marked", as in the record

struct Tombstone {
  BackupName backup;
  std::uint32_t number = 0;
  TombstoneState state = TombstoneState::kMarked;
  bool by_policy = true;  // false: somebody asked for this backup's deletion
  std::string reason;     // for people
  std::string time;       // RFC 3339, by the writer's clock
  std::string by;         // host and process
};

// The highest record of a backup, as a listing tells it.
struct TombstoneName {
  BackupName backup;
  std::uint32_t number = 0;
  Timestamp written;  // by the store's clock
};
// Of every backup of a history that has one, by id.
std::vector<TombstoneName> list_tombstones(const Repository& repository, const std::string& cluster,
                                           const HistoryName& history, const std::stop_token& stop);
std::optional<TombstoneName> last_tombstone(const Repository& repository, const BackupName& backup,
                                            const std::stop_token& stop);
// Missing or unreadable is kDamage.
Tombstone read_tombstone(const Repository& repository, const TombstoneName& name,
                         const std::stop_token& stop);

// Writes the record with its number. False when somebody else wrote that number first.
bool write_tombstone(const Repository& repository, const Tombstone& tombstone,
                     const std::stop_token& stop);

// Whether nothing new may be built on this backup: it is going or gone, or it was aborted.
bool is_tombstoned(const Repository& repository, const BackupName& backup,
                   const std::stop_token& stop);
// The same of a record that was listed, without the question for an abort.
bool is_going(const Repository& repository, const TombstoneName& last, const std::stop_token& stop);

}  // namespace holdfast
