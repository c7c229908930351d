#include "restore/external_config.h"

#include <regex>
#include <sstream>

#include "core/bytes.h"
#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::string relocate_config(std::string_view text) {
  // stats_temp_directory (PostgreSQL 13 and 14) points into /run on Debian and need not exist.
  static const std::regex kPlaces(
      R"(^\s*(data_directory|config_file|hba_file|ident_file|external_pid_file|stats_temp_directory)\b.*)",
      std::regex::icase);
  std::istringstream lines{std::string(text)};
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, kPlaces)) out += "#holdfast restore# ";
    out += line + "\n";
  }
  return out;
}

std::vector<fs::path> relocate_config_file(const fs::path& data_directory) {
  std::vector<fs::path> folders;
  static const std::regex kIncludeDir(R"(^\s*include_dir\s*=?\s*'?([^'#]+?)'?\s*(#.*)?$)",
                                      std::regex::icase);
  const fs::path path = data_directory / "postgresql.conf";
  const auto text = read_file(path, kPostgresConfigBytesMax);
  if (!text) return folders;
  write_durably(path, as_bytes(relocate_config(*text)), 0600, Overwrite::kYes);
  std::istringstream lines(*text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, match, kIncludeDir)) continue;
    const fs::path folder = match[1].str();
    if (!folder.is_relative()) continue;
    make_folders(data_directory / folder, 0700);
    folders.push_back(data_directory / folder);
  }
  return folders;
}

}  // namespace holdfast
