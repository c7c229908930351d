#pragma once
// The point that a recovery goes to, from the words of the command line.
//
// --target-time takes: RFC 3339 with a zone ("2026-11-22T14:00:00+01:00"); PostgreSQL's form, of
//   which seconds, fraction and zone may be missing ("2026-11-22 14:00", "... 14:00:00.5+01",
//   "... 14:00 Europe/Berlin"); without a zone the configured one holds; "now"; and "-1h",
//   "-90min",
//   "-2d" before now. Nothing is guessed: a date alone, a time of day alone, a time that the clock
//   skipped or showed twice, and more digits than PostgreSQL's microseconds are refused with what
//   to write instead.
// Source of the meaning of the kinds, and of their limits: PostgreSQL's documentation, "Recovery
//   Target"; access/transam/xlogrecovery.c (check_recovery_target_*).
// Not judged here: whether the archive reaches the target.
// Errors: kUsage, with the option as its object. Threads: any; values only.

#include <cstdint>
#include <optional>
#include <string>

#include "core/time.h"
#include "core/wal_position.h"
#include "system/time_zone.h"

namespace holdfast {

// The options as they were given; nullopt and false: not given.
struct TargetRequest {
  std::optional<std::string> time = {};      // --target-time
  std::optional<std::string> xid = {};       // --target-xid
  std::optional<std::string> lsn = {};       // --target-lsn
  std::optional<std::string> name = {};      // --target-name
  bool immediate = false;                    // --target-immediate
  bool exclusive = false;                    // --target-exclusive
  std::optional<std::string> timeline = {};  // --target-timeline
  std::optional<std::string> action = {};    // --target-action
  Timestamp now{};
  TimeZone zone = TimeZone::utc();  // of times that are given without one
};

struct RecoveryTimeline {
  enum class Kind {
    kLatest,   // the newest that the archive has when recovery begins
    kCurrent,  // that of the backup
    kNumber,
  };
  Kind kind = Kind::kLatest;
  TimelineId number;  // of kNumber
  bool operator==(const RecoveryTimeline&) const = default;
};
std::string to_string(const RecoveryTimeline& timeline);  // "latest", "current", "3"

struct RecoveryTarget {
  enum class Kind { kLatest, kImmediate, kTime, kXid, kLsn, kName };
  // Exclusive: stop just before what is exactly at the target. For time, xid and LSN only.
  enum class Stop { kInclusive, kExclusive };
  enum class Action { kPause, kPromote, kShutdown };

  Kind kind = Kind::kLatest;
  Timestamp time{};
  std::string time_text;                   // resolved: "2026-11-22T14:00:00+01:00"
  std::uint32_t xid = 0;                   // as recovery_target_xid takes it
  std::optional<std::uint32_t> xid_epoch;  // when a 64-bit id was given
  Lsn lsn;
  std::string name;
  Stop stop = Stop::kInclusive;
  RecoveryTimeline timeline;
  // Without a target PostgreSQL always promotes at the end of the archive.
  Action action = Action::kPromote;
  bool operator==(const RecoveryTarget&) const = default;
};
std::string_view to_string(RecoveryTarget::Action action);  // "pause"
// For people: "transaction 1234, exclusive, timeline 2".
std::string to_string(const RecoveryTarget& target);

// The default action is PostgreSQL's: pause at a target, promote at the end of the archive.
RecoveryTarget parse_recovery_target(const TargetRequest& request);

}  // namespace holdfast
