#include "cli/window_views.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/render.h"

namespace holdfast::cli {
namespace {

using Interval = RecoverableInterval;

// Names in one cell of the table.
constexpr std::size_t kShownMissing = 3;

std::string_view word_of(HistoryReason reason) {
  static constexpr std::array<std::string_view, 4> kWords{"init", "upgrade", "take-over",
                                                          "recovery"};
  return kWords.at(static_cast<std::size_t>(reason));
}
std::string_view word_of(Interval::Reach reach) {
  return reach == Interval::Reach::kArchive ? "archive" : "backup_end";
}
std::string_view word_of(Interval::LastCommit last) {
  static constexpr std::array<std::string_view, 3> kWords{"known", "none", "unknown"};
  return kWords.at(static_cast<std::size_t>(last));
}

Json point_json(const WalPoint& point) {
  return {{"time", point.time ? json_of(*point.time) : Json()}, {"lsn", json_of(point.lsn)}};
}

Json interval_json(const Interval& interval) {
  Json backups = Json::array();
  for (const UsableBackup& backup : interval.backups) backups.push_back(backup.name.id.text);
  return {{"from", point_json(interval.from)},
          {"to", point_json(interval.to)},
          {"kind", word_of(interval.reach)},
          {"last_commit", word_of(interval.last_commit)},
          {"backups", backups}};
}

Json gap_json(const RecoveryGap& gap, const WalPath& path) {
  Json missing = Json::array();
  for (const SegmentRange& range : gap.missing) {
    missing.push_back({{"first", segment_text(path, range.first)},
                       {"last", segment_text(path, range.last)},
                       {"segments", range.count()}});
  }
  return {{"from", point_json(gap.from)},
          {"to", gap.to ? point_json(*gap.to) : Json()},
          {"missing_segments", gap.missing_segments},
          {"missing", missing},
          {"unreachable_segments", gap.unreachable_segments}};
}

std::string stored_text(const TimelineWindow& window, std::uint64_t number, WalSegmentSize size) {
  return to_string(SegmentName{window.timeline, number}, size);
}

Json timeline_json(const TimelineWindow& window, WalSegmentSize size) {
  Json json{{"timeline", window.timeline.value}};
  json["parent"] = window.parent ? Json{{"timeline", window.parent->timeline.value},
                                        {"lsn", json_of(window.parent->at)}}
                                 : Json();
  json["problem"] = window.problem.empty() ? Json() : Json(window.problem);
  json["segments"] = window.stored_segments;
  json["first_segment"] =
      window.stored ? Json(stored_text(window, window.stored->first, size)) : Json();
  json["last_segment"] =
      window.stored ? Json(stored_text(window, window.stored->last, size)) : Json();
  json["intervals"] = Json::array();
  for (const Interval& interval : window.intervals)
    json["intervals"].push_back(interval_json(interval));
  json["gaps"] = Json::array();
  for (const RecoveryGap& gap : window.gaps) json["gaps"].push_back(gap_json(gap, window.path));
  json["unusable_backups"] = Json::array();
  for (const UnusableBackup& backup : window.unusable) {
    json["unusable_backups"].push_back({{"id", backup.name.id.text}, {"reason", backup.reason}});
  }
  return json;
}

Json json_of(const DroppedWal& dropped) {
  return {{"first", dropped.first},  {"last", dropped.last}, {"segments", dropped.segments},
          {"from", dropped.from},    {"to", dropped.to},     {"host", dropped.host},
          {"reason", dropped.reason}};
}

std::string time_text(const WalPoint& point) {
  return point.time ? to_rfc3339_seconds(*point.time) : "?";
}

std::string missing_text(const RecoveryGap& gap, const WalPath& path) {
  std::string text = fmt::format("{} missing: ", gap.missing_segments);
  for (std::size_t i = 0; i < std::min(kShownMissing, gap.missing.size()); ++i) {
    const SegmentRange& range = gap.missing[i];
    text += (i == 0 ? "" : ", ") + segment_text(path, range.first);
    if (range.count() > 1) text += fmt::format("-{}", segment_text(path, range.last));
  }
  return gap.missing.size() > kShownMissing ? text + " ..." : text;
}

std::string backups_text(const Interval& interval) {
  const std::string& last = interval.backups.back().name.id.text;
  if (interval.backups.size() == 1) return last;
  return fmt::format("{} and {} before", last, interval.backups.size() - 1);
}

std::string end_text(const Interval& interval) {
  switch (interval.last_commit) {
    case Interval::LastCommit::kKnown:
      return time_text(interval.to);
    case Interval::LastCommit::kNone:
      return "(no transaction)";
    case Interval::LastCommit::kUnknown:
      break;
  }
  return interval.to.time ? time_text(interval.to) + " or later" : "?";
}

void add_interval(Table& table, const std::string& timeline, const Interval& interval) {
  const bool archive = interval.reach == Interval::Reach::kArchive;
  table.add_row({timeline, archive ? Cell("recoverable", Colour::kGreen) : Cell("end of backup"),
                 time_text(interval.from), archive ? end_text(interval) : "",
                 to_string(interval.from.lsn), archive ? to_string(interval.to.lsn) : "",
                 backups_text(interval)});
}

void add_gap(Table& table, const std::string& timeline, const RecoveryGap& gap,
             const WalPath& path) {
  table.add_row({timeline, Cell("gap", Colour::kRed), time_text(gap.from),
                 gap.to ? time_text(*gap.to) : "", to_string(gap.from.lsn),
                 gap.to ? to_string(gap.to->lsn) : "",
                 Cell(missing_text(gap, path), Colour::kRed)});
}

void add_message(Table& table, const std::string& timeline, Cell what, const std::string& text) {
  table.add_row({timeline, std::move(what), Cell(""), Cell(""), Cell(""), Cell(""), text});
}

// Intervals and gaps in the order of WAL.
void add_rows(Table& table, const TimelineWindow& window) {
  const std::string timeline = std::to_string(window.timeline.value);
  if (!window.problem.empty()) {
    add_message(table, timeline, Cell("unknown", Colour::kRed), window.problem);
    return;
  }
  auto gap = window.gaps.begin();
  const auto gaps_before = [&](Lsn lsn) {
    for (; gap != window.gaps.end() && gap->from.lsn < lsn; ++gap) {
      add_gap(table, timeline, *gap, window.path);
    }
  };
  for (const Interval& interval : window.intervals) {
    gaps_before(interval.from.lsn);
    add_interval(table, timeline, interval);
  }
  gaps_before(Lsn{~std::uint64_t{0}});
  if (window.intervals.empty() && window.gaps.empty()) {
    add_message(table, timeline, Cell("nothing", Colour::kYellow),
                fmt::format("{} WAL segments, no backup to recover with", window.stored_segments));
  }
  for (const UnusableBackup& backup : window.unusable) {
    add_message(table, timeline, Cell("unusable", Colour::kRed),
                backup.name.id.text + ": " + backup.reason);
  }
}

std::optional<TimeSpan> span_of(const HistoryWindow& history) {
  std::optional<TimeSpan> span;
  const auto add = [&](const std::optional<Timestamp>& time) {
    if (!time) return;
    if (!span) span = TimeSpan{*time, *time};
    span->from = std::min(span->from, *time);
    span->to = std::max(span->to, *time);
  };
  for (const TimelineWindow& timeline : history.timelines) {
    for (const Interval& interval : timeline.intervals) {
      add(interval.from.time);
      add(interval.to.time);
    }
  }
  return span && span->from < span->to ? span : std::nullopt;
}

std::string title_of(const HistoryRecord& record) {
  std::string text = fmt::format("History {}, {} on {}", to_string(record.name),
                                 record.fork ? "taken over" : "opened", record.opened);
  if (record.fork) {
    text += fmt::format(" from history {} at {} of timeline {}", record.fork->parent,
                        to_string(record.fork->lsn), record.fork->timeline.value);
  }
  if (record.side) {
    text +=
        fmt::format(", for safety backups of a copy recovered from history {}", record.side->of);
  }
  return text;
}

}  // namespace

std::string drawn(const TimelineWindow& timeline, const TimeSpan& span, std::size_t width) {
  std::string line(width, ' ');
  const auto column = [&](Timestamp time) {
    const auto all = Seconds(span.to - span.from).count();
    const auto part = Seconds(std::clamp(time, span.from, span.to) - span.from).count();
    return static_cast<std::size_t>(part / all * static_cast<double>(width - 1));
  };
  const auto fill = [&](const WalPoint& from, const WalPoint& to, char mark) {
    if (!from.time || !to.time) return;
    for (std::size_t i = column(*from.time); i <= column(*to.time); ++i) line[i] = mark;
  };
  for (const RecoveryGap& gap : timeline.gaps) {
    fill(gap.from, gap.to.value_or(WalPoint{{}, span.to}), '.');
  }
  for (const Interval& interval : timeline.intervals) fill(interval.from, interval.to, '=');
  for (const Interval& interval : timeline.intervals) {
    for (const UsableBackup& backup : interval.backups) {
      // One from before the fork is drawn where it is told of.
      const bool own = backup.stop_lsn >= interval.from.lsn;
      if (own && backup.stop_time >= span.from && backup.stop_time <= span.to) {
        line[column(backup.stop_time)] = 'B';
      }
    }
  }
  return line;
}

Json json_of(const HistoryWindow& history) {
  const HistoryRecord& record = history.record;
  Json json{{"history", to_string(record.name)},
            {"number", record.name.number},
            {"system_identifier", json_of_system_identifier(record.name.system_identifier)},
            {"reason", word_of(record.reason)},
            {"opened", record.opened}};
  json["parent"] = record.fork ? Json{{"number", record.fork->parent},
                                      {"timeline", record.fork->timeline.value},
                                      {"lsn", json_of(record.fork->lsn)}}
                               : Json();
  json["recovered_from"] = record.side ? Json(record.side->of) : Json();
  json["wal_segment_bytes"] = record.wal_segment_size.bytes;
  json["dropped_wal"] = Json::array();
  for (const DroppedWal& dropped : history.dropped) json["dropped_wal"].push_back(json_of(dropped));
  json["timelines"] = Json::array();
  for (const TimelineWindow& window : history.timelines) {
    json["timelines"].push_back(timeline_json(window, record.wal_segment_size));
  }
  return json;
}

namespace {

std::string dropped_text(const HistoryWindow& history, const Style& style) {
  constexpr std::size_t kShown = 5;
  std::string text;
  const std::size_t all = history.dropped.size();
  for (std::size_t i = all - std::min(all, kShown); i < all; ++i) {
    text += style.paint(Colour::kRed, "Dropped unstored (wal.drop_when_behind): ") +
            describe(history.dropped[i]) + "\n";
  }
  return text;
}

}  // namespace

std::string text_of(const HistoryWindow& history, const Style& style, std::size_t width) {
  std::string text = style.paint(Colour::kBold, title_of(history.record)) + "\n";
  Table table(
      {{"TIMELINE", Align::kRight}, {""}, {"FROM"}, {"TO"}, {"FROM LSN"}, {"TO LSN"}, {"BACKUPS"}});
  for (const TimelineWindow& window : history.timelines) add_rows(table, window);
  if (table.empty()) return text + "Neither WAL nor a backup.\n";
  text += table.render(style);
  text += dropped_text(history, style);
  const auto span = span_of(history);
  if (!span) return text;
  text += "\n";
  for (const TimelineWindow& window : history.timelines) {
    text += fmt::format("{:>8}  |{}|\n", window.timeline.value, drawn(window, *span, width));
  }
  const std::string from = to_rfc3339_seconds(span->from), to = to_rfc3339_seconds(span->to);
  const std::size_t room = width + 2 > from.size() + to.size() ? width + 2 - from.size() : 0;
  text += fmt::format("{:10}{}{:>{}}\n", "", from, to, room);
  return text + fmt::format("{:10}= recoverable   B end of a backup   . gap\n", "");
}

}  // namespace holdfast::cli
