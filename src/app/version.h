#pragma once
// The version of this build, from git: "0.1.0+1a2b3c4d".

#include <string>

namespace holdfast {

std::string holdfast_version();

}  // namespace holdfast
