#pragma once
// Timeline history files (NNNNNNNN.history): how a timeline came to be, and which timeline holds
// which part of the WAL of its line. Timeline 1 has no file: a TimelineHistory without switches.
// Source of the format and its meaning: PostgreSQL's access/transam/timeline.c and the
// documentation, "Timelines".
//
// A history file has, for each timeline before, a line "<timeline> TAB <switch LSN> TAB <reason>",
// in increasing order of timelines; empty lines and lines that begin with '#' do not count.
// Switch LSNs may decrease: a recovery with recovery_target_timeline = 2 that stops before the fork
// of 2 writes "1 0/5000000", "2 0/4000000" into 00000003.history. Timeline 2 then has no WAL in
// this line, and 1 ends at 0/4000000. Every helper here knows that.
//
// Guarantees: what is parsed satisfies is_valid(); to_text() of it parses to the same.
// Errors: Error(kDamage) with the object's name. Threads: any; values only.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/wal_position.h"

namespace holdfast {

// PostgreSQL reads lines into a buffer of 1024 bytes; it sets no bound of its own to a file.
inline constexpr std::size_t kMaxTimelineHistoryBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxTimelineHistoryLineBytes = 1022;
inline constexpr std::size_t kMaxTimelineSwitches = 10'000;

// The end of a timeline in this line: from `at` on, WAL is of the next one.
struct TimelineSwitch {
  TimelineId timeline;
  Lsn at;
  std::string reason;
  bool operator==(const TimelineSwitch&) const = default;
};

struct TimelineHistory {
  TimelineId timeline{1};
  std::vector<TimelineSwitch> switches;  // oldest first; the last one is the parent's
  bool operator==(const TimelineHistory&) const = default;
};

// Part of the WAL stream that a timeline holds in a line: [begin, end).
struct TimelineRange {
  TimelineId timeline;
  Lsn begin;
  std::optional<Lsn> end;  // nullopt: the line's own timeline, which goes on
  bool operator==(const TimelineRange&) const = default;
  bool empty() const { return end && *end <= begin; }
};

// "0000000A.history". parse: nullopt unless `name` is exactly such a name, of a timeline above 1.
std::string timeline_history_file_name(TimelineId timeline);
std::optional<TimelineId> parse_timeline_history_file_name(std::string_view name);

// The content of the history file of `timeline`; `object` names it in errors.
TimelineHistory parse_timeline_history(TimelineId timeline, std::string_view text,
                                       std::string_view object);
// The file's content; empty for timeline 1. The history must be valid.
std::string to_text(const TimelineHistory& history);
bool is_valid(const TimelineHistory& history);

// All timelines of the line, oldest first; the ranges join without gap or overlap, from LSN 0 on.
std::vector<TimelineRange> ancestry(const TimelineHistory& history);
// nullopt when `timeline` is not in the line.
std::optional<TimelineRange> range_of(const TimelineHistory& history, TimelineId timeline);
// Where the history's own timeline branched off; 0/0 for timeline 1.
Lsn fork_lsn(const TimelineHistory& history);
// The timeline whose WAL holds the byte at `lsn`.
TimelineId timeline_at(const TimelineHistory& history, Lsn lsn);

// Whether the byte at `lsn` as `timeline` has it is part of the line.
bool contains(const TimelineHistory& history, TimelineId timeline, Lsn lsn);
// Whether WAL of `timeline` up to, not including, `end` is part of the line. Differs from
// contains() at a fork: a backup that stops exactly there belongs to both lines.
bool contains_up_to(const TimelineHistory& history, TimelineId timeline, Lsn end);
// Whether `descendant` is the same line continued: the same timeline with the same past, or one
// that branched off it. False for two timelines of one number with different pasts.
bool continues(const TimelineHistory& descendant, const TimelineHistory& ancestor);

}  // namespace holdfast
