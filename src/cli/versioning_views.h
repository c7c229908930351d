#pragma once
// What commands that remove something say of a bucket that keeps older versions.

#include <string>

#include "storage/versioning.h"

namespace holdfast::cli {

// Empty where space is freed at once, or nobody knows.
inline std::string text_of(VersioningState versioning) {
  if (versioning == VersioningState::kNone || versioning == VersioningState::kUnknown) return "";
  return "The bucket has versioning: what is removed stays as older versions, and its space is "
         "free "
         "only when\nthe bucket's rules remove those. Until then 'holdfast undelete' brings it "
         "back.\n";
}

}  // namespace holdfast::cli
