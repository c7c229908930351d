#pragma once
// Time zones of the IANA database: from a wall clock to instants, and from an instant to its
// offset.
//
// A wall clock's time can name no instant (skipped when the clock goes forward), one, or two (when
// it goes back); resolve() tells which, because a target time that was guessed restores the wrong
// data. Zones are read from this machine's zone files by Howard Hinnant's date library (g++ 12 has
// no zones in <chrono>); "UTC" needs no file.
// Limits: that library reads the transitions that a zone file lists and not the rule at its end.
//   The files of Debian's package tzdata list them up to 2037. Files that list fewer ("slim") would
//   give wrong offsets: a zone of such a file is refused, and so is an instant beyond the list.
// Errors: kConfiguration when the zone files are missing or slim; kUsage for such an instant.
// Threads: any. Lifetime: a TimeZone is a value; the zone files are read once per process.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace date {
class time_zone;
}

namespace holdfast {

// What a wall clock shows, to the microsecond.
using WallTime = std::chrono::local_time<std::chrono::microseconds>;
using ZoneOffset = std::chrono::seconds;  // east of Greenwich

// An instant together with the offset that a wall clock in the zone has then.
struct ZonedInstant {
  Timestamp time;
  ZoneOffset offset{0};
  bool operator==(const ZonedInstant&) const = default;
};

struct WallTimeMeaning {
  enum class Kind { kOnce, kSkipped, kTwice };
  Kind kind = Kind::kOnce;
  // kOnce: `first`. Otherwise both readings: with the offset before the change and after it.
  ZonedInstant first, second;
};

class TimeZone {
 public:
  // nullopt unless `name` is exactly, in upper and lower case too, a zone of the database.
  static std::optional<TimeZone> find(std::string_view name);
  static TimeZone utc() { return TimeZone("UTC", nullptr); }

  const std::string& name() const { return name_; }
  ZoneOffset offset_at(Timestamp time) const;
  WallTimeMeaning resolve(WallTime wall) const;

 private:
  TimeZone(std::string name, const date::time_zone* zone) : name_(std::move(name)), zone_(zone) {}
  std::string name_;
  const date::time_zone* zone_;  // the library's own, for ever; nullptr: UTC
};

// "2026-11-22T14:00:00+01:00", with a fraction if it is not 0; "…Z" for offset 0.
std::string to_rfc3339(const ZonedInstant& instant);

}  // namespace holdfast
