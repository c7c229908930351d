#pragma once
// How much memory a run of the program under test takes at most.

#include <functional>
#include <string>
#include <vector>

#include "support/holdfast_program.h"

namespace holdfast::test {

// Peak resident memory of one run of the program in KiB; throws when it fails.
long peak_kib(HoldfastProgram& holdfast, const std::vector<std::string>& arguments);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kMeasuresMemory = false;  // a sanitizer's own memory would be measured
#else
inline constexpr bool kMeasuresMemory = true;
#endif
// Peak resident memory of this process during `work` in KiB, over what was in use before.
long extra_kib(const std::function<void()>& work);

}  // namespace holdfast::test
