// `version`: which build this is.
#include <fmt/format.h>

#include "app/version.h"
#include "cli/command.h"

namespace holdfast::cli {

CommandSpec version_command() {
  CommandSpec spec;
  spec.name = "version";
  spec.summary = "Print the version";
  spec.examples = {{"holdfast version", "For people"},
                   {"holdfast version --output json", "For scripts"}};
  spec.run = [](CommandContext&) {
    return CommandResult{.json = {{"version", holdfast_version()}},
                         .text = fmt::format("holdfast {}\n", holdfast_version())};
  };
  return spec;
}

}  // namespace holdfast::cli
