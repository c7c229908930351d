#pragma once
// Schedules as cron has them, and as systemd wants them.
//
// Taken: five fields (minute, hour, day of the month, month, day of the week; numbers, names of
//   months and days, `*`, lists, ranges, steps), and @hourly, @daily, @midnight, @weekly, @monthly,
//   @yearly, @annually. Sunday is 0 or 7. As in cron, a schedule that restricts both kinds of days
//   means either: that makes two lines for systemd.
// Refused, each in words of its own: @reboot, seconds or years, `L`, `W`, `#`, `?`, numbers out of
//   range, ranges that end before they begin, and days that no month in it has.
// Errors: Error(kUsage). Threads: any; pure.
// Sources: crontab(5) of Debian's cron, systemd.time(7).

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct CronField {
  std::vector<int> values;  // ascending
  bool any = false;         // it begins with '*': days of this kind are not restricted
};

struct CronSchedule {
  CronField minute, hour, day, month, weekday;  // weekday: 0 is Sunday
};

CronSchedule parse_cron(std::string_view text);

// One or two values of OnCalendar=, such as "Mon,Tue *-*-* 02:00:00 Europe/Berlin".
std::vector<std::string> on_calendar(const CronSchedule& schedule, std::string_view zone);

// From the last time of the schedule that is not after `time` to the next one behind it, on a wall
// clock that no season changes. At most twice kCronFar.
inline constexpr std::chrono::days kCronFar{366 * 40};
std::chrono::minutes interval_around(const CronSchedule& schedule,
                                     std::chrono::local_time<std::chrono::minutes> time);

}  // namespace holdfast
