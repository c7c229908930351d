#pragma once
// Which backups to keep: a pure function of backups, lines, policy and the time. It reads and
// deletes nothing.
//
// A line is one way that the WAL went: a history with those it came from, to one timeline. The live
// lines are those that nobody left; a line that a take-over or a newer timeline left behind is
// abandoned. Rules, each of which can only keep:
//   window    from the first backup that stopped within the window on every one, whatever its
//             time (a server's clock may have been wrong), and the one before these, the anchor,
//             so that each point of the window can be reached; an anchor that a verification
//             found damaged, or of a time before that of the one before it, is kept, and so is the
//             next one before it
//   keep_last the newest N of a line
//   daily …   the newest of each of the last N days (weeks from Monday, months, years; in the
//             configured zone) that have one. Of an abandoned line, which gets no new backups: of
//             the N periods that end now, so that it does not stay for ever. Where a verification
//             found that one damaged, the next newest one too, down to a good one; of a live line
//             a period without a good one is kept beside the N that have one
//   hold      as long as it lasts
//   last good the newest one of each live line that no verification found damaged
//   damaged   one whose commit record cannot be read: nobody knows what it is
//   no place  one that is on no line, because a timeline history is missing
// Without a policy nothing expires, nothing of a live line that has no good backup, and nothing at
// all while none has one.
// An abandoned line's backups never count as the last good one. The window counts for it while it
// was left within the window; keep_last counts for it while the live lines have fewer than N.
//
// Order within a line is that of the WAL, not of the clock. Times are those of the server.
// Threads: any; plain data. Errors: those of the zone (system/time_zone.h).

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "system/time_zone.h"

namespace holdfast {

struct RetentionPolicy {
  std::optional<std::chrono::milliseconds> window = {};
  unsigned keep_last = 0;
  unsigned daily = 0, weekly = 0, monthly = 0, yearly = 0;
  bool configured() const {
    return window || keep_last > 0 || daily > 0 || weekly > 0 || monthly > 0 || yearly > 0;
  }
};

struct RetentionBackup {
  Timestamp time;         // when it stopped, by the server's clock
  bool damaged = false;   // its commit record cannot be read
  std::string hold = {};  // why it is held; empty: it is not
};

struct RetentionLine {
  std::vector<std::size_t> backups;  // indexes, in the order of the WAL; none that is damaged
  bool live = true;
  std::optional<Timestamp> left = {};  // of an abandoned one: not later than this; nullopt: unknown
};

struct RetentionInput {
  RetentionPolicy policy;
  Timestamp now;  // the store's
  TimeZone zone = TimeZone::utc();
  std::vector<RetentionBackup> backups;
  std::vector<RetentionLine> lines;
  // Whether the last verification of a backup found damage. Asked for few of them: the newest ones,
  // anchors, and one for each period.
  std::function<bool(std::size_t)> known_bad = [](std::size_t) { return false; };
};

enum class KeepWhy {
  kNoPolicy,
  kNoGoodBackup,
  kHeld,
  kLastGood,
  kWindow,
  kAnchor,
  kKeepLast,
  kDaily,
  kWeekly,
  kMonthly,
  kYearly,
  kDamaged,
  kNoPlace,
};
std::string_view to_string(KeepWhy why);  // "keep_last", as in the JSON form

struct KeepReason {
  KeepWhy why = KeepWhy::kNoPolicy;
  std::string detail;  // "2026-11", "week of 2026-11-16"; may be empty
  bool operator==(const KeepReason&) const = default;
};

struct RetentionVerdict {
  std::vector<KeepReason> reasons;  // none: it expires
  bool keep() const { return !reasons.empty(); }
};

struct RetentionPlan {
  std::vector<RetentionVerdict> verdicts;  // of each backup
  // Of each line: the backup from which on its WAL must be unbroken; nullopt: none.
  std::vector<std::optional<std::size_t>> reach_from;
};
RetentionPlan plan_retention(const RetentionInput& input);

}  // namespace holdfast
