#pragma once
// What archive-push acknowledged without storing it, because more WAL waited than the operator
// allows (wal.drop_when_behind): <state directory>/wal/dropped.json. From there it goes into the
// repositories as soon as they can be written to (repository/dropped_wal.h).
//
// Dropped are segments. The other files of WAL, which are small and without which other WAL is of
// no use (timeline histories), are owed instead: acknowledged, and stored from pg_wal, where
// PostgreSQL keeps them, before any other file as soon as the repository takes it. Durability:
// drop() and owe() return when the entry survives a power cut: only then may PostgreSQL
//   be told that it can remove the file.
// Errors: kHost; kDamage when the file cannot be read: nothing is dropped then.
// Threads, processes: one after another, by a lock.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/time.h"
#include "core/wal_position.h"
#include "repository/dropped_wal.h"

namespace holdfast {

struct DropEntry {
  DroppedWal what;
  std::vector<std::string> recorded_in;  // repositories, by URL
};

class DropLedger {
 public:
  explicit DropLedger(const std::filesystem::path& state_directory);

  struct Drop {
    std::string segment;  // its name
    WalSegmentSize segment_size;
    std::string host, reason;
    Timestamp at;
  };
  // Goes on with the last entry where it follows that and is not recorded anywhere yet.
  void drop(const Drop& drop);
  void owe(const std::string& file);
  // A repository was tried, and what had to be stored could not be.
  void failed(Timestamp at);

  bool empty() const;  // cheap; nothing was ever dropped
  std::vector<DropEntry> entries() const;
  std::vector<std::string> owed() const;
  std::optional<Timestamp> last_failure() const;
  void paid(const std::string& file);
  void recorded(const DroppedWal& what, const std::string& repository_url);

 private:
  struct Content {
    std::vector<DropEntry> entries;
    std::vector<std::string> owed;
    std::string failed;  // when; empty: never
  };
  Content read() const;
  template <class Change>
  void change(Change change);

  std::filesystem::path path_;
};

// What is waiting in pg_wal, in bytes, and the most that may.
struct WalBacklog {
  std::uint64_t waiting = 0, allowed = 0;
  bool too_much() const { return allowed > 0 && waiting > allowed; }
};

}  // namespace holdfast
