// `version`: which build this is.
#include <fmt/format.h>

#include "cli/command.h"
#include "version.h"

namespace holdfast::cli {

CommandSpec version_command() {
  CommandSpec spec;
  spec.name = "version";
  spec.summary = "Print the version";
  spec.examples = {{"holdfast version", "For people"},
                   {"holdfast version --output json", "For scripts"}};
  spec.run = [](CommandContext&) {
    return CommandResult{.json = {{"version", HOLDFAST_VERSION}},
                         .text = fmt::format("holdfast {}\n", HOLDFAST_VERSION)};
  };
  return spec;
}

}  // namespace holdfast::cli
