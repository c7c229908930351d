#include "restore/recovery_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "core/error.h"
#include "restore/external_config.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Mode = RecoverySettings::Mode;
using Archiving = RecoverySettings::Archiving;
using Kind = RecoveryTarget::Kind;

constexpr int kOldestVersion = 13;
constexpr int kLastWithTriggerFile = 15;

constexpr std::string_view kBegin = "# Recovery settings of a restore by Holdfast: begin";
constexpr std::string_view kEnd = "# Recovery settings of a restore by Holdfast: end";

constexpr std::string_view kAutoConf = "postgresql.auto.conf";
constexpr std::string_view kConf = "postgresql.conf";
constexpr std::string_view kRecoverySignal = "recovery.signal";
constexpr std::string_view kStandbySignal = "standby.signal";
constexpr std::string_view kRecoveryConf = "recovery.conf";
constexpr std::string_view kRecoveryConfAside = "recovery.conf.before-restore";

// What belongs to one recovery and must not be left from another one.
constexpr std::array<std::string_view, 15> kRecoverySettings{
    "restore_command",            // gets WAL from another archive
    "recovery_target",            // these six: two targets at once stop the server,
    "recovery_target_name",       // a wrong one ends recovery at a wrong place
    "recovery_target_time",       //
    "recovery_target_xid",        //
    "recovery_target_lsn",        //
    "recovery_target_inclusive",  //
    "recovery_target_timeline",   // follows another line of histories
    "recovery_target_action",     // promotes what should pause
    "recovery_end_command",       // runs a command for another host's recovery
    "archive_cleanup_command",    // deletes WAL from an archive, perhaps the one in use
    "recovery_min_apply_delay",   // delays a recovery, not just a standby
    "primary_conninfo",           // follows a server that may be the wrong one by now
    "primary_slot_name",          // takes the slot of another standby
    "promote_trigger_file",       // promotes at once if such a file is there (up to 15)
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

// The name of the setting, or the directive, in a line of a settings file; empty for neither.
std::string_view name_in(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t\r\f\v"), line.size()));
  std::size_t end = 0;
  while (end < line.size() &&
         (std::isalnum(static_cast<unsigned char>(line[end])) != 0 || line[end] == '_')) {
    ++end;
  }
  return line.substr(0, end);
}

bool is_recovery_setting(std::string_view name) {
  return std::ranges::find(kRecoverySettings, lower(name)) != kRecoverySettings.end();
}

// Calls use(line) for each line, with its line end.
template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    use(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Without the block of an earlier restore. A block whose end is missing was edited by hand: its
// lines are judged like all others.
std::string without_block(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t begin = text.find(kBegin);
    const std::size_t end = begin == std::string_view::npos ? begin : text.find(kEnd, begin);
    if (end == std::string_view::npos) return out.append(text);
    out += text.substr(0, begin);
    text.remove_prefix(std::min(text.find('\n', end), text.size() - 1) + 1);
  }
}

std::string without_recovery_settings(std::string_view text) {
  std::string out;
  for_each_line(without_block(text), [&](std::string_view line) {
    if (!is_recovery_setting(name_in(line))) out += line;
  });
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out;
}

std::string line_of(std::string_view name, std::string_view value) {
  return fmt::format("{} = {}\n", name, quoted_setting(value));
}

// In UTC, so that no setting of the server has a say.
std::string time_setting(Timestamp time) {
  std::string text = to_rfc3339_seconds(time);
  text[text.find('T')] = ' ';
  text.pop_back();  // the Z
  const auto micros = (time - std::chrono::floor<std::chrono::seconds>(time)).count();
  return fmt::format("{}.{:06}+00", text, micros);
}

struct TargetSetting {
  Kind kind;
  std::string_view name;
};
constexpr std::array<TargetSetting, 5> kTargetSettings{{
    {Kind::kImmediate, "recovery_target"},
    {Kind::kName, "recovery_target_name"},
    {Kind::kTime, "recovery_target_time"},
    {Kind::kXid, "recovery_target_xid"},
    {Kind::kLsn, "recovery_target_lsn"},
}};

std::string target_value(const RecoveryTarget& target) {
  switch (target.kind) {
    case Kind::kLatest:
      return "";
    case Kind::kImmediate:
      return "immediate";
    case Kind::kTime:
      return time_setting(target.time);
    case Kind::kXid:
      return std::to_string(target.xid);
    case Kind::kLsn:
      return to_string(target.lsn);
    case Kind::kName:
      return target.name;
  }
  return "";
}

std::string target_lines(const RecoveryTarget& target) {
  std::string out;
  for (const TargetSetting& setting : kTargetSettings) {
    if (setting.kind != target.kind) out += line_of(setting.name, "");
  }
  for (const TargetSetting& setting : kTargetSettings) {
    if (setting.kind == target.kind) out += line_of(setting.name, target_value(target));
  }
  out += line_of("recovery_target_inclusive",
                 target.stop == RecoveryTarget::Stop::kInclusive ? "true" : "false");
  out += line_of("recovery_target_timeline", to_string(target.timeline));
  out += line_of("recovery_target_action", to_string(target.action));
  if (target.kind != Kind::kLatest && target.action == RecoveryTarget::Action::kPause) {
    out += "# Without it PostgreSQL shuts down at the target instead of pausing.\n";
    out += line_of("hot_standby", "on");
  }
  return out;
}

std::string archiving_lines(Archiving archiving) {
  if (archiving == Archiving::kKeep) return "";
  return "# This copy archives nothing, so that its WAL does not mix with the source's. To let it\n"
         "# archive: alter system set archive_mode = 'on', then restart.\n" +
         line_of("archive_mode", "off");
}

std::string in_block(std::string_view lines) {
  return fmt::format("{}\n{}{}\n", kBegin, lines, kEnd);
}

std::string block(const RecoverySettings& settings) {
  const bool standby = settings.mode == Mode::kStandby;
  std::string out =
      "# They matter only while the server recovers. ALTER SYSTEM keeps them, without comments.\n";
  out += line_of("restore_command", settings.restore_command);
  out += target_lines(settings.target);
  out += "# Nothing of an earlier recovery may hold, wherever it is set.\n";
  out += line_of("recovery_end_command", "");
  out += line_of("archive_cleanup_command", "");
  out += line_of("recovery_min_apply_delay", "0");
  out += line_of("primary_conninfo", standby ? settings.primary_conninfo : "");
  out += line_of("primary_slot_name", "");
  if (settings.major_version <= kLastWithTriggerFile) out += line_of("promote_trigger_file", "");
  return in_block(out + archiving_lines(settings.archiving));
}

void write_private(const fs::path& path, std::string_view text, const RestoredOwner& owner) {
  write_durably(path, as_bytes(text), 0600, Overwrite::kYes);
  const FileDescriptor fd = open_or_throw(path, O_RDONLY | O_NOFOLLOW);
  owner.ownership.give(fd.get(), owner.owner, path.string());
  if (::fsync(fd.get()) != 0) throw_file_error(errno, "sync", path.string());
}

bool is_include(std::string_view name) {
  const std::string word = lower(name);
  return word == "include" || word == "include_if_exists" || word == "include_dir";
}

// What an operator should know about settings that stay where they are.
class Inspection {
 public:
  void inspect_conf(std::string_view text) {
    for_each_line(text, [&](std::string_view line) {
      const std::string_view name = name_in(line);
      if (!is_recovery_setting(name)) return;
      const std::string known = lower(name);
      if (std::ranges::find(stale_, known) == stale_.end()) stale_.push_back(known);
      if (known != name && known.starts_with("recovery_target")) odd_.emplace_back(name);
    });
  }

  void inspect_auto_conf(std::string_view text) {
    for_each_line(
        text, [&](std::string_view line) { includes_ = includes_ || is_include(name_in(line)); });
  }

  std::vector<std::string> warnings(const RecoverySettings& settings) const {
    std::vector<std::string> out;
    if (!stale_.empty()) {
      out.push_back(
          fmt::format("{} sets {}; that is overridden for this recovery in {}, and should "
                      "be removed",
                      kConf, fmt::join(stale_, ", "), kAutoConf));
    }
    if (!odd_.empty()) {
      out.push_back(
          fmt::format("{} writes {} with capital letters: PostgreSQL may then see two "
                      "targets and refuse to start; remove it",
                      kConf, fmt::join(odd_, ", ")));
    }
    if (includes_) {
      out.push_back(
          fmt::format("{} includes other files; recovery settings in them are overridden "
                      "now, but ALTER SYSTEM will drop the include",
                      kAutoConf));
    }
    if (settings.mode == Mode::kStandby && settings.primary_conninfo.empty()) {
      out.emplace_back(
          "no connection to a primary is configured: the standby takes WAL from the "
          "archive only, in whole segments");
    }
    return out;
  }

 private:
  std::vector<std::string> stale_, odd_;
  bool includes_ = false;
};

void check(const RecoverySettings& settings) {
  HF_INVARIANT(settings.major_version >= kOldestVersion);
  // Without it PostgreSQL does not start from recovery.signal.
  HF_INVARIANT(!settings.restore_command.empty());
  // A standby goes no further than an LSN, and waits where WAL is missing before it. The other
  // targets are for a recovery, which ends with an error when it does not find them.
  if (settings.mode == Mode::kStandby && settings.target.kind != Kind::kLatest &&
      settings.target.kind != Kind::kLsn) {
    throw Error(ErrorKind::kUsage, "a standby follows its primary and has no such target",
                {.object = "--standby", .hint = "Leave out --standby, or the target."});
  }
}

}  // namespace

std::string quoted_setting(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\0') {
      throw Error(ErrorKind::kUsage, "a setting of PostgreSQL cannot hold a zero byte",
                  {.object = std::string(value.substr(0, value.find('\0')))});
    }
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
      continue;
    }
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

std::string recovery_settings_text(std::string_view auto_conf, const RecoverySettings& settings) {
  check(settings);
  return without_recovery_settings(auto_conf) + block(settings);
}

void remove_recovery_settings(const fs::path& data_directory, const RestoredOwner& owner) {
  const std::string auto_conf =
      read_file(data_directory / kAutoConf, kPostgresConfigBytesMax).value_or("");
  std::string text;
  for_each_line(without_recovery_settings(auto_conf), [&](std::string_view line) {
    // Of ours, where ALTER SYSTEM has removed the comments around it.
    if (line != line_of("archive_mode", "off")) text += line;
  });
  write_private(data_directory / kAutoConf, text, owner);
}

void write_settings_without_recovery(const fs::path& data_directory, Archiving archiving,
                                     const RestoredOwner& owner) {
  const std::string auto_conf =
      read_file(data_directory / kAutoConf, kPostgresConfigBytesMax).value_or("");
  std::string text = without_recovery_settings(auto_conf);
  if (archiving == Archiving::kOff) text += in_block(archiving_lines(archiving));
  remove_durably(data_directory / kRecoverySignal);
  remove_durably(data_directory / kStandbySignal);
  if (text != auto_conf) write_private(data_directory / kAutoConf, text, owner);
}

bool would_recover(const fs::path& data_directory) {
  return fs::exists(data_directory / kRecoverySignal) ||
         fs::exists(data_directory / kStandbySignal);
}

std::vector<std::string> write_recovery_settings(const fs::path& data_directory,
                                                 const RecoverySettings& settings,
                                                 const RestoredOwner& owner) {
  const std::string auto_conf =
      read_file(data_directory / kAutoConf, kPostgresConfigBytesMax).value_or("");
  const std::string conf = read_file(data_directory / kConf, kPostgresConfigBytesMax).value_or("");
  const std::string text = recovery_settings_text(auto_conf, settings);
  Inspection inspection;
  inspection.inspect_conf(conf);
  inspection.inspect_auto_conf(text);
  std::vector<std::string> warnings = inspection.warnings(settings);
  if (fs::exists(fs::symlink_status(data_directory / kRecoveryConf))) {
    rename_durably(data_directory / kRecoveryConf, data_directory / kRecoveryConfAside);
    warnings.push_back(
        fmt::format("{} was renamed to {}: this version of PostgreSQL does not start "
                    "with it",
                    kRecoveryConf, kRecoveryConfAside));
  }
  const bool standby = settings.mode == Mode::kStandby;
  remove_durably(data_directory / (standby ? kRecoverySignal : kStandbySignal));
  write_private(data_directory / kAutoConf, text, owner);
  write_private(data_directory / (standby ? kStandbySignal : kRecoverySignal), "", owner);
  return warnings;
}

}  // namespace holdfast
