#include "backup/external_config.h"

#include <algorithm>
#include <regex>
#include <sstream>

#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxConfigBytes = std::size_t{4} << 20U;
constexpr std::size_t kMaxFiles = 1000;  // a loop of includes ends here

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_normal().lexically_relative(folder.lexically_normal());
  return !relative.empty() && *relative.begin() != "..";
}

class Collector {
 public:
  void add(const fs::path& original, const std::string& name) {
    if (result.files.contains(name) || result.files.size() >= kMaxFiles) return;
    std::optional<std::string> text;
    try {
      text = read_file(original, kMaxConfigBytes);
    } catch (const Error& error) {
      result.warnings.push_back(fmt::format("configuration file not carried: {}", error.message()));
      return;
    }
    if (!text) return;
    result.files[name] = {original, to_bytes(as_bytes(*text))};
    follow_includes(*text, original.parent_path(), fs::path(name).parent_path());
  }

  ExternalConfig result;

 private:
  // include, include_if_exists and include_dir, with names relative to the including file.
  void follow_includes(const std::string& text, const fs::path& folder,
                       const fs::path& name_folder) {
    static const std::regex kInclude(
        R"(^\s*(include|include_if_exists|include_dir)\s*=?\s*'?([^'#]+?)'?\s*(#.*)?$)",
        std::regex::icase);
    std::istringstream lines(text);
    std::smatch match;
    for (std::string line; std::getline(lines, line);) {
      if (!std::regex_match(line, match, kInclude)) continue;
      const fs::path target = match[2].str();
      if (target.is_absolute() || !is_inside(folder / target, folder)) {
        result.warnings.push_back(
            fmt::format("configuration file not carried, because it is included from elsewhere: {}",
                        target.string()));
      } else if (match[1].str() == "include_dir") {
        add_folder(folder / target, name_folder / target);
      } else {
        add(folder / target, (name_folder / target).lexically_normal().string());
      }
    }
  }

  void add_folder(const fs::path& folder, const fs::path& name_folder) {
    std::error_code error;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string file = entry.path().filename().string();
      if (file.ends_with(".conf") && !file.starts_with(".")) found.push_back(entry.path());
    }
    std::ranges::sort(found);
    for (const fs::path& path : found) {
      add(path, (name_folder / path.filename()).lexically_normal().string());
    }
  }
};

}  // namespace

ExternalConfig collect_external_config(const ServerInfo& server, const fs::path& data_directory) {
  Collector collector;
  const auto consider = [&](const std::string& path, const std::string& name) {
    if (!path.empty() && !is_inside(path, data_directory) &&
        !is_inside(path, server.data_directory.empty() ? data_directory
                                                       : fs::path(server.data_directory))) {
      collector.add(path, name);
    }
  };
  consider(server.config_file, "postgresql.conf");
  consider(server.hba_file, "pg_hba.conf");
  consider(server.ident_file, "pg_ident.conf");
  return std::move(collector.result);
}

}  // namespace holdfast
