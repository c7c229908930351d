#include "app/settings.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "app/server_commands.h"
#include "core/error.h"

namespace holdfast {
namespace {

constexpr int kUsualSlots = 10;  // PostgreSQL's own default

int to_int(const std::optional<std::string>& text, std::string_view what) {
  int value = 0;
  const std::string digits = text.value_or("");
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    throw Error(ErrorKind::kPostgres, fmt::format("PostgreSQL gave no usable answer for {}", what));
  }
  return value;
}

int slots_in_use(Session& session) {
  return to_int(session.query("select count(*) from pg_replication_slots").at(0).at(0),
                "the number of replication slots");
}

PostgresSetting read_setting(Session& session, const std::string& name) {
  const auto rows = session.query(
      "select setting, context = 'postmaster', pending_restart, source = 'command line'"
      " from pg_settings where name = $1",
      {name});
  if (rows.empty() && name == "archive_library") return {.name = name, .fits = true};  // before 15
  if (rows.empty()) {
    throw Error(ErrorKind::kPostgres, "PostgreSQL does not know this setting", {.object = name});
  }
  const auto is_true = [&](std::size_t column) { return rows[0].at(column) == "t"; };
  return {.name = name,
          .current = rows[0].at(0).value_or(""),
          .wanted = {},
          .set_to = {},
          .needs_restart = is_true(1),
          .restart_pending = is_true(2),
          .on_command_line = is_true(3)};
}

PostgresSetting wal_level(Session& session) {
  PostgresSetting setting = read_setting(session, "wal_level");
  setting.wanted = "replica or logical";
  setting.set_to = "replica";
  setting.fits = setting.current == "replica" || setting.current == "logical";
  return setting;
}

PostgresSetting replication_slots(Session& session) {
  PostgresSetting setting = read_setting(session, "max_replication_slots");
  const int used = slots_in_use(session);
  setting.wanted = fmt::format("{} or more ({} in use)", used + 1, used);
  setting.set_to = std::to_string(std::max(kUsualSlots, used + 1));
  setting.fits = to_int(setting.current, setting.name) > used;
  return setting;
}

constexpr std::string_view kNotArchived = "WAL is not archived yet";

PostgresSetting archive_mode(Session& session) {
  PostgresSetting setting = read_setting(session, "archive_mode");
  setting.wanted = "on";
  setting.set_to = "on";
  setting.without = kNotArchived;
  setting.fits = setting.current == "on" || setting.current == "always";
  return setting;
}

// "… archive-push "%p" || true" acknowledges what was not stored.
bool hides_failures(const std::string& command) {
  return command.find_first_of("|;&\n", command.find("archive-push")) != std::string::npos;
}

PostgresSetting archive_command_setting(Session& session, const Config& config) {
  PostgresSetting setting = read_setting(session, "archive_command");
  const PostgresSetting library = read_setting(session, "archive_library");
  setting.wanted = archive_command(config);
  setting.without = kNotArchived;
  setting.fits = library.current.empty() && is_our_archive_command(setting.current) &&
                 !hides_failures(setting.current);
  // "(disabled)" is shown while archive_mode is off.
  const bool unused = setting.current.empty() || setting.current == "(disabled)" ||
                      is_our_archive_command(setting.current);
  if (unused && library.current.empty()) setting.set_to = setting.wanted;
  return setting;
}

PostgresSetting archive_timeout(Session& session, const Config& config) {
  PostgresSetting setting = read_setting(session, "archive_timeout");
  auto limit = config.wal.archive_timeout;
  if (const auto objective = config.objectives.recovery_point; objective.count() > 0) {
    limit = std::min(limit, objective);  // what waits longer is lost with the server
  }
  const auto wanted =
      std::max<std::int64_t>(std::chrono::floor<std::chrono::seconds>(limit).count(), 1);
  const int now = to_int(setting.current, setting.name);
  setting.current += "s";
  setting.wanted = fmt::format("{}s or less", wanted);
  setting.set_to = fmt::format("{}s", wanted);
  setting.without = "changes may wait long for being archived";
  setting.fits = now > 0 && now <= wanted;
  return setting;
}

}  // namespace

std::vector<PostgresSetting> backup_settings(Session& session) {
  return {wal_level(session), replication_slots(session)};
}

std::vector<PostgresSetting> archive_settings(Session& session, const Config& config) {
  return {archive_mode(session), archive_command_setting(session, config),
          archive_timeout(session, config)};
}

std::vector<std::string> apply_settings(Session& session,
                                        const std::vector<PostgresSetting>& settings) {
  std::vector<std::string> applied;
  for (const PostgresSetting& setting : settings) {
    if (setting.fits || setting.on_command_line || setting.set_to.empty()) continue;
    try {
      // The name is ours; the value may hold quotes of a path.
      session.query(fmt::format(
          "alter system set {} = {}", setting.name,
          session.query("select quote_literal($1)", {setting.set_to}).at(0).at(0).value_or("''")));
    } catch (Error& error) {
      error.during("set " + setting.name);
      throw;
    }
    applied.push_back(setting.name);
  }
  if (!applied.empty()) session.query("select pg_reload_conf()");
  return applied;
}

}  // namespace holdfast
