#pragma once
// Holds: that a backup must not be deleted before a date, whatever the policy says.
//
// They are a series of numbered, create-only records, <history>/hold/<id>/NNNN; the highest counts
// and says "held until" or "released".
//
// Against a deletion at the same moment: place_hold() writes the record and then looks at the
// tombstone (repository/tombstone.h); whoever deletes writes the tombstone and looks for holds
// before it says "deleting". A hold that finds a mark withdraws it, so a backup whose deletion has
// not begun comes back.
// Errors: those of the store. A record that cannot be read holds the backup: nobody can say that it
//   was released. Threads: any; plain data.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

struct Hold {
  BackupName backup;
  std::uint32_t number = 0;
  bool held = true;                     // false: released
  std::optional<Timestamp> until = {};  // of a hold; nullopt: the record cannot be read
  std::string reason;
  std::string time;  // RFC 3339, by the writer's clock
  std::string by;
  bool active(Timestamp now) const { return held && (!until || now < *until); }
};
// "until 2027-01-01T00:00:00Z: audit"
std::string text_of(const Hold& hold);

// The last record of each backup of a history that has one, by id.
std::vector<Hold> list_holds(const Repository& repository, const std::string& cluster,
                             const HistoryName& history, const std::stop_token& stop);
std::optional<Hold> last_hold(const Repository& repository, const BackupName& backup,
                              const std::stop_token& stop);

struct HoldPlaced {
  std::uint32_t number = 0;
  bool brought_back = false;  // the backup was going to be deleted
};
// `hold.number` is chosen here. kRefused when the backup's deletion has begun.
HoldPlaced place_hold(const Repository& repository, Hold hold, const std::stop_token& stop);
// False when it is not held.
bool release_hold(const Repository& repository, const BackupName& backup, const std::string& by,
                  const std::stop_token& stop);

}  // namespace holdfast
