#pragma once
// What ./test tells the tests about where they run. Without it, as when a test program is started
// by hand, the paths that CMake compiled in hold. Threads: any, as long as nobody changes the
// environment.

#include <cstdint>
#include <filesystem>
#include <string>

namespace holdfast::test {

std::string program_path();              // $HOLDFAST_TEST_PROGRAM: the program `holdfast`
std::filesystem::path source_folder();   // $HOLDFAST_TEST_SOURCE_DIR: has tests/, tools/ and docs/
std::filesystem::path testbed_folder();  // $HOLDFAST_TEST_TOOLS: scripts that start servers
// $HOLDFAST_TEST_SEED, else another one in each process. Print it where it is used.
std::uint64_t random_seed();

}  // namespace holdfast::test
