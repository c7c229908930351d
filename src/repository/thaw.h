#pragma once
// What a backup needs that lies in a frozen storage class, and bringing it back.
//
// Packs of data and WAL may be frozen; the catalogue, map packs among it, never is. What was asked
// for is known to the store alone, so whoever comes later, after a kill or on another machine,
// finds it there and asks only for what is missing.
// Memory: about 150 bytes for each object that cannot be read. Requests: a listing of the folders
//   that hold the objects; one for the state of each that is in such a class; one to ask for each;
//   then the state again of those that are awaited, some at a time.
// Errors: kDamage when an object is gone; kUsage for a speed that the class does not know; those of
//   the store. Threads: one call at a time for each ColdObjects.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/progress.h"
#include "repository/manifest.h"
#include "repository/repository.h"
#include "repository/wal_search.h"
#include "storage/pacer.h"
#include "storage/thawing.h"

namespace holdfast {

struct ColdObject {
  std::string name;
  std::uint64_t bytes = 0;
  ThawState state = ThawState::kFrozen;
};

// What cannot be read now.
struct ColdObjects {
  std::vector<ColdObject> objects;
  std::string storage_class;  // theirs; of several, the one that takes longest
  std::uint64_t bytes = 0;
  std::uint64_t requested = 0;  // how many are asked for already

  bool empty() const { return objects.empty(); }
};

// Of the packs that the backup names.
ColdObjects cold_packs(const Repository& repository, const ManifestRoot& root,
                       const PackRegistry& registry, const std::stop_token& stop);

// Of the archived WAL behind the backup's start, on its timeline and those that left it.
ColdObjects cold_wal(const Repository& repository, const WalLine& line, const BackupInfo& backup,
                     const std::stop_token& stop);

// Each object once.
void append(ColdObjects& cold, ColdObjects more);

// Whether what failed is an object that cannot be read before it is thawed.
bool is_about_frozen(const Repository& repository, const Error& error, const std::stop_token& stop);

// How often what is awaited is looked at: first after a second, then in doubling times up to this.
inline constexpr std::chrono::seconds kLongestThawPause{60};

// Asks for what nobody has asked for, and returns when everything can be read.
void thaw(const Repository& repository, ColdObjects cold, const ThawRequest& request,
          Progress& progress, const std::stop_token& stop, Pacer& pacer = system_pacer());

// "12 objects (340.0 MiB) in GLACIER", and what each speed takes.
std::string describe(const ColdObjects& cold);
std::string describe_thaw_times(std::string_view storage_class);

}  // namespace holdfast
