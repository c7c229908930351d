#include "restore/target_time.h"

#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"

namespace holdfast {
namespace {

constexpr std::string_view kOption = "--target-time";
constexpr std::size_t kMaxTextBytes = 100;

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error(ErrorKind::kUsage, std::move(message),
              {.object = std::string(kOption), .hint = std::move(hint)});
}

[[noreturn]] void refuse_form(std::string_view text) {
  refuse(fmt::format("{} is no time that is understood", json_quoted(text)),
         "Write 2026-11-22T14:00:00+01:00, '2026-11-22 14:00', now, or a time ago such as -1h.");
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A reader that goes through the text from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : whole_(text), rest_(text) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool at_any(std::string_view any_of) const {
    return !rest_.empty() && any_of.find(rest_[0]) != std::string_view::npos;
  }
  bool take(std::string_view any_of) {
    if (!at_any(any_of)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) {
    if (!take(any_of)) refuse_form(whole_);
  }
  // Exactly `width` digits, not above `most`.
  int number(std::size_t width, int most) {
    int value = 0;
    if (rest_.size() < width) refuse_form(whole_);
    for (const char c : rest_.substr(0, width)) {
      if (!is_digit(c)) refuse_form(whole_);
      value = value * 10 + (c - '0');
    }
    if (value > most) {
      refuse(fmt::format("{} is no time: {} is too much there", json_quoted(whole_), value), "");
    }
    rest_.remove_prefix(width);
    return value;
  }

 private:
  std::string_view whole_, rest_;
};

std::chrono::local_days read_date(Reader& reader, std::string_view text) {
  const int year = reader.number(4, 9999);
  reader.expect("-");
  const int month = reader.number(2, 12);
  reader.expect("-");
  const int day = reader.number(2, 31);
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) refuse(fmt::format("{} is no day of the calendar", text.substr(0, 10)), "");
  return std::chrono::local_days{date};
}

// PostgreSQL's times have microseconds; more digits could only be dropped, which would move the
// target.
std::chrono::microseconds read_fraction(Reader& reader, std::string_view text) {
  if (!reader.take(".,")) return {};
  std::int64_t micros = 0;
  std::int64_t scale = 100'000;
  if (!reader.at_any("0123456789")) refuse_form(text);
  while (reader.at_any("0123456789")) {
    const int digit = reader.number(1, 9);
    if (scale == 0 && digit != 0) {
      refuse(fmt::format("{} is finer than PostgreSQL's microseconds", json_quoted(text)),
             "Give at most six digits after the point.");
    }
    micros += digit * scale;
    scale /= 10;
  }
  return std::chrono::microseconds{micros};
}

std::chrono::microseconds read_time_of_day(Reader& reader, std::string_view text) {
  const int hour = reader.number(2, 23);
  reader.expect(":");
  const int minute = reader.number(2, 59);
  std::chrono::microseconds time = std::chrono::hours{hour} + std::chrono::minutes{minute};
  if (!reader.take(":")) return time;
  time += std::chrono::seconds{reader.number(2, 59)};
  return time + read_fraction(reader, text);
}

// "+01", "+0100", "+01:00"; the sign is next.
ZoneOffset read_offset(Reader& reader) {
  constexpr int kHoursMax = 15;  // PostgreSQL's MAX_TZDISP_HOUR
  const bool west = reader.at_any("-");
  reader.expect("+-");
  ZoneOffset offset = std::chrono::hours{reader.number(2, kHoursMax)};
  if (reader.take(":") || reader.at_any("0123456789")) {
    offset += std::chrono::minutes{reader.number(2, 59)};
  }
  return west ? -offset : offset;
}

std::string describe(const ZonedInstant& instant) {
  return fmt::format("{} ({})", to_rfc3339(instant), to_rfc3339(instant.time));
}

WallTimeMeaning meaning_of(WallTime wall, const TimeZone& zone) {
  try {
    return zone.resolve(wall);
  } catch (Error& error) {
    error.about(kOption);
    throw;
  }
}

ZonedInstant in_zone(WallTime wall, const TimeZone& zone, std::string_view text) {
  using Kind = WallTimeMeaning::Kind;
  const WallTimeMeaning meaning = meaning_of(wall, zone);
  if (meaning.kind == Kind::kOnce) return meaning.first;
  const std::string both =
      fmt::format("{} or {}", describe(meaning.first), describe(meaning.second));
  if (meaning.kind == Kind::kTwice) {
    refuse(fmt::format("{} was there twice in {}, when the clock went back: {}", json_quoted(text),
                       zone.name(), both),
           "Give the time with its offset.");
  }
  refuse(fmt::format("{} was never there in {}, because the clock went forward; it could mean {}",
                     json_quoted(text), zone.name(), both),
         "Give the time with its offset.");
}

// The zone behind a time: none, Z, an offset, UTC, or a name such as Europe/Berlin. Short names
// besides UTC are left out: CET is an offset to PostgreSQL, and a zone with summer time elsewhere.
ZonedInstant read_zone(Reader& reader, WallTime wall, const TimeZone& zone, std::string_view text) {
  const bool apart = reader.take(" ");
  if (reader.done() && !apart) return in_zone(wall, zone, text);
  if (reader.at_any("+-")) {
    const ZoneOffset offset = read_offset(reader);
    if (!reader.done()) refuse_form(text);
    return {Timestamp{wall.time_since_epoch() - offset}, offset};
  }
  const std::string_view name = reader.rest();
  if (name == "Z" || name == "z" || name == "UTC") return in_zone(wall, TimeZone::utc(), text);
  if (!apart || name.find('/') == std::string_view::npos) refuse_form(text);
  const auto named = TimeZone::find(name);
  if (!named) {
    refuse(fmt::format("no time zone is called {}", json_quoted(name)),
           "Give an offset such as +01:00, or a name such as Europe/Berlin.");
  }
  return in_zone(wall, *named, text);
}

ZonedInstant before_now(std::string_view text, Timestamp now, const TimeZone& zone) {
  const auto ago = parse_duration(text.substr(1));
  if (!ago) refuse_form(text);
  const Timestamp time = now - *ago;
  return {time, zone.offset_at(time)};
}

}  // namespace

ZonedInstant parse_target_time(std::string_view text, Timestamp now, const TimeZone& zone) {
  if (text.size() > kMaxTextBytes) refuse_form(text.substr(0, kMaxTextBytes));
  if (text == "now") return {now, zone.offset_at(now)};
  if (text.starts_with('-')) return before_now(text, now, zone);
  if (text.size() > 2 && is_digit(text[0]) && text.find(':') <= 2) {
    refuse(fmt::format("{} has no date", json_quoted(text)),
           "Put the day in front, as in '2026-11-22 14:00', or say how long ago, as in -1h.");
  }
  Reader reader(text);
  const std::chrono::local_days day = read_date(reader, text);
  if (reader.done()) {
    refuse(fmt::format("{} has no time of day", json_quoted(text)),
           fmt::format("Add one: '{0} 00:00' is how the day begins, '{0} 23:59:59.999999' how it "
                       "ends.",
                       text));
  }
  reader.expect("Tt ");
  const WallTime wall = WallTime{day} + read_time_of_day(reader, text);
  return read_zone(reader, wall, zone, text);
}

Timestamp parse_day_or_time(std::string_view text, Timestamp now, const TimeZone& zone) {
  constexpr std::size_t kDateLength = std::string_view("2026-11-22").size();
  if (text.size() != kDateLength) return parse_target_time(text, now, zone).time;
  return parse_target_time(std::string(text) + " 00:00:00", now, zone).time;
}

}  // namespace holdfast
