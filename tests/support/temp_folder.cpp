#include "support/temp_folder.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <sys/stat.h>

namespace holdfast::test {
namespace {

void write_with(const std::filesystem::path& path, std::string_view text, std::ios::openmode mode) {
  std::ofstream file(path, mode | std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

// Folders without permissions (tests make them) are opened first.
void remove_all_of(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::remove_all(path, ignored) != static_cast<std::uintmax_t>(-1)) return;
  for (std::filesystem::recursive_directory_iterator at(path, ignored), end; at != end;) {
    if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
      std::filesystem::permissions(at->path(), std::filesystem::perms::owner_all, ignored);
    }
    at.increment(ignored);
    if (ignored) break;
  }
  std::filesystem::remove_all(path, ignored);
}

}  // namespace

TempFolder::TempFolder() {
  std::string pattern = "/tmp/hft-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "mkdtemp");
  }
  path_ = pattern;
  constexpr mode_t kServersMayEnter = 0755;  // they may run as another user than a test of root's
  chmod(path_.c_str(), kServersMayEnter);
}

TempFolder::TempFolder(TempFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempFolder& TempFolder::operator=(TempFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TempFolder::~TempFolder() {
  if (path_.empty()) return;
  if (std::getenv("HOLDFAST_TEST_KEEP") != nullptr) {
    std::fprintf(stderr, "kept: %s\n", path_.c_str());
    return;
  }
  remove_all_of(path_);
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  write_with(path, text, std::ios::trunc);
}

void append_text(const std::filesystem::path& path, std::string_view text) {
  write_with(path, text, std::ios::app);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace holdfast::test
