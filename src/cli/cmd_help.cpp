// `help [COMMAND]`.
#include "cli/command.h"
#include "cli/help.h"

namespace holdfast::cli {

CommandSpec help_command() {
  auto words = std::make_shared<std::vector<std::string>>();
  CommandSpec spec;
  spec.name = "help";
  spec.summary = "Help on the program or on one command";
  spec.arguments = {{"COMMAND", "The command, one word or two", Presence::kOptional,
                     [words](const std::string& word) { words->push_back(word); }, Repeat::kMany}};
  spec.examples = {{"holdfast help", "All commands"}, {"holdfast help config show", "One command"}};
  spec.run = [words](CommandContext& context) {
    if (words->empty()) return program_help(context.style());
    const FoundCommand found = find_command(*words);
    if (found.words < words->size()) {
      throw Error(ErrorKind::kUsage, "'" + words->back() + "' is one word too many",
                  {.hint = "See `holdfast help " + found.command->name + "`."});
    }
    return command_help(*found.command, context.style());
  };
  return spec;
}

}  // namespace holdfast::cli
