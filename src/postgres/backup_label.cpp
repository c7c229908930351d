#include "postgres/backup_label.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "core/error.h"

namespace holdfast {
namespace {

// What follows "`key`: " at the front of a line; nullopt when there is no such line.
std::optional<std::string_view> value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.starts_with(key) && line.substr(key.size()).starts_with(": ")) {
      return line.substr(key.size() + 2);
    }
  }
  return std::nullopt;
}

[[noreturn]] void throw_bad_line(std::string_view key) {
  throw Error(ErrorKind::kDamage, fmt::format("backup label without a usable line \"{}\"", key),
              {.object = "backup_label"});
}

Lsn lsn_of(std::string_view text, std::string_view key) {
  const std::string_view value = value_of(text, key).value_or("");
  const auto lsn = parse_lsn(value.substr(0, value.find(' ')));
  if (!lsn || !lsn->valid()) throw_bad_line(key);
  return *lsn;
}

TimelineId timeline_of(std::string_view text) {
  constexpr std::string_view kKey = "START TIMELINE";
  const std::string_view value = value_of(text, kKey).value_or("");
  TimelineId timeline;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), timeline.value);
  if (error != std::errc{} || end != value.data() + value.size() || timeline.value == 0) {
    throw_bad_line(kKey);
  }
  return timeline;
}

}  // namespace

BackupLabel parse_backup_label(std::string_view text) {
  return {.start = lsn_of(text, "START WAL LOCATION"),
          .checkpoint = lsn_of(text, "CHECKPOINT LOCATION"),
          .start_timeline = timeline_of(text),
          .from_standby = value_of(text, "BACKUP FROM").value_or("") == "standby",
          .label = std::string(value_of(text, "LABEL").value_or(""))};
}

}  // namespace holdfast
