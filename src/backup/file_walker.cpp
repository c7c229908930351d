#include "backup/file_walker.h"

#include <charconv>
#include <optional>
#include <unordered_set>

#include "core/cancellation.h"
#include "core/error.h"

namespace holdfast {
namespace {

// Deeper than any data directory; a loop of symbolic links ends here.
constexpr int kMaxDepth = 32;
constexpr std::string_view kTablespaceLinks = "pg_tblspc/";

// The relations of a folder that are unlogged: they have an init fork.
std::unordered_set<std::uint32_t> unlogged_relations(const std::string& folder,
                                                     const std::vector<std::string>& names) {
  std::unordered_set<std::uint32_t> unlogged;
  for (const std::string& name : names) {
    if (!name.ends_with("_init")) continue;
    const std::string path = path_below(folder, name);
    const auto relation = parse_relation_file(path);
    if (relation && relation->fork == Fork::kInit) unlogged.insert(relation->filenode);
  }
  return unlogged;
}

bool is_tablespace_link(const std::string& path) {
  return path.starts_with(kTablespaceLinks) &&
         path.find('/', kTablespaceLinks.size()) == std::string::npos;
}

std::optional<std::uint32_t> oid_of(const std::string& tablespace_link) {
  std::uint32_t oid = 0;
  const char* end = tablespace_link.data() + tablespace_link.size();
  const auto read = std::from_chars(tablespace_link.data() + kTablespaceLinks.size(), end, oid);
  return read.ec == std::errc() && read.ptr == end ? std::optional(oid) : std::nullopt;
}

}  // namespace

struct FileWalker::Walk {
  const std::function<void(const WalkedFile&)>& visit;
  const std::stop_token& stop;
};

void FileWalker::walk(const std::function<void(const WalkedFile&)>& visit,
                      const std::stop_token& stop) {
  Walk state{visit, stop};
  walk_folder(state, "", 0);
}

void FileWalker::walk_folder(Walk& walk, const std::string& folder, int depth) {
  if (depth > kMaxDepth) {
    throw Error(ErrorKind::kHost, "folders are nested too deeply; symbolic links may form a loop",
                {.object = folder});
  }
  const std::vector<std::string> names = source_.list(folder);
  const auto unlogged = unlogged_relations(folder, names);
  for (const std::string& name : names) {
    check_cancelled(walk.stop);
    const std::string path = path_below(folder, name);
    if (!unlogged.empty()) {
      const auto relation = parse_relation_file(path);
      if (relation && relation->fork != Fork::kInit && unlogged.contains(relation->filenode)) {
        continue;
      }
    }
    walk_entry(walk, path, depth);
  }
}

void FileWalker::walk_entry(Walk& walk, const std::string& path, int depth) {
  const Carry carry = carried_by_backup(path, version_);
  if (carry == Carry::kNo) return;
  auto stat = source_.stat(path);
  if (!stat) return;
  if (stat->special) {
    special_files_.push_back(path);
    return;
  }
  if (stat->type == FileType::kSymlink) {
    if (path == "pg_wal") wal_directory_ = stat->link_target;
    enter_link(walk, path, *stat, depth);
    return;
  }
  walk.visit({path, *stat});
  if (stat->type == FileType::kFolder && carry == Carry::kYes) walk_folder(walk, path, depth + 1);
}

// A symbolic link is carried as what it leads to: restore makes tablespaces and pg_wal links again
// where that is wanted, and nothing a data directory needs may silently stay behind.
void FileWalker::enter_link(Walk& walk, const std::string& path, const SourceStat& link,
                            int depth) {
  if (is_tablespace_link(path)) {
    const auto oid = oid_of(path);
    if (!oid || !tablespaces_.contains(*oid)) return;
  }
  auto target = source_.stat_target(path);
  if (!target || target->special) {
    special_files_.push_back(path);
    return;
  }
  if (!is_tablespace_link(path) && path != "pg_wal") {
    followed_links_.push_back(path + " -> " + link.link_target);
  }
  walk.visit({path, *target});
  if (target->type == FileType::kFolder && carried_by_backup(path, version_) == Carry::kYes) {
    walk_folder(walk, path, depth + 1);
  }
}

}  // namespace holdfast
