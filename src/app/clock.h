#pragma once
// Whether the clocks that a backup depends on agree: this machine's, PostgreSQL's (backup times)
// and the store's (what expiry takes for "now").
//
// A clock is read between two looks at this machine's; the reading counts for their middle. Errors:
// those of the session and the store. Threads: any, one per session.

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "postgres/session.h"
#include "storage/object_store.h"

namespace holdfast {

// Clocks that are further apart than this are not the same clock (docs/setup.md).
inline constexpr std::chrono::minutes kClocksApartMax{5};

struct ClockReading {
  std::string whose;                   // "this machine", "PostgreSQL", "the repository"
  std::chrono::microseconds ahead{0};  // of this machine's clock; negative: behind
};

ClockReading read_clock(Session& session, const Clock& here = system_clock());
ClockReading read_clock(ObjectStore& store, const std::stop_token& stop,
                        const Clock& here = system_clock());

struct ClockGap {
  std::string ahead, behind;  // whose clocks
  std::chrono::microseconds gap{0};
};
// The two that are furthest apart, this machine's clock among those compared.
ClockGap widest_gap(const std::vector<ClockReading>& readings);

// What to tell the user when the clocks are too far apart; nullopt when they agree.
std::optional<std::string> clock_warning(const std::vector<ClockReading>& readings);

}  // namespace holdfast
