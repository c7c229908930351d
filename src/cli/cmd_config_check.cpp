// `config check`: is the configuration right, and are the files that it names there and private?
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/render.h"
#include "core/counted.h"

namespace holdfast::cli {
namespace {

std::string line_of(const ConfigFinding& finding, const Style& style) {
  const bool problem = finding.severity == ConfigFinding::Severity::kProblem;
  std::string line =
      style.paint(problem ? Colour::kRed : Colour::kYellow, problem ? "problem" : "warning") +
      fmt::format("  {}: {}\n", finding.key, printable(finding.message));
  if (!finding.hint.empty()) line += fmt::format("         {}\n", printable(finding.hint));
  return line;
}

CommandResult render(const LoadedConfig& loaded, const std::vector<ConfigFinding>& findings,
                     const Style& style) {
  const std::string file = loaded.config.file.string();
  CommandResult result;
  Json list = Json::array();
  std::size_t problems = 0;
  for (const ConfigFinding& finding : findings) {
    const bool problem = finding.severity == ConfigFinding::Severity::kProblem;
    problems += problem ? 1 : 0;
    result.text += line_of(finding, style);
    list.push_back({{"severity", problem ? "problem" : "warning"},
                    {"key", finding.key},
                    {"message", finding.message},
                    {"hint", finding.hint}});
  }
  result.json = {{"file", file}, {"cluster", loaded.config.cluster}, {"findings", list}};
  if (problems > 0) {
    result.failure =
        Error(ErrorKind::kConfiguration,
              "the configuration has " + counted(static_cast<std::uint64_t>(problems), "problem"),
              {.object = file});
  } else {
    result.text += fmt::format("{}: {}\n", printable(file), style.paint(Colour::kGreen, "valid"));
  }
  return result;
}

}  // namespace

CommandSpec config_check_command() {
  CommandSpec spec;
  spec.name = "config check";
  spec.summary = "Check the configuration file and the files that it names";
  spec.details =
      "Connects to nothing. Files with secrets are opened,\n"
      "to see that they are private and can be read.";
  spec.needs = Needs::kConfig;
  spec.examples = {{"holdfast config check", "The configuration in /etc/holdfast"},
                   {"holdfast config check --config ./db.yaml --output json", "One file, as JSON"}};
  spec.run = [](CommandContext& context) {
    return render(context.loaded(), check_config(context.loaded()), context.style());
  };
  return spec;
}

}  // namespace holdfast::cli
