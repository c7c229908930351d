#include "postgres/data_files.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace holdfast {

namespace {

constexpr std::string_view kDigits = "0123456789";

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos;
}

// A decimal number as PostgreSQL writes it: no sign, no leading zero, not above `max`.
std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  if (!is_digits(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> parse_oid(std::string_view text) {
  const auto value = parse_number(text);
  return value && *value != 0 ? value : std::nullopt;
}

std::string_view file_name_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

// Takes the first component off the front of `path`.
std::string_view take_component(std::string_view& path) {
  const auto slash = path.find('/');
  const std::string_view first = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  return first;
}

struct ForkName {
  std::string_view name;
  Fork fork;
};
constexpr std::array kForks{ForkName{"fsm", Fork::kFreeSpaceMap},
                            ForkName{"vm", Fork::kVisibilityMap}, ForkName{"init", Fork::kInit}};

struct RelationFileName {
  std::uint32_t filenode;
  Fork fork;
  std::uint32_t number;
};

// "<filenode>", "<filenode>_<fork>", and either with ".<number>".
std::optional<RelationFileName> parse_relation_file_name(std::string_view name) {
  RelationFileName result{0, Fork::kMain, 0};
  if (const auto dot = name.find('.'); dot != std::string_view::npos) {
    const auto number = parse_oid(name.substr(dot + 1));  // ".0" does not exist
    if (!number) return std::nullopt;
    result.number = *number;
    name = name.substr(0, dot);
  }
  if (const auto underscore = name.find('_'); underscore != std::string_view::npos) {
    const auto* const fork =
        std::ranges::find(kForks, name.substr(underscore + 1), &ForkName::name);
    if (fork == kForks.end()) return std::nullopt;
    result.fork = fork->fork;
    name = name.substr(0, underscore);
  }
  const auto filenode = parse_oid(name);
  if (!filenode) return std::nullopt;
  result.filenode = *filenode;
  return result;
}

// "t<backend>_<filenode>" with fork and number like a relation's: a temporary relation.
bool is_temporary_relation(std::string_view name) {
  if (name.empty() || name[0] != 't') return false;
  const auto underscore = name.find('_');
  if (underscore == std::string_view::npos) return false;
  return is_digits(name.substr(1, underscore - 1)) &&
         parse_relation_file_name(name.substr(underscore + 1)).has_value();
}

// "PG_15_202209061": what a server of one major version keeps in a tablespace.
bool is_version_folder(std::string_view name) {
  constexpr std::string_view kPrefix = "PG_";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const auto underscore = name.find('_');
  return underscore != std::string_view::npos && is_digits(name.substr(0, underscore)) &&
         is_digits(name.substr(underscore + 1));
}

// "global", "base/<database>" or "pg_tblspc/<oid>/PG_<version>/<database>".
bool is_relation_folder(std::string_view folder) {
  const std::string_view first = take_component(folder);
  if (first == "global") return folder.empty();
  if (first == "base") return parse_oid(folder).has_value();
  if (first != "pg_tblspc") return false;
  return parse_oid(take_component(folder)) && is_version_folder(take_component(folder)) &&
         parse_oid(folder);
}

// Folders that are created empty by a restore: what they hold is of the running server only.
constexpr std::array<std::string_view, 8> kEmptyFolders{
    "pg_wal",    "pg_dynshmem",  "pg_notify",   "pg_replslot",
    "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"};
// Folders in pg_wal that must exist when the server starts (summaries: 17 and later; an older
// server never has one).
constexpr std::array<std::string_view, 2> kWalFolders{"pg_wal/archive_status", "pg_wal/summaries"};

// Files in the root of the data directory.
constexpr std::array<std::string_view, 11> kRootFiles{"postgresql.auto.conf.tmp",
                                                      "current_logfiles.tmp",
                                                      "backup_label",
                                                      "tablespace_map",
                                                      "backup_manifest",
                                                      "postmaster.pid",
                                                      "postmaster.opts",
                                                      "standby.signal",
                                                      "recovery.signal",
                                                      "promote",
                                                      "logrotate"};
constexpr std::string_view kMarkerPrefix = "holdfast.";

bool is_root_file_left_out(std::string_view name) {
  return std::ranges::find(kRootFiles, name) != kRootFiles.end() || name.starts_with(kMarkerPrefix);
}

// Left out wherever it lies: work files and sorting space, and the relation cache.
bool is_name_left_out(std::string_view name) {
  return name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init");
}

// A tablespace can hold folders of several major versions (pg_upgrade makes them).
bool is_foreign_in_tablespace(std::string_view path, TablespaceVersion version) {
  if (take_component(path) != "pg_tblspc") return false;
  if (!parse_oid(take_component(path)) || path.empty()) return false;
  return take_component(path) != to_string(version);
}

}  // namespace

std::optional<RelationFilePath> parse_relation_file(std::string_view path) {
  const std::string_view folder = folder_of(path);
  if (!is_relation_folder(folder)) return std::nullopt;
  const auto name = parse_relation_file_name(file_name_of(path));
  if (!name) return std::nullopt;
  return RelationFilePath{folder, name->filenode, name->fork, name->number};
}

std::string path_below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + '/' + name;
}

std::string to_string(Fork fork) {
  const auto* const found = std::ranges::find(kForks, fork, &ForkName::fork);
  return found == kForks.end() ? "main" : std::string(found->name);
}

std::string to_string(TablespaceVersion version) {
  return fmt::format("PG_{}_{}", version.major_version, version.catalog_version);
}

Carry carried_by_backup(std::string_view path, std::optional<TablespaceVersion> version) {
  if (version && is_foreign_in_tablespace(path, *version)) return Carry::kNo;
  for (const std::string_view folder : kWalFolders) {
    if (path == folder) return Carry::kEmptyFolder;
  }
  for (const std::string_view folder : kEmptyFolders) {
    if (path == folder) return Carry::kEmptyFolder;
    if (path.starts_with(folder) && path.substr(folder.size()).starts_with('/')) return Carry::kNo;
  }
  const std::string_view folder = folder_of(path);
  if (folder.empty() && is_root_file_left_out(path)) return Carry::kNo;
  // Every component: what lies in a folder that is left out is left out with it.
  for (std::string_view rest = path; !rest.empty();) {
    if (is_name_left_out(take_component(rest))) return Carry::kNo;
  }
  if (is_relation_folder(folder) && is_temporary_relation(file_name_of(path))) return Carry::kNo;
  return Carry::kYes;
}

}  // namespace holdfast
