#pragma once
// Where a restore writes: the data directory, its tablespaces, its WAL directory.
//
// A target is used only when it is absent, empty, or holds a restore of the same backup that did
// not finish. Such a directory is recognised by its marker, holdfast.restore, and by having no
// global/pg_control, which is always written last (invariant 7).
// A directory that goes on, or is brought up to date (--delta), keeps the places of tablespaces and
// WAL that it has, unless others are named. Every place is empty or the directory's own already,
// and never one of a server that runs elsewhere: files there are removed and overwritten.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "repository/backup_info.h"

namespace holdfast {

// In the data directory while a restore is under way; held with flock(2).
inline constexpr std::string_view kRestoreLock = "holdfast.restore.lock";

// Whether a directory that is in the way may be brought to the backup's content.
enum class Delta { kNo, kYes };

struct TargetOptions {
  std::filesystem::path data_directory;            // --to
  std::map<std::string, std::string> tablespaces;  // --tablespace OLD=NEW
  std::filesystem::path tablespaces_under;         // --tablespaces-under; <DIR>/<oid>
  std::filesystem::path wal_directory;             // --wal-dir; empty: inside
  Delta delta = Delta::kNo;                        // --delta
  std::filesystem::path live_data_directory = {};  // of the server that may run here; empty: none
  // The history whose line the restored server recovers along; nullopt: the backup's own.
  std::optional<HistoryName> history = {};
  std::string recovery = {};        // what the restored server will do, for the marker
  std::uint64_t wal_to_replay = 0;  // bytes of archived WAL that it will fetch
};

struct TablespaceTarget {
  std::uint32_t oid = 0;
  std::filesystem::path location;  // absolute
  std::uint64_t content_bytes = 0;
};

enum class TargetState {
  kFresh,   // nothing is there
  kResume,  // an unfinished restore of this backup
  kDelta,   // a data directory of the same cluster, to be rewritten where it differs
};

struct RestoreTarget {
  std::filesystem::path data_directory;
  std::filesystem::path wal_directory;  // empty: pg_wal is a folder of the data directory
  std::vector<TablespaceTarget> tablespaces;
  HistoryName history;
  std::string recovery;
  std::uint64_t wal_to_replay = 0;
  TargetState state = TargetState::kFresh;
};

// Where a data directory has its tablespaces and, outside of it, its WAL: its links; where an
// interrupted restore has removed them already, what its marker says.
struct PlacesInUse {
  std::map<std::string, std::filesystem::path> tablespaces;  // by oid
  std::filesystem::path wal;                                 // empty: inside
  bool has_tablespace_in(const std::filesystem::path& place) const;
};
PlacesInUse places_in(const std::filesystem::path& data_directory);

// Decides where everything goes and refuses (kRefused) a target that is in use, not empty, or that
// does not have room (kHost) for the backup. Changes nothing.
RestoreTarget examine_target(const BackupInfo& backup, const TargetOptions& options);

// WAL that is fetched stays in pg_wal until the next restartpoint has made it superfluous: of all
// that is replayed, at most this is asked for, twice PostgreSQL's default of max_wal_size. That is
// no bound: where restartpoints are rarer, or take long, it may be more.
inline constexpr std::uint64_t kReplayedWalKept = std::uint64_t{2} << 30U;

// What a restore into a fresh target and the recovery behind it write to each file system, and what
// is free there. By how much replay makes the data grow nobody knows: that is not in it.
struct SpaceNeed {
  std::filesystem::path path;  // on it, and exists
  std::uint64_t bytes = 0;     // with the WAL
  std::uint64_t wal_bytes = 0;
  std::uint64_t free = 0;
};
std::vector<SpaceNeed> space_needed(const RestoreTarget& target, const BackupInfo& backup);
// For people: where what is free beyond that may not do for the data that replay writes, or for WAL
// that stays for longer.
std::vector<std::string> growth_warnings(const std::vector<SpaceNeed>& space,
                                         std::uint64_t wal_to_replay);

// Makes the data directory and writes the marker durably.
void mark_target(const RestoreTarget& target, const BackupInfo& backup);

// Makes the places of tablespaces and WAL, and the links to them.
void make_places(const RestoreTarget& target);

}  // namespace holdfast
