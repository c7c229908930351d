#pragma once
// Bringing back from a frozen storage class what a command is going to read: restore, verify and
// copy ask here before they begin.
//
// Nothing is asked of the store that was not confirmed, because it is billed: without
// --thaw SPEED --yes the answer is kRefused, with how much it is and how long each speed takes.
// What somebody has asked for already is awaited without further questions.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/progress.h"
#include "repository/catalogue.h"
#include "repository/thaw.h"

namespace holdfast {

enum class Confirmed { kNo, kYes };

struct ThawChoice {
  std::optional<ThawSpeed> speed = {};   // --thaw
  Confirmed confirmed = Confirmed::kNo;  // --yes
};

// What was brought back.
struct Thawed {
  std::uint64_t objects = 0, bytes = 0;
  std::string storage_class;
  double waited_seconds = 0;
};

// What cannot be read now of the packs of committed backups. One whose manifest is damaged counts
// as readable: who reads it tells of the damage.
ColdObjects cold_objects(const Repository& repository, const std::vector<CatalogueEntry>& backups,
                         const std::stop_token& stop);

// Returns when everything can be read; nullopt when it could be from the start.
std::optional<Thawed> bring_back(const Repository& repository, ColdObjects cold,
                                 const ThawChoice& choice, Progress& progress,
                                 const std::stop_token& stop);

}  // namespace holdfast
