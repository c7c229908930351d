#pragma once
// One libpq session with a PostgreSQL server, 13 to 18, primary or standby.
//
// On connecting it sets application_name to "holdfast", switches off statement_timeout,
// lock_timeout, idle_in_transaction_session_timeout and idle_session_timeout for itself, sets a
// safe search_path, and refuses (kRefused) a connection through a pooler: the backend that the
// other side announced must be the one that statements run in.
// The stop token of connect() holds for every call: a running statement is cancelled on the server,
// and the call ends with kCancelled within about a second. When the session ends, however it does,
// the server ends backup mode, drops the temporary slot and releases the locks.
// Errors: kPostgres, with SQLSTATE and a hint; kConfiguration for a connection string that cannot
// be parsed; kRefused for a server before 13. Passwords are never shown. Threads: one at a time.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "core/wal_position.h"

namespace holdfast {

struct ServerInfo {
  int version_num = 0;  // 150018
  std::string version;  // "15.18 (Debian …)"
  std::uint64_t system_identifier = 0;
  TimelineId timeline;       // of the running server
  bool in_recovery = false;  // a standby
  bool data_checksums = false;
  std::string data_directory;  // as the server names it; empty when the role may not see it
  std::string config_file, hba_file, ident_file;
  std::string wal_level;
  WalSegmentSize wal_segment_size;
  std::uint32_t block_size = 0;
  std::string user;
};

struct TablespaceInfo {
  std::uint32_t oid = 0;
  std::string name;
  std::string location;  // empty for an in-place tablespace
};

struct BackupStart {
  Lsn lsn;
  TimelineId timeline;    // of the checkpoint that the backup starts from
  Timestamp server_time;  // after the start
};

struct BackupStop {
  Lsn lsn;
  std::string backup_label;
  std::string tablespace_map;  // may be empty
  Timestamp server_time;       // after the end
};

class Session {
 public:
  // `connection` is a libpq connection string or URI.
  static Session connect(const std::string& connection, const std::stop_token& stop);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  using Row = std::vector<std::optional<std::string>>;
  std::vector<Row> query(const std::string& sql, const std::vector<std::string>& parameters = {});

  const ServerInfo& server() const;  // as it was when the session connected
  bool in_recovery();                // asked afresh
  TimelineId timeline();             // asked afresh
  Timestamp server_time();
  Lsn insert_position();   // on a standby: the end of replay
  Lsn flushed_position();  // WAL on disk up to here; on a standby: received
  std::vector<TablespaceInfo> tablespaces();

  // Session-level advisory lock; false when another session holds it. `holder` then describes it
  // (application, host, since when) where the role may see that. PostgreSQL's advisory locks are
  // those of one database: sessions in two databases do not see each other's.
  bool try_lock(std::int64_t key, std::string& holder);

  // A temporary physical replication slot that keeps WAL from the last checkpoint's start on (so
  // from before the start of a backup that is started afterwards), until the session ends.
  void reserve_wal(const std::string& slot_name);

  // Backup mode lasts until stop_backup() or the end of the session, however it ends.
  enum class Checkpoint { kFast, kSpread };
  BackupStart start_backup(const std::string& label, Checkpoint checkpoint);
  // Does not wait for the server's archiver.
  BackupStop stop_backup();

  // Switches to the next WAL segment on a primary, if anything was written to the current one.
  // Every byte of WAL before the returned position is in finished segments then, the last of which
  // is the one of (position - 1). On a standby it fails with SQLSTATE 55000.
  Lsn switch_wal();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
