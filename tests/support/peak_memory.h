#pragma once
// How much memory a run of the program under test takes at most.

#include <string>
#include <vector>

#include "support/holdfast_program.h"

namespace holdfast::test {

// Peak resident memory of one run of the program in KiB; throws when it fails.
long peak_kib(HoldfastProgram& holdfast, const std::vector<std::string>& arguments);

}  // namespace holdfast::test
