#pragma once
// Where transactions and restore points lie in archived WAL, from summaries and indexes.
//
// Records across the border of two segments are looked at, too: in roll-ups they are counted, else
// the indexes on both sides are joined, of at most kMaxJoinedSegments segments. What could not be
// looked at is counted, so that nobody takes "not found" for "not there".
// Errors: those of the store. Threads: any. Memory: some indexes at a time.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/progress.h"
#include "postgres/wal_content.h"
#include "repository/repository.h"
#include "repository/wal_path.h"

namespace holdfast {

inline constexpr std::size_t kMaxJoinedSegments = 512;
inline constexpr std::size_t kMaxOccurrences = 10;

struct TargetOccurrence {
  Lsn start;  // of the record
  Lsn end;
  Timestamp time;
  FinishedTransaction::Outcome outcome = FinishedTransaction::Outcome::kCommitted;  // of one
};

struct TargetSearch {
  std::vector<TargetOccurrence> found;  // by LSN, at most kMaxOccurrences
  std::uint64_t unchecked = 0;          // segments of which not everything is known
  std::uint64_t first_unchecked = 0;    // number of the first of them
  std::vector<std::string> nearest;     // what there is instead, for people
};

// Searches stored segments: ascending ranges, each without a gap.
struct SearchSpace {
  const Repository& repository;
  const WalPath& path;
  std::vector<SegmentRange> ranges;
};
TargetSearch find_transaction(const SearchSpace& space, std::uint32_t xid,
                              const std::stop_token& stop);
TargetSearch find_restore_point(const SearchSpace& space, const std::string& name,
                                const std::stop_token& stop);

// Tablespaces that the WAL makes: replay makes them too, in the places that WAL names. Reads
// summaries, and the index of each segment that makes one or whose summary is not in a roll-up,
// however many: replaying one takes longer. `progress` is told of the indexes.
struct TablespaceSearch {
  std::vector<std::string> locations;  // of those outside of the data directory
  std::uint64_t unchecked = 0;         // segments of which not everything is known
  std::optional<Error> damage;         // of the first of them, when that is why
};
// From `begin` on, until `end` or the first transaction that finished after `time`.
struct ReplayRange {
  Lsn begin;
  Lsn end;
  std::optional<Timestamp> time = {};
};
TablespaceSearch find_new_tablespaces(const SearchSpace& space, const ReplayRange& replayed,
                                      Progress& progress, const std::stop_token& stop);

}  // namespace holdfast
