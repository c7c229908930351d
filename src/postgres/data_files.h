#pragma once
// What a file inside a data directory is, told from its path alone, and whether a base backup
// carries it. The rules are those of PostgreSQL's own base backup (backup/basebackup.c,
// "excludeFiles", "excludeDirContents", and the documentation of the replication protocol's
// BASE_BACKUP), plus Holdfast's own marker files and, because a restore writes its own, the signal
// files.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

enum class Fork : std::uint8_t { kMain, kFreeSpaceMap, kVisibilityMap, kInit };

// One file of a relation: "base/16384/24576_fsm.1" → database path, relfilenode, fork, file number.
struct RelationFilePath {
  std::string_view folder;  // "base/16384", "global", "pg_tblspc/16500/PG_15_202209061/16384"
  std::uint32_t filenode = 0;
  Fork fork = Fork::kMain;
  std::uint32_t number = 0;  // 0 for the first GiB
};
// `path` is relative to the data directory, tablespaces as pg_tblspc/<oid>/...
std::optional<RelationFilePath> parse_relation_file(std::string_view path);
std::string to_string(Fork fork);
// Of what is in a folder, itself relative to the data directory ("" is that).
std::string path_below(const std::string& folder, const std::string& name);

enum class Carry {
  kYes,
  kNo,          // file or folder is left out altogether
  kEmptyFolder  // folder is kept, its content is not
};

// A tablespace can hold the folders of several major versions; a backup carries its own server's.
struct TablespaceVersion {
  int major_version = 0;              // 15
  std::uint32_t catalog_version = 0;  // 202209061, from the control file
};
std::string to_string(TablespaceVersion version);  // "PG_15_202209061"

// For a folder or a file at `path`, relative to the data directory. With `version`, whatever else
// lies in a tablespace is left out. Main forks of unlogged relations are not decided here: they are
// known only by the init fork beside them (every fork but init, and every file of it, is left out
// then).
Carry carried_by_backup(std::string_view path,
                        std::optional<TablespaceVersion> version = std::nullopt);

// Marker files of Holdfast in the root of a data directory; never backed up, nor is any other file
// there whose name begins with "holdfast.".
inline constexpr std::string_view kRestoreMarker = "holdfast.restore";
// Of a standby that a promotion made (app/new_standbys.h): of which recovery.
inline constexpr std::string_view kStandbyMark = "holdfast.standby-of";

}  // namespace holdfast
