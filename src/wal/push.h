#pragma once
// archive-push: one WAL file into the repositories that hold WAL (invariant 4).
//
// Guarantees: push() returns only when every byte of the file is durable in the first repository,
//   and in as many as `acknowledge` says; no others are asked (wal/catch_up.h sees to them). The
//   same file again is fine; other content under its name is refused, and so is WAL of another
//   cluster, of a restored copy that did not take over, and of a server whose history was taken
//   over. A segment is refused, too, when the one before it is stored with other content than it
//   has in pg_wal (wal/look_back.h). Nothing is ever overwritten.
// Crashes, cancellation: whatever was stored stays, and PostgreSQL, which was told nothing, asks
//   again.
// Errors: kRefused, naming the way out; kDamage, kUsage (wal/local_wal.h); those of the store.
// Threads: push() from any number of threads, a file each. Memory: see wal/local_wal.h, per call.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "postgres/control_file.h"
#include "wal/archive.h"
#include "wal/local_wal.h"
#include "wal/push_spool.h"

namespace holdfast {

struct PushOptions {
  std::string cluster;
  std::string host;
  std::filesystem::path data_directory;  // that pg_wal lies in
  std::filesystem::path state_directory;
  std::size_t acknowledge = 1;  // in how many repositories; the first always counts
  CompressionChoice compression;
};

enum class PushOutcome {
  kStored,        // by this call
  kThereAlready,  // with the same content
  kRemembered,    // the spool says that it was stored ahead
  kDropped,       // never stored: more waits than the operator allows (wal/drop_ledger.h)
  kOwed,          // not stored yet, and PostgreSQL does not ask again
};

enum class AheadOutcome {
  kStored,
  kElsewhere,  // another process pushes it now
  kNotNeeded,  // remembered already, or gone, or not its turn
};

// How a file that is pushed ahead of PostgreSQL's asking fits in with those before it
// (wal/push_order.h).
struct PushTurn {
  std::function<bool()> wait;  // false: its turn will not come
  std::function<bool()> follows_stored;
};

struct PushReport {
  PushOutcome outcome = PushOutcome::kStored;
  WalIdentity identity;
  // Repositories that could not take it though they were asked, with the reason; the helper brings
  // them up to date, as it does with those that were not asked.
  std::vector<std::string> failed;
};

// The data directory of a path that PostgreSQL gave: the folder above pg_wal, by name, because
// pg_wal may be a symbolic link. kUsage when that is no data directory.
std::filesystem::path data_directory_of(const std::filesystem::path& wal_file);

// Writes what was dropped (wal/drop_ledger.h) into a repository that does not have it yet.
void record_dropped_wal(Archive& archive, std::size_t repository, const PushOptions& options,
                        const std::stop_token& stop);

class Pusher {
 public:
  // Reads the control file and the markers of the data directory.
  Pusher(Archive& archive, const PushOptions& options);

  // Answers from the spool, or waits for the helper that pushes the file now, or pushes it.
  // `before_waiting` is called once, when the spool has no answer.
  PushReport push(const std::filesystem::path& file, const std::function<void()>& before_waiting,
                  const std::stop_token& stop);
  // For the helper: pushes a file ahead and remembers it. Between reading and storing it waits for
  // its turn.
  AheadOutcome push_ahead(const std::filesystem::path& file, const PushTurn& turn,
                          const std::stop_token& stop);

 private:
  bool remembered(const WalIdentity& identity, const std::stop_token& stop);
  std::optional<PushEntry> entry_of(const WalIdentity& identity) const;
  bool is_fresh(const PushEntry& entry) const;
  bool still_has(std::size_t repository, const PushEntry& entry, const WalPlace& place,
                 const WalIdentity& identity, const std::stop_token& stop);
  void require_own_line(std::size_t repository, const WalIdentity& wal,
                        const std::stop_token& stop);
  PushReport look_back_and_store(LocalWal& wal, const std::stop_token& stop);
  HistoryName history_in(std::size_t repository, const std::stop_token& stop);
  PushReport store(const PackedWal& wal, std::vector<std::string>* stored_in,
                   const std::stop_token& stop);
  WalPut put(std::size_t repository, const PackedWal& wal, const std::stop_token& stop);
  [[noreturn]] void refuse_other_content(std::size_t repository, const WalPlace& place,
                                         const WalIdentity& wal) const;

  Archive& archive_;
  const PushOptions options_;
  ControlFile control_;
  std::optional<HistoryBinding> binding_;
  PushSpool spool_;
};

}  // namespace holdfast
