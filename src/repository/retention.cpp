#include "repository/retention.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace holdfast {
namespace {

using Days = std::chrono::local_days;

Days day_of(const TimeZone& zone, Timestamp time) {
  return Days(
      std::chrono::floor<std::chrono::days>(time.time_since_epoch() + zone.offset_at(time)));
}

Days monday_of(Days day) {
  return day - (std::chrono::weekday(day) - std::chrono::Monday);
}

std::string text_of(Days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", int(date.year()), unsigned(date.month()),
                     unsigned(date.day()));
}

// A kind of period: numbers that grow by one from each to the next, and a text for people.
struct PeriodKind {
  KeepWhy why;
  unsigned RetentionPolicy::* count;
  long (*number)(Days);
  std::string (*text)(Days);
};

long month_number(Days day) {
  const std::chrono::year_month_day date(day);
  return long{int(date.year())} * 12 + long{unsigned(date.month())} - 1;
}

constexpr PeriodKind kPeriods[] = {
    {KeepWhy::kDaily, &RetentionPolicy::daily,
     [](Days day) { return long{day.time_since_epoch().count()}; }, text_of},
    {KeepWhy::kWeekly, &RetentionPolicy::weekly,
     // Day 4 of 1970-01-01 was a Monday.
     [](Days day) { return long{monday_of(day).time_since_epoch().count() - 4} / 7; },
     [](Days day) { return "week of " + text_of(monday_of(day)); }},
    {KeepWhy::kMonthly, &RetentionPolicy::monthly, month_number,
     [](Days day) { return text_of(day).substr(0, 7); }},
    {KeepWhy::kYearly, &RetentionPolicy::yearly,
     [](Days day) { return long{int(std::chrono::year_month_day(day).year())}; },
     [](Days day) { return text_of(day).substr(0, 4); }},
};

class Planner {
 public:
  explicit Planner(const RetentionInput& input) : input_(input) {
    plan_.verdicts.resize(input.backups.size());
    plan_.reach_from.resize(input.lines.size());
  }

  RetentionPlan run();

 private:
  void keep(std::size_t backup, KeepWhy why, std::string detail = {});
  void keep_all(KeepWhy why);
  void keep_one_by_one();
  std::optional<std::size_t> last_good(const RetentionLine& line) const;
  void apply(std::size_t line);
  void apply_window(const RetentionLine& line, std::optional<std::size_t>& reach);
  void apply_keep_last(const RetentionLine& line, std::optional<std::size_t>& reach);
  void apply_period(const RetentionLine& line, const PeriodKind& kind);
  bool window_counts(const RetentionLine& line) const;
  bool keep_last_counts(const RetentionLine& line) const;
  Timestamp window_begin() const { return input_.now - *input_.policy.window; }

  const RetentionInput& input_;
  RetentionPlan plan_;
};

void Planner::keep(std::size_t backup, KeepWhy why, std::string detail) {
  auto& reasons = plan_.verdicts.at(backup).reasons;
  KeepReason reason{why, std::move(detail)};
  // A backup can be on several lines.
  if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(std::move(reason));
}

void Planner::keep_all(KeepWhy why) {
  for (std::size_t i = 0; i < input_.backups.size(); ++i) keep(i, why);
}

void Planner::keep_one_by_one() {
  std::vector<bool> placed(input_.backups.size());
  for (const RetentionLine& line : input_.lines) {
    for (const std::size_t backup : line.backups) placed.at(backup) = true;
  }
  for (std::size_t i = 0; i < input_.backups.size(); ++i) {
    const RetentionBackup& backup = input_.backups[i];
    if (!backup.hold.empty()) keep(i, KeepWhy::kHeld, backup.hold);
    if (backup.damaged) {
      keep(i, KeepWhy::kDamaged);
    } else if (!placed[i]) {
      keep(i, KeepWhy::kNoPlace);
    }
  }
}

std::optional<std::size_t> Planner::last_good(const RetentionLine& line) const {
  const auto found = std::find_if(line.backups.rbegin(), line.backups.rend(),
                                  [&](std::size_t i) { return !input_.known_bad(i); });
  return found == line.backups.rend() ? std::nullopt : std::optional(*found);
}

bool Planner::window_counts(const RetentionLine& line) const {
  return input_.policy.window && (line.live || !line.left || *line.left > window_begin());
}

bool Planner::keep_last_counts(const RetentionLine& line) const {
  return line.live || std::ranges::none_of(input_.lines, [&](const RetentionLine& other) {
           return other.live && other.backups.size() >= input_.policy.keep_last;
         });
}

void Planner::apply_window(const RetentionLine& line, std::optional<std::size_t>& reach) {
  const Timestamp begin = window_begin();
  const auto time_of = [&](std::size_t i) { return input_.backups[line.backups[i]].time; };
  // From the first one that stopped within the window on everything is in it: one of a time before
  // it was taken while the server's clock was wrong. A time that is yet to come tells nothing.
  std::size_t at = line.backups.size();
  while (at > 0 && time_of(at - 1) > begin) --at;
  for (std::size_t i = 0; i < at; ++i) {
    if (time_of(i) > begin && time_of(i) <= input_.now) at = i;
  }
  for (std::size_t i = 0; i < line.backups.size(); ++i) {
    const std::size_t backup = line.backups[i];
    if (i >= at || input_.backups[backup].time > begin) keep(backup, KeepWhy::kWindow);
  }
  while (at > 0) {
    const std::size_t anchor = line.backups[--at];
    keep(anchor, KeepWhy::kAnchor);
    // Of a time before that of the one before it: when it was really taken, nobody knows.
    const bool set_back = at > 0 && time_of(at) < time_of(at - 1);
    if (!set_back && !input_.known_bad(anchor)) break;
  }
  if (!line.backups.empty()) reach = line.backups[at];
}

void Planner::apply_keep_last(const RetentionLine& line, std::optional<std::size_t>& reach) {
  const std::size_t count = std::min<std::size_t>(input_.policy.keep_last, line.backups.size());
  for (std::size_t i = line.backups.size() - count; i < line.backups.size(); ++i) {
    keep(line.backups[i], KeepWhy::kKeepLast);
  }
  // Without a window, the WAL is kept from the oldest of these on.
  if (count > 0 && !reach && line.live) reach = line.backups[line.backups.size() - count];
}

void Planner::apply_period(const RetentionLine& line, const PeriodKind& kind) {
  const unsigned wanted = input_.policy.*kind.count;
  const long now = kind.number(day_of(input_.zone, input_.now));
  // Periods, and whether a good backup of each was found: those count. A clock that was set back
  // must not make a period count twice, nor end the search.
  std::map<long, bool> found;
  unsigned good = 0;
  for (auto backup = line.backups.rbegin(); backup != line.backups.rend(); ++backup) {
    const Days day = day_of(input_.zone, input_.backups[*backup].time);
    const long number = kind.number(day);
    if (!line.live && now - number >= long{wanted}) continue;
    const auto period = found.find(number);
    if (period == found.end() ? good >= wanted : period->second) continue;
    keep(*backup, kind.why, kind.text(day));
    const bool is_good = !input_.known_bad(*backup);
    found[number] = is_good;
    if (is_good) ++good;
  }
}

void Planner::apply(std::size_t index) {
  const RetentionLine& line = input_.lines[index];
  std::optional<std::size_t>& reach = plan_.reach_from[index];
  if (window_counts(line)) apply_window(line, reach);
  if (keep_last_counts(line)) apply_keep_last(line, reach);
  for (const PeriodKind& kind : kPeriods) apply_period(line, kind);
  if (!line.live || line.backups.empty()) return;
  const auto good = last_good(line);
  if (!good) {
    for (const std::size_t backup : line.backups) keep(backup, KeepWhy::kNoGoodBackup);
    reach = line.backups.front();
    return;
  }
  keep(*good, KeepWhy::kLastGood);
  const auto position = [&](std::size_t backup) {
    return std::ranges::find(line.backups, backup) - line.backups.begin();
  };
  if (!reach || position(*good) < position(*reach)) reach = good;
}

RetentionPlan Planner::run() {
  keep_one_by_one();
  const bool any_good = std::ranges::any_of(input_.lines, [&](const RetentionLine& line) {
    return line.live && last_good(line).has_value();
  });
  if (!input_.policy.configured()) {
    keep_all(KeepWhy::kNoPolicy);
  } else if (!any_good) {
    keep_all(KeepWhy::kNoGoodBackup);
  } else {
    for (std::size_t i = 0; i < input_.lines.size(); ++i) apply(i);
    return std::move(plan_);
  }
  for (std::size_t i = 0; i < input_.lines.size(); ++i) {
    if (!input_.lines[i].backups.empty()) plan_.reach_from[i] = input_.lines[i].backups.front();
  }
  return std::move(plan_);
}

}  // namespace

std::string_view to_string(KeepWhy why) {
  switch (why) {
    case KeepWhy::kNoPolicy:
      return "no_policy";
    case KeepWhy::kNoGoodBackup:
      return "no_good_backup";
    case KeepWhy::kHeld:
      return "held";
    case KeepWhy::kLastGood:
      return "last_good";
    case KeepWhy::kWindow:
      return "window";
    case KeepWhy::kAnchor:
      return "anchor";
    case KeepWhy::kKeepLast:
      return "keep_last";
    case KeepWhy::kDaily:
      return "daily";
    case KeepWhy::kWeekly:
      return "weekly";
    case KeepWhy::kMonthly:
      return "monthly";
    case KeepWhy::kYearly:
      return "yearly";
    case KeepWhy::kDamaged:
      return "damaged";
    case KeepWhy::kNoPlace:
      return "no_place";
  }
  return "unknown";
}

RetentionPlan plan_retention(const RetentionInput& input) {
  return Planner(input).run();
}

}  // namespace holdfast
