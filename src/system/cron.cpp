#include "system/cron.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <span>

#include <fmt/format.h>

#include "core/error.h"

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 12> kMonthNames{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kDayNames{"sun", "mon", "tue", "wed",
                                                    "thu", "fri", "sat"};
constexpr std::array<std::string_view, 7> kSystemdDays{"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
constexpr std::array<int, 12> kDaysInMonth{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
constexpr std::size_t kCronBytesMax = 500;

struct Macro {
  std::string_view name, meaning;
};
constexpr Macro kMacros[] = {{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
                             {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                             {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
                             {"@annually", "0 0 1 1 *"}};

[[noreturn]] void refuse_cron(std::string_view text, std::string why) {
  throw Error(ErrorKind::kUsage, std::move(why),
              {.object = std::string(text),
               .hint = "Five fields: minute, hour, day of the month, month, day of the week; "
                       "'0 2 * * *' is every night at two."});
}

struct FieldKind {
  std::string_view what;
  int low, high;
  std::span<const std::string_view> names = {};
  int first_named = 0;
};
const FieldKind kFieldKinds[] = {{"minute", 0, 59},
                                 {"hour", 0, 23},
                                 {"day of the month", 1, 31},
                                 {"month", 1, 12, kMonthNames, 1},
                                 {"day of the week", 0, 7, kDayNames, 0}};

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = text.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

class FieldReader {
 public:
  FieldReader(std::string_view whole, const FieldKind& kind) : whole_(whole), kind_(kind) {}

  CronField read(std::string_view field) {
    CronField out{.values = {}, .any = field.starts_with('*')};
    for (;;) {
      const std::size_t comma = field.find(',');
      read_part(field.substr(0, comma));
      if (comma == std::string_view::npos) break;
      field.remove_prefix(comma + 1);
    }
    out.values.assign(values_.begin(), values_.end());
    return out;
  }

 private:
  void read_part(std::string_view part) {
    const std::size_t slash = part.find('/');
    const std::string_view range = part.substr(0, slash);
    int step = 1;
    if (slash != std::string_view::npos) {
      const auto number = whole_number(part.substr(slash + 1));
      if (!number || *number == 0) refuse(part, "a step is a number above 0");
      if (*number > kind_.high) refuse(part, "a step that leads beyond the last value");
      step = *number;
    }
    const std::size_t dash = range.find('-');
    int low = kind_.low, high = kind_.high;
    if (range == "*") {
      // Both 0 and 7 are Sunday: once is enough, and steps count from 0.
      if (kind_.high == 7) high = 6;
    } else if (dash != std::string_view::npos) {
      low = value_of(range.substr(0, dash));
      high = value_of(range.substr(dash + 1));
      if (high < low) refuse(part, "a range ends before it begins");
    } else {
      low = high = value_of(range);
      if (slash != std::string_view::npos) refuse(part, "a step needs '*' or a range before it");
    }
    for (int value = low; value <= high; value += step) {
      values_.insert(kind_.high == 7 ? value % 7 : value);
    }
  }

  int value_of(std::string_view word) const {
    if (const auto number = whole_number(word)) {
      if (*number < kind_.low || *number > kind_.high) {
        refuse(word, fmt::format("it is not from {} to {}", kind_.low, kind_.high));
      }
      return *number;
    }
    std::string lower(word);
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const auto name = std::ranges::find(kind_.names, lower);
    if (name != kind_.names.end()) {
      return static_cast<int>(name - kind_.names.begin()) + kind_.first_named;
    }
    refuse(word, word.find_first_of("LW#?") != std::string_view::npos
                     ? "'L', 'W', '#' and '?' are not supported"
                     : "it is neither a number nor a name");
  }

  [[noreturn]] void refuse(std::string_view part, std::string_view why) const {
    refuse_cron(whole_, fmt::format("'{}' is no {}: {}", part, kind_.what, why));
  }

  std::string_view whole_;
  const FieldKind& kind_;
  std::set<int> values_;
};

void require_possible_day(std::string_view text, const CronSchedule& schedule) {
  if (schedule.day.any || !schedule.weekday.any) return;
  const int first = schedule.day.values.front();
  const bool possible = std::ranges::any_of(schedule.month.values, [&](int month) {
    return first <= kDaysInMonth[static_cast<std::size_t>(month - 1)];
  });
  if (!possible) refuse_cron(text, "no such day: none of these months is that long");
}

// "*" for all of them, else numbers with commas.
std::string systemd_list(const CronField& field, std::size_t count) {
  if (field.values.size() == count) return "*";
  std::string out;
  for (const int value : field.values) out += fmt::format("{}{:02}", out.empty() ? "" : ",", value);
  return out;
}

std::string systemd_days(const CronField& weekday) {
  if (weekday.values.size() == kSystemdDays.size()) return "";
  std::string out;
  for (const int day : weekday.values) {
    out += fmt::format("{}{}", out.empty() ? "" : ",", kSystemdDays[static_cast<std::size_t>(day)]);
  }
  return out + " ";
}

bool has(const CronField& field, unsigned value) {
  return std::ranges::binary_search(field.values, static_cast<int>(value));
}

bool falls_on(const CronSchedule& schedule, std::chrono::local_days day) {
  const std::chrono::year_month_day date{day};
  if (!has(schedule.month, static_cast<unsigned>(date.month()))) return false;
  const bool of_month = has(schedule.day, static_cast<unsigned>(date.day()));
  const bool of_week = has(schedule.weekday, std::chrono::weekday(day).c_encoding());
  return schedule.day.any || schedule.weekday.any ? of_month && of_week : of_month || of_week;
}

// In minutes since midnight, ascending.
std::vector<std::chrono::minutes> times_of_day(const CronSchedule& schedule) {
  std::vector<std::chrono::minutes> times;
  for (const int hour : schedule.hour.values) {
    for (const int minute : schedule.minute.values) {
      times.push_back(std::chrono::hours(hour) + std::chrono::minutes(minute));
    }
  }
  return times;
}

}  // namespace

CronSchedule parse_cron(std::string_view text) {
  if (text.size() > kCronBytesMax) refuse_cron(text.substr(0, 40), "a schedule is not that long");
  std::vector<std::string_view> words = words_of(text);
  if (words.size() == 1 && words[0].starts_with('@')) {
    const auto* macro = std::ranges::find(kMacros, words[0], &Macro::name);
    if (macro == std::end(kMacros)) {
      refuse_cron(text, fmt::format("'{}' is not supported", words[0]));
    }
    words = words_of(macro->meaning);
  }
  if (words.size() != std::size(kFieldKinds)) {
    refuse_cron(text, fmt::format("a schedule has five fields, not {}", words.size()));
  }
  const auto field = [&](std::size_t i) {
    return FieldReader(text, kFieldKinds[i]).read(words[i]);
  };
  const CronSchedule schedule{.minute = field(0),
                              .hour = field(1),
                              .day = field(2),
                              .month = field(3),
                              .weekday = field(4)};
  require_possible_day(text, schedule);
  return schedule;
}

std::vector<std::string> on_calendar(const CronSchedule& schedule, std::string_view zone) {
  const std::string time = fmt::format("{}:{}:00 {}", systemd_list(schedule.hour, 24),
                                       systemd_list(schedule.minute, 60), zone);
  const std::string month = systemd_list(schedule.month, 12);
  const std::string day = systemd_list(schedule.day, 31);
  const std::string weekdays = systemd_days(schedule.weekday);
  if (schedule.day.any || schedule.weekday.any) {
    return {fmt::format("{}*-{}-{} {}", weekdays, month, day, time)};
  }
  return {fmt::format("*-{}-{} {}", month, day, time),
          fmt::format("{}*-{}-* {}", weekdays, month, time)};
}

std::chrono::minutes interval_around(const CronSchedule& schedule,
                                     std::chrono::local_time<std::chrono::minutes> time) {
  using std::chrono::days;
  const auto today = std::chrono::floor<days>(time);
  const std::vector<std::chrono::minutes> times = times_of_day(schedule);
  const auto now = std::ranges::upper_bound(times, time - today);
  auto before = time - kCronFar;
  if (now != times.begin() && falls_on(schedule, today)) {
    before = today + *std::prev(now);
  } else {
    for (auto day = today - days(1); day > today - kCronFar; day -= days(1)) {
      if (!falls_on(schedule, day)) continue;
      before = day + times.back();
      break;
    }
  }
  if (now != times.end() && falls_on(schedule, today)) return today + *now - before;
  for (auto day = today + days(1); day < today + kCronFar; day += days(1)) {
    if (falls_on(schedule, day)) return day + times.front() - before;
  }
  return time + kCronFar - before;
}

}  // namespace holdfast
