#pragma once
// Help on the program and on one command, made from the descriptions of the commands.

#include <string>
#include <string_view>

#include "cli/command.h"

namespace holdfast::cli {

CommandResult program_help(const Style& style);
CommandResult command_help(const CommandSpec& command, const Style& style);

// The command called by `words` (one or two, as typed). A word that is no command throws kUsage:
// the nearest name, the second words that are there, or that this build does not have it yet.
struct FoundCommand {
  const CommandSpec* command;
  std::size_t words;  // how many words its name took
};
FoundCommand find_command(const std::vector<std::string>& words);

}  // namespace holdfast::cli
