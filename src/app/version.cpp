#include "app/version.h"

#include "version_from_git.h"  // written by CMake; see cmake/HoldfastVersion.cmake

namespace holdfast {

std::string holdfast_version() {
  return HOLDFAST_VERSION;
}

}  // namespace holdfast
