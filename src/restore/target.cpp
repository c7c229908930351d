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
    const std::string name = entry.path().filename();
    return name.starts_with(std::string(kRestoreMarker) + ".") || name.starts_with(kStandbyMark);
  });
}

std::string marker_text(const RestoreTarget& target, const BackupInfo& backup) {
  nlohmann::ordered_json json;
  json["backup"] = backup.name.id.text;
  json["cluster"] = backup.name.cluster;
  json["history"] = to_string(target.history);
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

bool is_same_place(const fs::path& one, const fs::path& other) {
  std::error_code ignored;
  return one == other || fs::equivalent(one, other, ignored);
}

void judge_side_folder(const fs::path& folder, const fs::path& own, std::string_view what) {
  if (is_empty_or_absent(folder) || (!own.empty() && is_same_place(folder, own))) return;
  refuse(fmt::format("the {} is not empty", what), folder,
         "Choose another place with --tablespace OLD=NEW, --tablespaces-under or --wal-dir.");
}

// What a copy of a running server's directory leads to are that server's files.
void refuse_places_of_live_server(const RestoreTarget& target, const fs::path& live) {
  if (live.empty() || is_same_place(live, target.data_directory) || !running_server(live)) return;
  const auto refuse_place = [&](const fs::path& place) {
    refuse("a running server's files are there: it has its data directory in " + live.native(),
           place,
           "Choose another place with --tablespace OLD=NEW, --tablespaces-under or --wal-dir.");
  };
  const PlacesInUse in_use = places_in(live);
  for (const TablespaceTarget& space : target.tablespaces) {
    if (in_use.has_tablespace_in(space.location)) refuse_place(space.location);
  }
  const fs::path wal =
      target.wal_directory.empty() ? target.data_directory / "pg_wal" : target.wal_directory;
  if (is_same_place(wal, live / "pg_wal")) refuse_place(wal);
}

fs::path place_of(const BackupTablespace& space, const TargetOptions& options,
                  const PlacesInUse& present) {
  if (const auto moved = options.tablespaces.find(space.location);
      moved != options.tablespaces.end()) {
    return moved->second;
  }
  if (!options.tablespaces_under.empty()) {
    return options.tablespaces_under / std::to_string(space.oid);
  }
  const auto now = present.tablespaces.find(std::to_string(space.oid));
  return now == present.tablespaces.end() ? fs::path(space.location) : now->second;
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
    const std::string parts =
        need.wal_bytes == 0
            ? ""
            : fmt::format(" ({} for the backup, {} for WAL while it is replayed)",
                          human_bytes(need.bytes - need.wal_bytes), human_bytes(need.wal_bytes));
    throw Error(ErrorKind::kHost,
                fmt::format("not enough space: {} are needed{}, {} are free",
                            human_bytes(need.bytes), parts, human_bytes(need.free)),
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

PlacesInUse places_in(const fs::path& data_directory) {
  PlacesInUse places;
  const auto text = read_file(data_directory / kRestoreMarker, kMaxMarkerBytes);
  const auto marker = nlohmann::json::parse(text.value_or(""), nullptr, false);
  if (marker.is_object()) {
    places.wal = marker.value("wal_directory", "");
    const auto spaces = marker.value("tablespaces", nlohmann::json::object());
    for (const auto& [oid, place] : spaces.items()) {
      if (place.is_string()) places.tablespaces[oid] = place.get<std::string>();
    }
  }
  std::error_code ignored;
  if (fs::is_symlink(data_directory / "pg_wal", ignored)) {
    places.wal = fs::read_symlink(data_directory / "pg_wal", ignored);
  }
  for (fs::directory_iterator entry(data_directory / "pg_tblspc", ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    if (!entry->is_symlink()) continue;
    places.tablespaces[entry->path().filename().string()] = fs::read_symlink(entry->path());
  }
  return places;
}

bool PlacesInUse::has_tablespace_in(const fs::path& place) const {
  return std::ranges::any_of(tablespaces,
                             [&](const auto& own) { return is_same_place(own.second, place); });
}

std::vector<SpaceNeed> space_needed(const RestoreTarget& target, const BackupInfo& backup) {
  std::map<dev_t, SpaceNeed> needs;
  const auto add = [&](const fs::path& path, std::uint64_t bytes) -> SpaceNeed& {
    const fs::path existing = existing_part(path);
    struct stat info{};
    if (::stat(existing.c_str(), &info) != 0) throw_errno(errno, "examine", existing.string());
    SpaceNeed& need = needs.try_emplace(info.st_dev, SpaceNeed{.path = existing}).first->second;
    need.bytes += bytes;
    return need;
  };
  std::uint64_t elsewhere = 0;
  for (const TablespaceTarget& space : target.tablespaces) {
    add(space.location, space.content_bytes);
    elsewhere += space.content_bytes;
  }
  add(target.data_directory, backup.content_bytes - std::min(elsewhere, backup.content_bytes));
  const std::uint64_t kept = std::min(target.wal_to_replay, kReplayedWalKept);
  if (kept > 0) {
    add(target.wal_directory.empty() ? target.data_directory : target.wal_directory, kept)
        .wal_bytes += kept;
  }
  std::vector<SpaceNeed> all;
  for (auto& [device, need] : needs) {
    need.free = free_bytes(need.path);
    all.push_back(std::move(need));
  }
  return all;
}

// What is written while WAL is replayed is in that WAL: beyond its size data grow only where
// databases are copied, and mostly they grow by far less.
std::vector<std::string> growth_warnings(const std::vector<SpaceNeed>& space,
                                         std::uint64_t wal_to_replay) {
  std::vector<std::string> warnings;
  for (const SpaceNeed& need : space) {
    const bool wal_alone = need.wal_bytes > 0 && need.bytes == need.wal_bytes;
    const std::uint64_t left = need.free - std::min(need.free, need.bytes);
    if (left >= wal_to_replay - (wal_alone ? need.wal_bytes : 0)) continue;
    warnings.push_back(
        wal_alone
            ? fmt::format("{} of WAL are to be replayed, and more than {} of it may lie in pg_wal "
                          "at a time: {} are free at {}",
                          human_bytes(wal_to_replay), human_bytes(need.wal_bytes),
                          human_bytes(need.free), need.path.string())
            : fmt::format("{} of WAL are to be replayed, and the data may grow by as much: beyond "
                          "backup and WAL {} are free at {}",
                          human_bytes(wal_to_replay), human_bytes(left), need.path.string()));
  }
  return warnings;
}

RestoreTarget examine_target(const BackupInfo& backup, const TargetOptions& options) {
  RestoreTarget target{.data_directory = fs::absolute(options.data_directory).lexically_normal()};
  target.history = options.history.value_or(backup.name.history);
  target.recovery = options.recovery;
  target.wal_to_replay = options.wal_to_replay;
  if (!options.wal_directory.empty()) target.wal_directory = fs::absolute(options.wal_directory);
  for (const auto& [old_place, new_place] : options.tablespaces) {
    const bool known = std::ranges::any_of(
        backup.tablespaces, [&](const auto& space) { return space.location == old_place; });
    if (!known) {
      throw Error(ErrorKind::kUsage, "the backup has no tablespace there",
                  {.object = old_place, .hint = "'holdfast show' lists its tablespaces."});
    }
  }
  PlacesInUse present = places_in(target.data_directory);
  for (const BackupTablespace& space : backup.tablespaces) {
    if (space.location.empty()) continue;  // in place
    target.tablespaces.push_back(
        {space.oid, fs::absolute(place_of(space, options, present)), space.content_bytes});
  }
  target.state = judge_data_directory(target, backup, options.delta);
  for (const TablespaceTarget& space : target.tablespaces) {
    judge_side_folder(space.location, present.tablespaces[std::to_string(space.oid)],
                      "tablespace's directory");
  }
  if (!target.wal_directory.empty()) {
    judge_side_folder(target.wal_directory, present.wal, "WAL directory");
  }
  if (target.state != TargetState::kFresh) {
    refuse_places_of_live_server(target, options.live_data_directory);
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
