#include "app/config_files.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config_document.h"
#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

ConfigFile read_named(const fs::path& name, std::string_view named_by) {
  const fs::path path = fs::absolute(name).lexically_normal();
  auto text = read_file(path, kConfigBytesMax);
  if (!text) {
    refuse_configuration("the configuration file does not exist", path.string(),
                         fmt::format("It is named by {}.", named_by));
  }
  return {path, std::move(*text)};
}

std::vector<fs::path> yaml_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".yaml") continue;
    if (files.size() == kConfigFilesMax) {
      refuse_configuration(fmt::format("more than {} files", kConfigFilesMax), folder.string(),
                           "Use --config.");
    }
    files.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw_errno(error.value(), "list", folder.string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

ConfigFile pick_by_cluster(const std::vector<fs::path>& files, const ConfigRequest& request) {
  std::vector<ConfigFile> matches;
  std::vector<std::string> known;
  for (const fs::path& path : files) {
    ConfigFile file = read_named(path, "a folder listing");
    known.push_back(peek_cluster_name(file.text));
    if (known.back().empty()) known.back() = fmt::format("({}: no name)", path.filename().string());
    if (!request.cluster.empty() && known.back() == request.cluster) {
      matches.push_back(std::move(file));
    }
  }
  if (matches.size() == 1) return std::move(matches.front());
  const std::string hint = fmt::format("Clusters there: {}.", fmt::join(known, ", "));
  const std::string folder = request.folder.string();
  if (request.cluster.empty()) {
    refuse_configuration(
        fmt::format("{} configuration files, and no --cluster to pick one", files.size()), folder,
        hint);
  }
  if (matches.empty()) {
    refuse_configuration(fmt::format("no configuration file is for cluster '{}'", request.cluster),
                         folder, hint);
  }
  refuse_configuration(
      fmt::format("{} configuration files are for cluster '{}'", matches.size(), request.cluster),
      folder, "Name one with --config.");
}

bool is_usable_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && ::access(path.c_str(), W_OK | X_OK) == 0;
}

bool can_be_made(const fs::path& path) {
  std::error_code ignored;
  fs::path at = path;
  while (!fs::exists(fs::symlink_status(at, ignored)) && at.has_relative_path()) {
    at = at.parent_path();
  }
  return is_usable_folder(at);
}

// As root: the folder belongs to the owner of the data directory, as whom Holdfast works.
void give_to_data_owner(const Config& config, const fs::path& folder) {
  struct stat owner{};
  if (::geteuid() != 0 || config.postgres.data_directory.empty()) return;
  if (::stat(config.postgres.data_directory.c_str(), &owner) != 0) return;
  if (::chown(folder.c_str(), owner.st_uid, owner.st_gid) != 0) {
    throw_errno(errno, "change the owner of", folder.string());
  }
}

}  // namespace

ConfigFile locate_config(const ConfigRequest& request) {
  if (!request.file.empty()) return read_named(request.file, "--config");
  for (const auto& [name, value] : request.environment) {
    if (name == "HOLDFAST_CONFIG" && !value.empty()) return read_named(value, "HOLDFAST_CONFIG");
  }
  const std::vector<fs::path> files = yaml_files(request.folder);
  if (files.empty()) {
    refuse_configuration(
        "no configuration file", (request.folder / "*.yaml").string(),
        "Write one there (docs/configuration.md has an example), or name it with --config.");
  }
  if (files.size() == 1) return read_named(files.front(), "being the only one there");
  return pick_by_cluster(files, request);
}

fs::path default_state_directory(const Config& config, const fs::path& root) {
  fs::path central = root / config.cluster;
  fs::path beside = config.file.parent_path() / ".holdfast";
  if (is_usable_folder(central)) return central;
  if (is_usable_folder(beside)) return beside;
  return can_be_made(central) ? central : beside;
}

void prepare_state_directory(const Config& config) {
  const fs::path& folder = config.state_directory;
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) {
    if (errno != ENOENT) throw_errno(errno, "look at the state directory", folder.string());
    // The folders above keep ordinary permissions: other clusters' state may lie beside this one.
    if (folder.has_parent_path()) make_folders(folder.parent_path(), 0755);
    make_folders(folder, 0700);
    give_to_data_owner(config, folder);
    return;
  }
  if (!S_ISDIR(status.st_mode)) {
    refuse_configuration("the state directory is not a folder", folder.string(),
                         "Set state_directory.");
  }
  if ((status.st_mode & 0077U) != 0) {
    refuse_configuration(
        fmt::format("the state directory has mode {:04o}: group or others may enter it",
                    status.st_mode & 07777U),
        folder.string(), fmt::format("chmod 700 {}", folder.string()));
  }
}

}  // namespace holdfast
