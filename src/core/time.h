#pragma once
// Points in time and durations as Holdfast shows and stores them: UTC, RFC 3339.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using Seconds = std::chrono::duration<double>;

// Wall clock. Injected where a test must set it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
};
const Clock& system_clock();

std::string to_rfc3339(Timestamp time);  // "2026-11-22T02:00:00.123456Z" (fraction if not 0)
std::string to_rfc3339_seconds(Timestamp time);  // "2026-11-22T02:00:00Z"
std::string to_compact(Timestamp time);          // "20261122T020000Z", as in backup ids
// Date and time with 'T' or ' ' between them, optional fraction, and a zone: Z, +02, +02:00, +0200.
std::optional<Timestamp> parse_rfc3339(std::string_view text);

}  // namespace holdfast
