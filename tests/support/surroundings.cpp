#include "support/surroundings.h"

#include <cstdlib>
#include <random>

namespace holdfast::test {
namespace {

std::string environment_or(const char* name, std::string otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

}  // namespace

std::string program_path() {
  return environment_or("HOLDFAST_TEST_PROGRAM", HOLDFAST_PROGRAM);
}

std::filesystem::path source_folder() {
  return environment_or("HOLDFAST_TEST_SOURCE_DIR", HOLDFAST_SOURCE_DIR);
}

std::filesystem::path testbed_folder() {
  return environment_or("HOLDFAST_TEST_TOOLS", HOLDFAST_SOURCE_DIR "/tools/testbed");
}

std::uint64_t random_seed() {
  static const std::uint64_t other = std::random_device{}();
  const char* const text = std::getenv("HOLDFAST_TEST_SEED");
  return text == nullptr ? other : std::strtoull(text, nullptr, 10);
}

}  // namespace holdfast::test
