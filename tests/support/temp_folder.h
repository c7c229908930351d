#pragma once
// A folder of a test's own, removed with all that is in it when the object goes. With
// HOLDFAST_TEST_KEEP=1 in the environment it stays, and its path is printed. Its name is short, so
// that the path of a Unix socket in it stays below the limit of 107 bytes.
// Throws std::runtime_error.

#include <filesystem>
#include <string>
#include <string_view>

namespace holdfast::test {

class TempFolder {
 public:
  TempFolder();
  TempFolder(TempFolder&& other) noexcept;
  TempFolder& operator=(TempFolder&& other) noexcept;
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_text(const std::filesystem::path& path, std::string_view text);
void append_text(const std::filesystem::path& path, std::string_view text);
std::string read_text(const std::filesystem::path& path);

}  // namespace holdfast::test
