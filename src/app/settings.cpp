#include "app/settings.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

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

}  // namespace

std::vector<PostgresSetting> needed_settings(Session& session) {
  return {wal_level(session), replication_slots(session)};
}

std::vector<std::string> apply_settings(Session& session,
                                        const std::vector<PostgresSetting>& settings) {
  std::vector<std::string> applied;
  for (const PostgresSetting& setting : settings) {
    if (setting.fits || setting.on_command_line) continue;
    try {
      // Name and value are ours, from the functions above.
      session.query(fmt::format("alter system set {} = '{}'", setting.name, setting.set_to));
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
