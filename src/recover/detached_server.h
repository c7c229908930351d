#pragma once
// PostgreSQL on a restored copy, cut off as a drill's (isolation.h), but readable while it is
// recovering or paused, and still there when holdfast has ended: it is found again by the
// postmaster.pid of its data directory.
//
// Guarantees: it runs in a session of its own, so that neither Ctrl-C nor the end of the terminal
//   reaches it. Only the user who runs it can connect, through a socket in `folder`, which belongs
//   to the caller and stays. Settings that must not be below those of the source are taken from
//   the copy's control file.
// Errors: kPostgres when it ends by itself, with what its log said last; kHost; kCancelled.
// Threads: one at a time.

#include <optional>
#include <stop_token>
#include <string>

#include "core/time.h"
#include "core/wal_position.h"
#include "recover/copy_start.h"

namespace holdfast {

// The postmaster that runs in `data_directory`, told by postmaster.pid and by the directory in that
// process's own command line: its number may be another process's by now, and this one is ended.
std::optional<pid_t> copy_postmaster(const std::filesystem::path& data_directory);

class DetachedServer {
 public:
  // Starts nothing.
  DetachedServer(CopyServerOptions options, std::filesystem::path folder);
  ~DetachedServer();  // the server goes on
  DetachedServer(const DetachedServer&) = delete;
  DetachedServer& operator=(const DetachedServer&) = delete;

  bool running();
  void start(CopyWal wal = CopyWal::kForgotten);
  // A clean stop, after which its files are consistent. Nothing when it does not run.
  void stop(const std::stop_token& stop);
  // An end without a checkpoint, for a copy that nobody needs any more.
  void kill(const std::stop_token& stop);

  struct Position {
    bool recovering = true;
    bool paused = false;
    bool awaits_wal = false;  // everything that the archive gave is replayed
    Lsn replayed;
    std::optional<Timestamp> last_transaction;
    // What replayed WAL wants is more than what it was started with: it goes no further before it
    // is started again.
    bool outgrown = false;
  };
  // nullopt: it does not answer, yet.
  std::optional<Position> position(const std::stop_token& stop);
  // As far as it is, while it does not answer; empty: not known.
  std::string segment();
  // The same of a server that this object started and that has ended for it (PostgreSQL 13).
  bool ended_outgrown() const;
  void pause_replay(const std::stop_token& stop);
  // Ends the recovery where it stands; the copy is then a server that writes, on a timeline of its
  // own. Returns when it is.
  void promote(const std::stop_token& stop);
  // Until it answers and does not recover any more; nothing when it does not run.
  void await_open(const std::stop_token& stop);
  [[noreturn]] void throw_ended();

  // As the first superuser, initdb's.
  std::string connection(const std::string& database, const std::stop_token& stop);

 private:
  pid_t pid();
  void end(int signal, const std::stop_token& stop);
  const std::string& superuser(const std::stop_token& stop);

  const CopyServerOptions options_;
  const std::filesystem::path folder_;
  std::string superuser_;
  std::string last_refusal_;
  StandbySettings started_with_;
  std::uintmax_t log_from_ = 0;  // what its log held before it was started
  std::optional<ChildProcess> child_;
};

}  // namespace holdfast
