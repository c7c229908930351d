#pragma once
// A capability of stores that have frozen storage classes: objects that are there for head and
// list, and that get and get_range refuse with Error(kRepository) until somebody has asked for them
// and some hours have passed. S3 calls it restoring. It stands beside ObjectStore, because few
// stores have it and few callers need it; decorators hand it on. Errors, cancellation, threads: as
// ObjectStore. Source: Amazon S3 API reference, RestoreObject, and HeadObject's x-amz-restore.

#include <optional>
#include <stop_token>
#include <string>

#include "storage/object_store.h"

namespace holdfast {

// How soon, and how dearly: S3's tiers.
enum class ThawSpeed { kBulk, kStandard, kExpedited };

struct ThawRequest {
  ThawSpeed speed = ThawSpeed::kStandard;
  unsigned days = 7;  // for how long the object can then be read
};

enum class ThawState {
  kReadable,  // now: thawed, or never frozen
  kFrozen,    // and nobody has asked for it
  kThawing,   // somebody has asked for it; it is not there yet
};

class Thawing {
 public:
  virtual ~Thawing() = default;

  // nullopt when the store says that there is no such object.
  virtual std::optional<ThawState> thaw_state(const std::string& name,
                                              const std::stop_token& stop) = 0;

  // Asks for a frozen object, and tells how it stands then. Asking again for what was asked for is
  // no error and starts nothing anew. Call it for what thaw_state() calls frozen.
  virtual ThawState request_thaw(const std::string& name, const ThawRequest& request,
                                 const std::stop_token& stop) = 0;
};

// Of any store: of one without frozen classes, what exists can be read.
std::optional<ThawState> thaw_state(ObjectStore& store, const std::string& name,
                                    const std::stop_token& stop);
ThawState request_thaw(ObjectStore& store, const std::string& name, const ThawRequest& request,
                       const std::stop_token& stop);

}  // namespace holdfast
