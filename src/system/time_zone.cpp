#include "system/time_zone.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <date/tz.h>
#include <fmt/format.h>

#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::string_view kZoneFolder = "/usr/share/zoneinfo";
constexpr std::size_t kMaxZoneFileBytes = std::size_t{1} << 20U;
constexpr std::chrono::sys_days kLastDayListed{std::chrono::year{2037} / 1 / 1};
constexpr const char* kInstallHint = "Install the package tzdata.";

// In the folder of zone files, but this machine's choice and no zone of the database.
constexpr std::string_view kMachineZone = "localtime";

const date::tzdb& database() {
  try {
    return date::get_tzdb();
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kConfiguration,
                fmt::format("the time zones of this machine cannot be read: {}", error.what()),
                {.object = std::string(kZoneFolder), .hint = kInstallHint});
  }
}

// Whether the zone changes its clock by a rule for ever: the rule is the last line of a zone file
// (RFC 8536, section 3.3), and one with dates has commas.
bool has_rule(std::string_view name) {
  const std::filesystem::path path = std::filesystem::path(kZoneFolder) / name;
  auto content = read_file(path, kMaxZoneFileBytes);
  if (!content || content->size() < 2 || content->back() != '\n') {
    throw Error(ErrorKind::kConfiguration, "a time zone file is missing or has no rule at its end",
                {.object = path.string(), .hint = kInstallHint});
  }
  content->pop_back();
  const std::size_t begin = content->rfind('\n');
  return begin != std::string::npos && content->find(',', begin) != std::string::npos;
}

// The library's answer for an instant; refuses one that lies behind the transitions it knows.
date::sys_info info_at(const date::time_zone& zone, std::chrono::sys_seconds time) {
  date::sys_info info = zone.get_info(time);
  if (time >= kLastDayListed && has_rule(zone.name())) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the offset of a time behind the year 2036 is not known in zone {}",
                            zone.name()),
                {.hint = "Give the time with its offset, or in UTC."});
  }
  return info;
}

void require_all_transitions(const date::time_zone& zone) {
  const date::sys_info last = zone.get_info(std::chrono::sys_seconds(kLastDayListed));
  const auto year_before = std::chrono::sys_seconds(kLastDayListed) - std::chrono::years{1};
  if (last.begin >= year_before || !has_rule(zone.name())) return;
  throw Error(ErrorKind::kConfiguration,
              "the time zone files of this machine are in a form that this build cannot read: they "
              "do not list the coming changes of the clock",
              {.object = zone.name(), .hint = "Use timezone: UTC, or Debian's package tzdata."});
}

ZonedInstant reading(WallTime wall, const date::sys_info& info) {
  return {Timestamp{wall.time_since_epoch() - info.offset}, info.offset};
}

}  // namespace

std::optional<TimeZone> TimeZone::find(std::string_view name) {
  if (name == "UTC") return utc();
  if (name == kMachineZone) return std::nullopt;
  const date::tzdb& zones = database();
  const auto found = std::ranges::find(zones.zones, name, &date::time_zone::name);
  if (found == zones.zones.end()) return std::nullopt;
  require_all_transitions(*found);
  return TimeZone(std::string(name), &*found);
}

ZoneOffset TimeZone::offset_at(Timestamp time) const {
  if (zone_ == nullptr) return ZoneOffset{0};
  return info_at(*zone_, std::chrono::floor<std::chrono::seconds>(time)).offset;
}

WallTimeMeaning TimeZone::resolve(WallTime wall) const {
  using Kind = WallTimeMeaning::Kind;
  if (zone_ == nullptr) return {Kind::kOnce, {Timestamp{wall.time_since_epoch()}, {}}, {}};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall.time_since_epoch());
  info_at(*zone_, std::chrono::sys_seconds{seconds});
  const date::local_info info = zone_->get_info(date::local_seconds{seconds});
  WallTimeMeaning meaning{Kind::kOnce, reading(wall, info.first), {}};
  if (info.result == date::local_info::unique) return meaning;
  meaning.kind = info.result == date::local_info::ambiguous ? Kind::kTwice : Kind::kSkipped;
  meaning.second = reading(wall, info.second);
  return meaning;
}

std::string to_rfc3339(const ZonedInstant& instant) {
  std::string text = to_rfc3339(instant.time + instant.offset);
  if (instant.offset == ZoneOffset{0}) return text;
  text.pop_back();  // the Z
  const auto seconds = std::chrono::abs(instant.offset).count();
  text += fmt::format("{}{:02}:{:02}", instant.offset.count() < 0 ? '-' : '+', seconds / 3600,
                      seconds / 60 % 60);
  // Local mean times before about 1930 have seconds; RFC 3339 has no form for them, ISO 8601 has.
  if (seconds % 60 != 0) text += fmt::format(":{:02}", seconds % 60);
  return text;
}

}  // namespace holdfast
