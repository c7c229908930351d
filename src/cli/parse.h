#pragma once
// The command line, taken apart with CLI11. parse.cpp is the only file that includes it, because
// each one that does costs seconds of compile time.
// Errors: kUsage, with the nearest known name as hint where there is one.

#include <string>
#include <vector>

#include "cli/command.h"

namespace holdfast::cli {

using Words = std::vector<std::string>;

// Sets the global options at the front of `words` and returns the words from the first one that is
// not a global option or its value.
Words parse_front(GlobalOptions& globals, const Words& words);

// Sets global options and the command's own from the words after its name. With --help among them
// a missing argument is no error.
void parse_rest(GlobalOptions& globals, const CommandSpec& command, const Words& words);

// Whether `--output json` stands anywhere: for errors found before or during parsing.
OutputFormat peek_output_format(const Words& words);

}  // namespace holdfast::cli
