#pragma once
// The program from its words to its exit code.

#include <string>
#include <vector>

namespace holdfast::cli {

// `words` without the program's own name. Prints everything there is to print. Does not return when
// the program ends by a signal.
int run_program(const std::vector<std::string>& words);

}  // namespace holdfast::cli
