#pragma once
// The text of --target-time and of other times, as recovery_target.h describes it. Errors: kUsage.
// Threads: any.

#include <string_view>

#include "core/time.h"
#include "system/time_zone.h"

namespace holdfast {

// The instant, and the offset of the zone that was given or, without one, of `zone`.
ZonedInstant parse_target_time(std::string_view text, Timestamp now, const TimeZone& zone);
// For bounds that need no time of day (--since, --until): a date alone is how its day begins.
Timestamp parse_day_or_time(std::string_view text, Timestamp now, const TimeZone& zone);

}  // namespace holdfast
