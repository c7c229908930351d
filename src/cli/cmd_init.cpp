// `init`: create the repository if needed, register this cluster, say what PostgreSQL still needs.
#include <algorithm>

#include <fmt/format.h>

#include "app/init.h"
#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

bool was_applied(const InitResult& done, const std::string& name) {
  return std::ranges::find(done.applied, name) != done.applied.end();
}

Json settings_json(const InitResult& done) {
  Json list = Json::array();
  for (const PostgresSetting& setting : done.settings) {
    list.push_back({{"name", setting.name},
                    {"current", setting.current},
                    {"wanted", setting.wanted},
                    {"set_to", setting.set_to},
                    {"ok", setting.fits},
                    {"applied", was_applied(done, setting.name)},
                    {"needs_restart", !setting.fits && setting.needs_restart}});
  }
  return list;
}

Cell state_of(const PostgresSetting& setting, const InitResult& done) {
  if (setting.fits) return {"ok", Colour::kGreen};
  if (was_applied(done, setting.name)) {
    return setting.needs_restart ? Cell("set, needs a restart", Colour::kYellow)
                                 : Cell("set", Colour::kGreen);
  }
  if (setting.restart_pending) return {"set already, needs a restart", Colour::kYellow};
  return {setting.needs_restart ? "to be set, needs a restart" : "to be set", Colour::kRed};
}

std::string settings_text(const InitResult& done, const Style& style) {
  Table table({{"SETTING"}, {"CURRENT"}, {"WANTED"}, {""}});
  for (const PostgresSetting& setting : done.settings) {
    table.add_row({setting.name, setting.current, setting.wanted, state_of(setting, done)});
  }
  std::string text = "\nPostgreSQL settings:\n" + table.render(style);
  const bool open = std::ranges::any_of(done.settings, [&](const PostgresSetting& setting) {
    return !setting.fits && !setting.restart_pending && !was_applied(done, setting.name);
  });
  if (open)
    text += "Set them with 'holdfast init --apply', as a superuser, or in postgresql.conf.\n";
  return text;
}

Json json_of(const InitResult& done, const std::string& cluster) {
  const HistoryRecord& history = done.registration.history;
  return {{"repository", done.repository},
          {"repository_created", done.repository_created},
          {"encrypted", done.encrypted},
          {"exclusive_create", done.exclusive_create},
          {"cluster", cluster},
          {"cluster_registered", done.registration.created},
          {"history", to_string(history.name)},
          {"system_identifier", json_of_system_identifier(history.name.system_identifier)},
          {"postgres_version_num", history.postgres_version_num},
          {"wal_segment_bytes", history.wal_segment_size.bytes},
          {"settings", settings_json(done)},
          {"role", {{"name", done.role}, {"database", done.database}, {"sql", done.role_sql}}}};
}

CommandResult run(const InitRequest& request, CommandContext& context) {
  const InitResult done = init(context.config(), context.repository(), request, context.stop());
  for (const std::string& warning : done.warnings) context.warn(warning);
  const std::string& cluster = context.config().cluster;
  CommandResult result{.json = json_of(done, cluster)};
  result.text = fmt::format("Repository {} {}.\nCluster '{}' {}, history {}.\n", done.repository,
                            done.repository_created ? "created" : "was there already", cluster,
                            done.registration.created ? "registered" : "was registered already",
                            to_string(done.registration.history.name));
  result.text += settings_text(done, context.style());
  result.text += fmt::format(
      "\nA role with no more rights than Holdfast needs; run this as a superuser in database {}:\n",
      printable(done.database));
  result.text += done.role_sql;
  return result;
}

}  // namespace

CommandSpec init_command() {
  auto request = std::make_shared<InitRequest>();
  auto apply = std::make_shared<bool>(false);
  auto take_over = std::make_shared<bool>(false);
  auto upgrade = std::make_shared<bool>(false);
  CommandSpec spec;
  spec.name = "init";
  spec.summary = "Create the repository if needed and register this cluster";
  spec.details =
      "May be repeated: what is there already is left as it is.\n"
      "Prints the PostgreSQL settings that backups need and the SQL of a role that suffices.";
  spec.needs = Needs::kConfig;
  spec.options = {
      switch_option({"--apply", "Set the settings with ALTER SYSTEM and reload PostgreSQL"},
                    *apply),
      switch_option({"--take-over",
                     "This server, a promoted copy or one that was set back, is the cluster now"},
                    *take_over),
      switch_option({"--upgrade", "The cluster was made anew by pg_upgrade or initdb"}, *upgrade),
      text_option({"--role", "NAME", "The role that the SQL is for (default: holdfast)"},
                  request->role)};
  spec.examples = {{"holdfast init", "With the configuration in /etc/holdfast"},
                   {"holdfast --config ./db.yaml --repo cold init", "A second repository"},
                   {"holdfast init --apply", "Change PostgreSQL's settings too"},
                   {"holdfast init --take-over", "After a restore, or a VM that was rolled back"}};
  spec.run = [request, apply, take_over, upgrade](CommandContext& context) {
    if (*take_over && *upgrade) {
      throw Error(ErrorKind::kUsage, "--take-over and --upgrade exclude each other");
    }
    if (*take_over) request->history = HistoryWish::kTakeOver;
    if (*upgrade) request->history = HistoryWish::kUpgrade;
    request->apply = *apply ? ApplySettings::kYes : ApplySettings::kNo;
    return run(*request, context);
  };
  return spec;
}

}  // namespace holdfast::cli
