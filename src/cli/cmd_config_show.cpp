// `config show`: effective values with their source.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

CommandResult render(const LoadedConfig& loaded, const Style& style) {
  Table table({{"KEY"}, {"VALUE"}, {"SOURCE"}});
  Json values = Json::array();
  for (const ConfigValue& value : loaded.values) {
    values.push_back({{"key", value.key}, {"value", value.value}, {"source", value.source}});
    const bool from_default = value.source == "default";
    if (from_default && value.value.empty()) continue;  // not set: of no interest to people
    table.add_row(
        {value.key, value.value, Cell(value.source, from_default ? Colour::kDim : Colour::kNone)});
  }
  return {
      .json = {{"file", loaded.config.file.string()}, {"values", values}},
      .text = fmt::format("{}\n\n{}", printable(loaded.config.file.string()), table.render(style))};
}

}  // namespace

CommandSpec config_show_command() {
  CommandSpec spec;
  spec.name = "config show";
  spec.summary = "Show the effective configuration and where each value comes from";
  spec.details =
      "Passwords are replaced by ***. Keys without a value are left out of the text, not of the "
      "JSON.";
  spec.needs = Needs::kConfig;
  spec.examples = {
      {"holdfast config show", "The configuration in /etc/holdfast"},
      {"HOLDFAST_MEMORY=1GiB holdfast --config ./db.yaml config show", "With an override"}};
  spec.run = [](CommandContext& context) { return render(context.loaded(), context.style()); };
  return spec;
}

}  // namespace holdfast::cli
