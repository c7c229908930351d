// `units`: what systemd needs to run Holdfast by itself.
#include <fmt/format.h>

#include "app/units.h"
#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

struct UnitArguments {
  bool install = false;
  std::string directory = "/etc/systemd/system";
};

CommandResult run_units(const UnitArguments& arguments, CommandContext& context) {
  const Config& config = context.config();
  const std::vector<SystemdUnit> units = make_units(config, this_place(config));
  CommandResult result;
  result.json["directory"] = arguments.install ? Json(arguments.directory) : Json();
  result.json["units"] = Json::array();
  for (const SystemdUnit& unit : units) {
    result.json["units"].push_back({{"name", unit.name}, {"content", unit.content}});
    if (!arguments.install) result.text += fmt::format("# {}\n{}\n", unit.name, unit.content);
  }
  result.json["unwanted"] = Json::array();
  if (!arguments.install) return result;
  const UnitsInstalled installed = install_units(config, units, arguments.directory);
  for (const std::string& name : installed.written) {
    result.text += fmt::format("{}/{}\n", arguments.directory, name);
  }
  for (const std::string& name : installed.unwanted) {
    result.json["unwanted"].push_back(name);
    context.warn(
        fmt::format("{} is not needed any more: systemctl disable --now {}, then remove "
                    "it",
                    name, name));
  }
  result.text += "Nothing is enabled yet:\n  systemctl daemon-reload\n  systemctl enable --now";
  for (const SystemdUnit& unit : units) {  // systemctl takes no pattern for what is not loaded
    if (unit.content.find("[Install]") != std::string::npos) result.text += " \\\n    " + unit.name;
  }
  result.text += "\n";
  return result;
}

}  // namespace

CommandSpec units_command() {
  auto arguments = std::make_shared<UnitArguments>();
  CommandSpec spec;
  spec.name = "units";
  spec.summary = "Print or write systemd's units for everything that has to happen by itself";
  spec.details =
      "A service and a timer each: the backup by backup.schedule (none where that is empty), a\n"
      "check every hour, a verification every week, drills for the month, the quarter and the "
      "year,\n"
      "expiry every day, copies by copy.schedule; and with canary.interval the canary. A service\n"
      "that fails tells so (notify). Nothing is enabled or started.";
  spec.needs = Needs::kConfig;
  spec.options = {
      switch_option({"--install", "Write them instead of printing them"}, arguments->install),
      text_option({"--directory", "DIR", "Where to (default: /etc/systemd/system)"},
                  arguments->directory)};
  spec.examples = {{"holdfast units", "What would be written"},
                   {"holdfast units --install", "As root; then enable them"}};
  spec.run = [arguments](CommandContext& context) { return run_units(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
