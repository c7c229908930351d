#pragma once
// Which configuration file is read, and where a cluster's state lies by default.

#include <filesystem>
#include <string>

#include "app/config.h"

namespace holdfast {

inline constexpr std::size_t kConfigBytesMax = std::size_t{1} << 20U;
inline constexpr std::size_t kConfigFilesMax = 1000;  // *.yaml in one folder

struct ConfigFile {
  std::filesystem::path path;  // absolute
  std::string text;
};
ConfigFile locate_config(const ConfigRequest& request);

// `root`/<cluster> where it is or could be made writable, else ".holdfast" beside the file. One
// that is there already is preferred, so that every user of the machine ends up at the same locks.
std::filesystem::path default_state_directory(const Config& config,
                                              const std::filesystem::path& root);

}  // namespace holdfast
