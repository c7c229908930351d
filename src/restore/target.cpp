#include "restore/target.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/local_server.h"
#include "repository/history.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxMarkerBytes = std::size_t{64} << 10U;

[[noreturn]] void refuse(std::string message, const fs::path& object, std::string hint) {
  throw Error(ErrorKind::kRefused, std::move(message), {object.string(), std::move(hint)});
}

bool is_empty_or_absent(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (!fs::exists(status)) return true;
  if (!fs::is_directory(status)) return false;
  fs::directory_iterator entries(folder, error);
  if (error) throw_errno(error.value(), "list", folder.string());
  return std::ranges::all_of(entries, [](const fs::directory_entry& entry) {
    // All that a restore leaves that was killed before its marker stood: lock and temporary file.
    return entry.path().filename().string().starts_with(std::string(kRestoreMarker) + ".");
  });
}

std::string marker_text(const RestoreTarget& target, const BackupInfo& backup) {
  nlohmann::ordered_json json;
  json["backup"] = backup.name.id.text;
  json["cluster"] = backup.name.cluster;
  json["history"] = to_string(backup.name.history);
  json["recovery"] = target.recovery;
  json["wal_directory"] = target.wal_directory.string();
  for (const TablespaceTarget& space : target.tablespaces) {
    json["tablespaces"][std::to_string(space.oid)] = space.location.string();
  }
  return json.dump(2) + "\n";
}

// --delta rewrites a directory of the same cluster only.
void require_same_cluster(const fs::path& folder, const BackupInfo& backup) {
  if (!fs::exists(folder / "global/pg_control")) {
    if (fs::exists(folder / "PG_VERSION") || fs::exists(folder / kRestoreMarker)) return;
    refuse("the target is not empty and is no PostgreSQL data directory", folder,
           "--delta works on a data directory of this cluster.");
  }
  const std::uint64_t there = read_control_file(folder).parsed.system_identifier;
  if (there != backup.name.history.system_identifier) {
    refuse(fmt::format("the target is the data directory of another cluster: its system identifier "
                       "is {}, the backup's {}",
                       there, backup.name.history.system_identifier),
           folder, "Restore into another directory.");
  }
}

TargetState judge_data_directory(const RestoreTarget& target, const BackupInfo& backup,
                                 Delta delta) {
  const fs::path& folder = target.data_directory;
  if (const auto server = running_server(folder)) {
    refuse(
        fmt::format("a PostgreSQL server runs in the target directory (process {})", server->pid),
        folder, "Restore into another directory, or stop the server first.");
  }
  if (is_empty_or_absent(folder)) return TargetState::kFresh;
  const auto marker = read_file(folder / kRestoreMarker, kMaxMarkerBytes);
  const bool unfinished = marker && !fs::exists(folder / "global/pg_control");
  if (unfinished && *marker == marker_text(target, backup)) return TargetState::kResume;
  if (delta == Delta::kYes) {
    require_same_cluster(folder, backup);
    return TargetState::kDelta;
  }
  if (unfinished) {
    refuse(
        "the target directory holds an unfinished restore of another backup, to another target or "
        "to "
        "other places",
        folder, "Repeat that restore, or restore into another directory.");
  }
  refuse("the target directory is not empty", folder,
         "Restore into a directory that is empty or does not exist, or bring a data directory of "
         "this cluster to the backup's content with --delta.");
}

void judge_side_folder(const fs::path& folder, TargetState state, std::string_view what) {
  if (state != TargetState::kFresh || is_empty_or_absent(folder)) return;
  refuse(fmt::format("the {} is not empty", what), folder,
         "Choose another place with --tablespace OLD=NEW, --tablespaces-under or --wal-dir.");
}

fs::path place_of(const BackupTablespace& space, const TargetOptions& options) {
  if (const auto moved = options.tablespaces.find(space.location);
      moved != options.tablespaces.end()) {
    return moved->second;
  }
  if (!options.tablespaces_under.empty()) {
    return options.tablespaces_under / std::to_string(space.oid);
  }
  return space.location;
}

fs::path existing_part(fs::path path) {
  while (!fs::exists(path) && path.has_parent_path()) path = path.parent_path();
  return path;
}

// Room on every file system that the restore writes to, before it writes anything.
void require_space(const RestoreTarget& target, const BackupInfo& backup) {
  if (target.state != TargetState::kFresh) return;
  for (const SpaceNeed& need : space_needed(target, backup)) {
    if (need.free >= need.bytes) continue;
    throw Error(ErrorKind::kHost,
                fmt::format("not enough space: the backup needs {}, {} are free",
                            human_bytes(need.bytes), human_bytes(need.free)),
                {.object = need.path.string(),
                 .hint = "Free space, or restore to a larger file system with --to, --tablespace "
                         "or --tablespaces-under."});
  }
}

void make_target_folder(const fs::path& folder) {
  if (!fs::exists(folder)) {
    make_folders(folder, 0700);
  } else if (::chmod(folder.c_str(), 0700) != 0) {
    throw_errno(errno, "set the mode of", folder.string());
  }
}

void make_link(const fs::path& link, const fs::path& target) {
  std::error_code ignored;
  fs::remove(link, ignored);
  if (::symlink(target.c_str(), link.c_str()) != 0) {
    throw_errno(errno, "make the symbolic link", link.string());
  }
}

}  // namespace

std::vector<SpaceNeed> space_needed(const RestoreTarget& target, const BackupInfo& backup) {
  std::map<dev_t, SpaceNeed> needs;
  const auto add = [&](const fs::path& path, std::uint64_t bytes) {
    const fs::path existing = existing_part(path);
    struct stat info{};
    if (::stat(existing.c_str(), &info) != 0) throw_errno(errno, "examine", existing.string());
    SpaceNeed& need = needs.try_emplace(info.st_dev, SpaceNeed{.path = existing}).first->second;
    need.bytes += bytes;
  };
  std::uint64_t elsewhere = 0;
  for (const TablespaceTarget& space : target.tablespaces) {
    add(space.location, space.content_bytes);
    elsewhere += space.content_bytes;
  }
  add(target.data_directory, backup.content_bytes - std::min(elsewhere, backup.content_bytes));
  std::vector<SpaceNeed> all;
  for (auto& [device, need] : needs) {
    need.free = free_bytes(need.path);
    all.push_back(std::move(need));
  }
  return all;
}

RestoreTarget examine_target(const BackupInfo& backup, const TargetOptions& options) {
  RestoreTarget target{.data_directory = fs::absolute(options.data_directory).lexically_normal()};
  target.recovery = options.recovery;
  if (!options.wal_directory.empty()) target.wal_directory = fs::absolute(options.wal_directory);
  for (const auto& [old_place, new_place] : options.tablespaces) {
    const bool known = std::ranges::any_of(
        backup.tablespaces, [&](const auto& space) { return space.location == old_place; });
    if (!known) {
      throw Error(ErrorKind::kUsage, "the backup has no tablespace there",
                  {.object = old_place, .hint = "'holdfast show' lists its tablespaces."});
    }
  }
  for (const BackupTablespace& space : backup.tablespaces) {
    if (space.location.empty()) continue;  // in place
    target.tablespaces.push_back(
        {space.oid, fs::absolute(place_of(space, options)), space.content_bytes});
  }
  target.state = judge_data_directory(target, backup, options.delta);
  for (const TablespaceTarget& space : target.tablespaces) {
    judge_side_folder(space.location, target.state, "tablespace's directory");
  }
  if (!target.wal_directory.empty()) {
    judge_side_folder(target.wal_directory, target.state, "WAL directory");
  }
  require_space(target, backup);
  return target;
}

void mark_target(const RestoreTarget& target, const BackupInfo& backup) {
  make_target_folder(target.data_directory);
  remove_durably(target.data_directory / kHistoryBinding);  // of what was there, with --delta
  write_durably(target.data_directory / kRestoreMarker, as_bytes(marker_text(target, backup)), 0600,
                Overwrite::kYes);
}

void make_places(const RestoreTarget& target) {
  if (!target.wal_directory.empty()) {
    make_target_folder(target.wal_directory);
    make_link(target.data_directory / "pg_wal", target.wal_directory);
  }
  if (!target.tablespaces.empty()) make_folders(target.data_directory / "pg_tblspc", 0700);
  for (const TablespaceTarget& space : target.tablespaces) {
    make_target_folder(space.location);
    make_link(target.data_directory / "pg_tblspc" / std::to_string(space.oid), space.location);
  }
}

}  // namespace holdfast
