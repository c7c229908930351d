#include "support/damage.h"

#include <gtest/gtest.h>

#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast::test {

namespace fs = std::filesystem;

void damage(const fs::path& repository, const std::string& name_ends) {
  for (const auto& entry : fs::recursive_directory_iterator(repository)) {
    if (!entry.path().string().ends_with(name_ends)) continue;
    std::string bytes = read_text(entry.path());
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    fs::permissions(entry.path(), fs::perms::owner_all);
    write_text(entry.path(), bytes);
    give_to_server_user(entry.path());
    return;
  }
  FAIL() << "there is no " << name_ends;
}

}  // namespace holdfast::test
