#pragma once
// The commands of this build, and those of the command contract that it does not have yet.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace holdfast::cli {

// In the order of the help. Built on the first call; the list lives as long as the program.
const std::vector<CommandSpec>& all_commands();

// Named by the command contract, absent from this build. The word alone gives an error that says
// so.
std::span<const std::string_view> later_commands();

}  // namespace holdfast::cli
