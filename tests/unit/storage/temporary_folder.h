#pragma once
// A folder of its own for one test, removed with everything in it when the test ends. It lies in
// memory where the machine has such a file system, because most tests need no disk to sync to.

#include <filesystem>
#include <string>

#include <stdlib.h>
#include <unistd.h>

#include "storage/folder_store.h"

namespace holdfast::test {

enum class Medium { kMemory, kDisk };

class TemporaryFolder {
 public:
  explicit TemporaryFolder(Medium medium = Medium::kMemory) {
    const bool in_memory = medium == Medium::kMemory && ::access("/dev/shm", W_OK | X_OK) == 0;
    std::string path =
        (in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
        "holdfast-test-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = path;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A folder repository without anything in it.
class FolderRepository {
 public:
  explicit FolderRepository(Medium medium = Medium::kMemory) : folder_(medium) {
    create_folder_root(root());
  }
  std::filesystem::path root() const { return folder_.path() / "repository"; }
  std::unique_ptr<ObjectStore> open(const PublishCalls& calls = system_publish_calls()) const {
    return make_folder_store(root(), calls);
  }

 private:
  TemporaryFolder folder_;
};

// As many temporary files as lie anywhere below `folder`.
inline std::size_t count_temporaries(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (is_temporary_name(entry.path().filename().native())) ++count;
  }
  return count;
}

}  // namespace holdfast::test
