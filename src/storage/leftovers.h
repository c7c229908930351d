#pragma once
// A capability of stores in which an upload that was killed leaves something behind that is no
// object: a folder's temporary files. It stands beside ObjectStore for the reasons that
// storage/thawing.h gives; decorators hand it on.

#include <cstdint>
#include <stop_token>
#include <string>

#include "storage/object_store.h"

namespace holdfast {

class Leftovers {
 public:
  virtual ~Leftovers() = default;
  // Removes what is older than a day below `prefix`, which ends in '/'. Best effort: what cannot be
  // removed stays, and harms nobody. Returns how many were removed. Errors: kCancelled only, and
  // those of finding the repository.
  virtual std::uint64_t remove_leftovers(const std::string& prefix,
                                         const std::stop_token& stop) = 0;
};

// Of any store: of one that leaves nothing behind, 0.
std::uint64_t remove_leftovers(ObjectStore& store, const std::string& prefix,
                               const std::stop_token& stop);

}  // namespace holdfast
