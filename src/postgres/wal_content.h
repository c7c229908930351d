#pragma once
// What the records of some resource managers mean: ends of transactions, files that are created,
// cut and dropped, databases and tablespaces, checkpoints, restore points, ends of recovery.
//
// Source of the formats: PostgreSQL access/xact.h, access/xlog_internal.h, catalog/pg_control.h,
// catalog/storage_xlog.h, commands/dbcommands_xlog.h, commands/tablespace.h, utils/relmapper.h and
// storage/sinval.h of versions 13 to 18. Differences: kinds of database records (from 15 on),
// dropped statistics in transaction ends (from 15 on, larger from 18 on), wal_level in checkpoints
// and ends of recovery (from 17 on).
// Every length is checked. Throws nothing of its own. Safe from any thread.

#include <cstdint>
#include <optional>
#include <string>

#include "core/time.h"
#include "core/wal_position.h"
#include "postgres/wal_record.h"

namespace holdfast {

// Microseconds since 2000-01-01 UTC, as PostgreSQL writes them; what no Timestamp can hold gives
// the nearest that it can.
Timestamp from_postgres_time(std::int64_t microseconds);

// The end of a transaction. WAL does not tell the roll-back of a subtransaction from that of a
// transaction, and PostgreSQL's recovery targets do not either: both are here.
struct FinishedTransaction {
  enum class Outcome : std::uint8_t { kCommitted = 0, kAborted = 1 };
  enum class Kind : std::uint8_t { kOrdinary = 0, kPrepared = 1 };
  std::uint32_t xid = 0;  // of a prepared one, its own, not the session's that finished it
  Outcome outcome = Outcome::kCommitted;
  Kind kind = Kind::kOrdinary;
  Timestamp time;
  Lsn start;  // of the record: recovery_target_lsn is compared to this
  Lsn end;
  bool operator==(const FinishedTransaction&) const = default;
};

struct RestorePoint {
  std::string name;  // at most 63 bytes
  Timestamp time;
  Lsn start;
  Lsn end;  // what pg_create_restore_point() answers
  bool operator==(const RestorePoint&) const = default;
};

enum class WalLevel : std::uint8_t { kMinimal = 0, kReplica = 1, kLogical = 2 };

struct WalCheckpoint {
  enum class Kind : std::uint8_t { kOnline = 0, kShutdown = 1 };
  Lsn start;
  Lsn end;
  Lsn redo;
  TimelineId timeline;
  TimelineId previous_timeline;
  Kind kind = Kind::kOnline;
  bool full_page_writes = true;
  bool operator==(const WalCheckpoint&) const = default;
};

struct WalRecoveryEnd {
  Lsn start;
  Lsn end;
  Timestamp time;
  TimelineId timeline;
  TimelineId previous_timeline;
  bool operator==(const WalRecoveryEnd&) const = default;
};

// Something that happened to whole files; block references do not show it.
struct WalFileEvent {
  enum class Kind : std::uint8_t {
    kCreate = 1,             // `file`, `fork`
    kTruncate = 2,           // `file` to `blocks`, the forks in `truncated`
    kDrop = 3,               // `file`, all forks, at the end of a transaction
    kDatabaseCopied = 4,     // folder `file.database` in `file.tablespace`, from the source's
    kDatabaseCreated = 5,    // the same folder, its blocks are logged
    kDatabaseDropped = 6,    // the same folder
    kTablespaceCreated = 7,  // `file.tablespace` at `path`
    kTablespaceDropped = 8,  // `file.tablespace`
    kRelationMap = 9,        // the map in folder `file.database` of `file.tablespace`
  };
  static constexpr std::uint8_t kTruncatesMain = 0x01;
  static constexpr std::uint8_t kTruncatesVisibility = 0x02;
  static constexpr std::uint8_t kTruncatesFreeSpace = 0x04;

  Kind kind = Kind::kCreate;
  Lsn start;  // of the record
  RelationFile file;
  std::uint8_t fork = kMainFork;
  std::uint8_t truncated = 0;
  std::uint32_t blocks = 0;
  std::uint32_t source_database = 0;
  std::uint32_t source_tablespace = 0;
  std::string path;
  bool operator==(const WalFileEvent&) const = default;
};

// Is told what a record means. The functions may throw.
class WalContentSink {
 public:
  virtual ~WalContentSink() = default;
  virtual void transaction(const FinishedTransaction& finished) = 0;
  virtual void restore_point(RestorePoint point) = 0;
  virtual void checkpoint(const WalCheckpoint& checkpoint) = 0;
  virtual void recovery_end(const WalRecoveryEnd& end) = 0;
  virtual void file_event(WalFileEvent event) = 0;
  // A record says that, from it on, changes may be missing from WAL (wal_level = minimal).
  virtual void minimal_wal(Lsn start) = 0;
};

enum class WalContent : std::uint8_t {
  kUnderstood,      // also: a record that changes nothing but the blocks that it names
  kUnknownManager,  // an extension's
  kUndecodable,     // not laid out as this version's, or of an unknown kind
};
// Tells `sink` what `record` means. When the answer is not kUnderstood, it may have been told a
// part.
WalContent read_wal_content(const WalRecord& record, int major_version, WalContentSink& sink);

}  // namespace holdfast
