#pragma once
// The facts about a backup, as its manifest and its commit record carry them (JSON), and as `list`
// and `show` print them. Unknown fields are ignored by readers; fields are only ever added.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "core/wal_position.h"
#include "repository/names.h"

namespace holdfast {

struct FileOwner {
  std::uint32_t uid = 0, gid = 0;
  std::string user, group;
  auto operator<=>(const FileOwner&) const = default;
};

struct BackupTablespace {
  std::uint32_t oid = 0;
  std::string name;
  std::string location;             // empty: inside the data directory
  std::uint64_t content_bytes = 0;  // as BackupInfo::content_bytes, of its files
};

// A page whose checksum did not match when it was read.
struct BadPage {
  std::string path;
  std::uint64_t block = 0;  // within the file
};

// How an incremental backup came about.
struct IncrementalFacts {
  BackupName parent;          // the backup that it took unchanged blocks from
  std::string source;         // how changes were told: "wal summaries", "wal index" or "comparison"
  std::string source_reason;  // why not by a cheaper one; may be empty
  std::uint64_t read_bytes = 0;       // of the cluster's files
  std::uint64_t changed_bytes = 0;    // of those, what was not as in the parent
  std::uint64_t refreshed_bytes = 0;  // written again although it had not changed
};

// Where a copied backup was taken over from.
struct CopyFacts {
  std::string repository_id;  // hexadecimal
  std::string repository;     // what the configuration called it
  std::string time;           // RFC 3339, by the copier's clock
};

// Of a safety backup: it holds a recovered copy as it stood at its target, and nothing behind that.
// Its stop is the end of what the copy had replayed, its upper bound: no recovery from it goes
// beyond, whatever WAL is archived.
struct RecoveredFacts {
  std::string recovery;                       // its name
  BackupName backup;                          // that the copy was restored from
  std::string target;                         // for people: "2026-11-22T13:59:59Z"
  std::optional<Timestamp> last_transaction;  // the last that is in it, where that is known
};

struct BackupInfo {
  BackupName name;    // cluster, history, id
  std::string label;  // --name; may be empty
  std::string reason;
  std::map<std::string, std::string> annotations;
  std::string type = "full";  // or "incr": some of its packs were written by older backups
  bool standalone = true;     // carries the WAL for its own consistency
  bool from_standby = false;
  std::string host;  // where the backup was taken
  std::string holdfast_version;

  int postgres_version_num = 0;
  std::uint32_t catalog_version = 0;
  TimelineId timeline;
  Lsn start_lsn, stop_lsn;
  Timestamp start_time, stop_time;  // by the server's clock
  double duration_seconds = 0;
  std::string data_directory;
  std::uint32_t data_directory_mode = 0700;
  std::uint32_t data_directory_owner = 0;  // index in owners
  std::string wal_directory;               // where pg_wal pointed to, if it was a symbolic link
  WalSegmentSize wal_segment_size;
  std::uint32_t relation_segment_blocks = 131072;
  bool data_checksums = false;
  std::vector<BackupTablespace> tablespaces;
  // Where tablespaces were made while it ran: they are in its WAL alone, and replay makes them
  // there.
  std::vector<std::string> tablespaces_made;
  // Configuration from outside the data directory: name in the backup → where it was.
  std::map<std::string, std::string> external_config;
  std::vector<FileOwner> owners;

  std::uint64_t files = 0;
  std::uint64_t data_bytes = 0;  // of all files, as they were read
  std::uint64_t content_bytes =
      0;                           // of data_bytes, what is not chunks of zeros: the room they need
  std::uint64_t stored_bytes = 0;  // packs that this backup wrote
  std::uint64_t pack_count = 0;
  // Name of the key that its block hashes were made with (PageHasher::key_name): only under the
  // same one can the hashes of two backups be compared.
  std::string page_hash_key;
  std::optional<IncrementalFacts> incremental;  // of type "incr"
  std::optional<CopyFacts> copied_from;
  std::optional<RecoveredFacts> recovered;  // of a safety backup
  std::string compression;
  std::string encryption;  // "none" or "aes-256-gcm"

  // At most kMaxBadPages are named; the counts are complete.
  std::uint64_t damaged_pages = 0;
  std::vector<BadPage> damaged;
  std::uint64_t excused_pages = 0;  // torn while they were read; the backup's WAL mends them
  std::vector<BadPage> excused;
};
inline constexpr std::size_t kMaxBadPages = 1000;

std::string to_json(const BackupInfo& info);
// Throws Error(kDamage) when it is not what to_json wrote.
BackupInfo parse_backup_info(std::string_view json);

}  // namespace holdfast
