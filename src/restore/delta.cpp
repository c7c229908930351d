#include "restore/delta.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/cancellation.h"
#include "postgres/data_files.h"
#include "restore/target.h"
#include "seal/hash.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Paths of the backup as sorted 64-bit hashes: 8 bytes each, for a million files 8 MB. A file that
// is kept because its hash meets another's by accident is one that PostgreSQL does not know and
// never opens.
class PathSet {
 public:
  void add(std::string_view path) { hashes_.push_back(hash(path)); }
  void seal() { std::ranges::sort(hashes_); }
  bool contains(std::string_view path) const {
    return std::ranges::binary_search(hashes_, hash(path));
  }

 private:
  static std::uint64_t hash(std::string_view path) {
    return load_le<std::uint64_t>(xxh3_128(as_bytes(path)).data());
  }
  std::vector<std::uint64_t> hashes_;
};

PathSet paths_of(Manifest& manifest, const std::stop_token& stop) {
  PathSet set;
  for (const Section section : {Section::kData, Section::kFinal}) {
    manifest.for_each(
        section,
        [&](const FileEntry& entry) {
          // A type is part of what must be the same: a link may not stand where a file belongs.
          set.add(fmt::format("{} {}", static_cast<int>(entry.type), entry.path));
        },
        stop);
  }
  set.seal();
  return set;
}

// Moves the content of pg_wal into a folder of its own on the same file system: nothing is copied,
// nothing is lost.
fs::path save_wal(const RestoreTarget& target) {
  const fs::path wal = target.data_directory / "pg_wal";
  std::error_code error;
  if (!fs::is_directory(wal, error) || fs::is_empty(wal, error)) return {};
  const std::string name = "holdfast.saved-wal-" + to_compact(system_clock().now());
  if (!fs::is_symlink(wal)) {
    const fs::path saved = target.data_directory / name;
    rename_durably(wal, saved);
    make_folders(wal, 0700);
    return saved;
  }
  const fs::path saved = fs::canonical(wal) / name;
  make_folders(saved, 0700);
  std::vector<fs::path> content;
  for (const auto& entry : fs::directory_iterator(wal)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with("holdfast.saved-wal-")) content.push_back(fs::canonical(wal) / file);
  }
  for (const fs::path& path : content) rename_durably(path, saved / path.filename());
  return saved;
}

class Cleaner {
 public:
  Cleaner(const PathSet& keep, const std::stop_token& stop) : keep_(keep), stop_(stop) {}

  // Removes, below `folder` (its path in the backup is `prefix`), whatever the backup does not
  // have.
  void clean(const fs::path& folder, const std::string& prefix) {
    std::vector<fs::directory_entry> entries;
    for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry);
    for (const fs::directory_entry& entry : entries) {
      check_cancelled(stop_);
      const std::string name = entry.path().filename().string();
      const std::string path = path_below(prefix, name);
      if (is_ours(path)) continue;
      if (path.starts_with("pg_tblspc/") && entry.is_symlink()) {
        fs::remove(entry.path());  // links are made anew; what they lead to is cleaned there
      } else if (entry.is_symlink()) {
        remove(entry.path());
      } else if (entry.is_directory() && keep_.contains("0 " + path)) {
        clean(entry.path(), path);
      } else if (!entry.is_regular_file() || !keep_.contains("1 " + path)) {
        remove(entry.path());
      }
    }
  }

  std::uint64_t removed() const { return removed_; }

 private:
  // Holdfast's own files, and pg_wal, which was dealt with before.
  static bool is_ours(const std::string& path) {
    return path.starts_with("holdfast.") || path == "pg_wal";
  }
  void remove(const fs::path& path) { removed_ += fs::remove_all(path); }

  const PathSet& keep_;
  const std::stop_token& stop_;
  std::uint64_t removed_ = 0;
};

}  // namespace

std::uint64_t remove_strangers(const RestoreTarget& target, Manifest& manifest,
                               const std::stop_token& stop) {
  const PathSet keep = paths_of(manifest, stop);
  Cleaner cleaner(keep, stop);
  try {
    cleaner.clean(target.data_directory, "");
    for (const TablespaceTarget& space : target.tablespaces) {
      // Only this version's folder is ours; a tablespace may hold other servers' too.
      const std::string version = to_string(TablespaceVersion{
          manifest.info().postgres_version_num / 10000, manifest.info().catalog_version});
      if (fs::is_directory(space.location / version)) {
        cleaner.clean(space.location / version, fmt::format("pg_tblspc/{}/{}", space.oid, version));
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw_errno(error.code().value(), "remove", error.path1().string());
  }
  return cleaner.removed();
}

DeltaPreparation prepare_delta(const RestoreTarget& target, Manifest& manifest,
                               const std::stop_token& stop) {
  DeltaPreparation done;
  done.saved_wal = save_wal(target);
  static constexpr std::array<const char*, 6> kStartFiles{"global/pg_control", "recovery.signal",
                                                          "standby.signal",    "backup_label",
                                                          "tablespace_map",    "postmaster.pid"};
  for (const char* file : kStartFiles) remove_durably(target.data_directory / file);
  done.removed_files = remove_strangers(target, manifest, stop);
  return done;
}

}  // namespace holdfast
