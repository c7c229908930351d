#include "restore/recovery_target.h"

#include <charconv>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.h"
#include "core/text.h"
#include "restore/target_time.h"

namespace holdfast {
namespace {

using Kind = RecoveryTarget::Kind;
using Action = RecoveryTarget::Action;

constexpr std::uint64_t kFirstNormalXid = 3;       // PostgreSQL's access/transam.h
constexpr std::size_t kMaxRestorePointBytes = 63;  // MAXFNAMELEN - 1, access/xlog_internal.h

[[noreturn]] void refuse(std::string_view option, std::string message, std::string hint = {}) {
  throw Error(ErrorKind::kUsage, std::move(message),
              {.object = std::string(option), .hint = std::move(hint)});
}

template <class Integer>
std::optional<Integer> parse_decimal(std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void set_xid(RecoveryTarget& target, const std::string& text) {
  constexpr std::string_view kOption = "--target-xid";
  const auto number = parse_decimal<std::uint64_t>(text);
  if (!number) {
    refuse(kOption, fmt::format("'{}' is no transaction id", text),
           "Give a decimal number, as pg_current_xact_id() shows it.");
  }
  target.xid = static_cast<std::uint32_t>(*number & std::numeric_limits<std::uint32_t>::max());
  if (target.xid < kFirstNormalXid) {
    refuse(kOption, fmt::format("no transaction can have the id {}", text),
           "Ids begin with 3, in each epoch of 2^32.");
  }
  const std::uint64_t epoch = *number >> 32U;
  if (epoch != 0) target.xid_epoch = static_cast<std::uint32_t>(epoch);
}

void set_lsn(RecoveryTarget& target, const std::string& text) {
  const auto lsn = parse_lsn(text);
  if (!lsn || !lsn->valid()) {
    refuse("--target-lsn", fmt::format("'{}' is no WAL position", text),
           "Give it as pg_current_wal_lsn() shows it, for example 16/B374D848.");
  }
  target.lsn = *lsn;
}

void set_name(RecoveryTarget& target, const std::string& text) {
  constexpr std::string_view kOption = "--target-name";
  if (text.empty() || text.find('\0') != std::string::npos) {
    refuse(kOption, "the name of a restore point is missing");
  }
  if (text.size() > kMaxRestorePointBytes) {
    refuse(kOption, fmt::format("the name of a restore point has at most {} bytes, not {}",
                                kMaxRestorePointBytes, text.size()));
  }
  target.name = text;
}

void set_time(RecoveryTarget& target, const TargetRequest& request) {
  const ZonedInstant instant = parse_target_time(*request.time, request.now, request.zone);
  target.time = instant.time;
  target.time_text = to_rfc3339(instant);
}

void set_point(RecoveryTarget& target, const TargetRequest& request) {
  std::vector<std::string_view> given;
  const auto take = [&](bool is_given, std::string_view option, Kind kind) {
    if (!is_given) return;
    given.push_back(option);
    target.kind = kind;
  };
  take(request.time.has_value(), "--target-time", Kind::kTime);
  take(request.xid.has_value(), "--target-xid", Kind::kXid);
  take(request.lsn.has_value(), "--target-lsn", Kind::kLsn);
  take(request.name.has_value(), "--target-name", Kind::kName);
  take(request.immediate, "--target-immediate", Kind::kImmediate);
  if (given.size() > 1) {
    refuse(given[1], fmt::format("two targets at once: {}", fmt::join(given, " and ")),
           "Recovery stops at one point: give one of them.");
  }
  if (request.time) set_time(target, request);
  if (request.xid) set_xid(target, *request.xid);
  if (request.lsn) set_lsn(target, *request.lsn);
  if (request.name) set_name(target, *request.name);
}

void set_stop(RecoveryTarget& target, const TargetRequest& request) {
  if (!request.exclusive) return;
  if (target.kind != Kind::kTime && target.kind != Kind::kXid && target.kind != Kind::kLsn) {
    refuse("--target-exclusive",
           "only a time, a transaction id and a WAL position can be exclusive targets");
  }
  target.stop = RecoveryTarget::Stop::kExclusive;
}

RecoveryTimeline parse_timeline(const std::string& text) {
  using TimelineKind = RecoveryTimeline::Kind;
  if (text == "latest") return {TimelineKind::kLatest, {}};
  if (text == "current") return {TimelineKind::kCurrent, {}};
  // PostgreSQL takes a leading 0 for octal: what people copy from a file name would be another one.
  const auto number = parse_decimal<std::uint32_t>(text);
  if (!number || text[0] == '0') {
    refuse("--target-timeline", fmt::format("'{}' is no timeline", text),
           "Give latest, current, or its number: decimal, without leading zeros.");
  }
  return {TimelineKind::kNumber, {*number}};
}

void set_action(RecoveryTarget& target, const TargetRequest& request) {
  target.action = target.kind == Kind::kLatest ? Action::kPromote : Action::kPause;
  if (!request.action) return;
  const std::string& text = *request.action;
  constexpr std::string_view kOption = "--target-action";
  if (text == "pause") {
    target.action = Action::kPause;
  } else if (text == "promote") {
    target.action = Action::kPromote;
  } else if (text == "shutdown") {
    target.action = Action::kShutdown;
  } else {
    refuse(kOption, fmt::format("'{}' is no action", text), "Give pause, promote or shutdown.");
  }
  if (target.kind == Kind::kLatest && target.action != Action::kPromote) {
    refuse(kOption,
           fmt::format("without a target PostgreSQL always promotes at the end of the archive; it "
                       "would ignore '{}'",
                       text),
           "Give a target, or restore with --standby: a standby stays in recovery.");
  }
}

std::string point_text(const RecoveryTarget& target) {
  switch (target.kind) {
    case Kind::kLatest:
      return "the end of the archive";
    case Kind::kImmediate:
      return "the end of the backup";
    case Kind::kTime:
      return target.time_text;
    case Kind::kXid:
      return target.xid_epoch
                 ? fmt::format("transaction {} (epoch {})", target.xid, *target.xid_epoch)
                 : fmt::format("transaction {}", target.xid);
    case Kind::kLsn:
      return to_string(target.lsn);
    case Kind::kName:
      return fmt::format("restore point {}", json_quoted(target.name));
  }
  return "";
}

}  // namespace

std::string to_string(const RecoveryTimeline& timeline) {
  switch (timeline.kind) {
    case RecoveryTimeline::Kind::kLatest:
      return "latest";
    case RecoveryTimeline::Kind::kCurrent:
      return "current";
    case RecoveryTimeline::Kind::kNumber:
      break;
  }
  return std::to_string(timeline.number.value);
}

std::string_view to_string(RecoveryTarget::Action action) {
  switch (action) {
    case Action::kPause:
      return "pause";
    case Action::kPromote:
      return "promote";
    case Action::kShutdown:
      return "shutdown";
  }
  return "";
}

std::string to_string(const RecoveryTarget& target) {
  std::string text = point_text(target);
  if (target.stop == RecoveryTarget::Stop::kExclusive) text += ", exclusive";
  if (target.timeline != RecoveryTimeline{}) text += ", timeline " + to_string(target.timeline);
  return text;
}

RecoveryTarget parse_recovery_target(const TargetRequest& request) {
  RecoveryTarget target;
  set_point(target, request);
  set_stop(target, request);
  if (request.timeline) target.timeline = parse_timeline(*request.timeline);
  set_action(target, request);
  return target;
}

}  // namespace holdfast
