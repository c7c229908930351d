#pragma once
// Damage in a repository that is a folder.

#include <filesystem>
#include <string>

namespace holdfast::test {

// Changes one bit in the middle of the first object whose name ends so. A failure of the test when
// there is none.
void damage(const std::filesystem::path& repository, const std::string& name_ends);

}  // namespace holdfast::test
