#pragma once
// What can be recovered, as `window` shows it: JSON (docs/json.md), a table, and a drawn timeline.

#include <string>
#include <vector>

#include "app/window.h"
#include "cli/command.h"

namespace holdfast::cli {

Json json_of(const HistoryWindow& history);
// `width`: columns of the drawn timeline.
std::string text_of(const HistoryWindow& history, const Style& style, std::size_t width);

// "====B====......B===": of the time between the first and the last known point, what can be
// recovered ('='), where backups end ('B'), and gaps ('.'); blank where the timeline has nothing.
struct TimeSpan {
  Timestamp from, to;
};
std::string drawn(const TimelineWindow& timeline, const TimeSpan& span, std::size_t width);

}  // namespace holdfast::cli
