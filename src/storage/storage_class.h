#pragma once
// What Holdfast knows of S3's storage classes by their names. Pure functions.
// Source: Amazon S3 user guide, "Archive retrieval options" (times) and "Storage classes".

#include <optional>
#include <string_view>

#include "storage/thawing.h"

namespace holdfast {

// Classes from which nothing can be read before it was thawed. GLACIER_IR is none of them. Objects
// that INTELLIGENT_TIERING has archived are not told by their class; reading them fails.
bool is_frozen_class(std::string_view storage_class);

// How long a thaw takes, in words; nullopt where the class does not know this speed.
std::optional<std::string_view> thaw_time(std::string_view storage_class, ThawSpeed speed);

std::string_view to_string(ThawSpeed speed);  // "bulk", as on the command line

}  // namespace holdfast
