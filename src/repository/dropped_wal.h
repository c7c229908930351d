#pragma once
// Records of WAL that was dropped without being stored, to protect a server's disk, because its
// operator had set a limit for that (wal.drop_when_behind). Nothing between the backup before and
// the end of the next one can be recovered beyond the first dropped segment.
//
// Record, create-only: <cluster>/<history>/dropped/<first segment>-<last segment>. It informs: that
// the segments are missing is told by the archive itself.
// Errors: those of the store; kDamage for a record that cannot be read. Threads: any; plain data.

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "repository/repository.h"
#include "repository/wal_file.h"

namespace holdfast {

// Consecutive segments of one timeline.
struct DroppedWal {
  std::string first, last;  // names of segments
  std::uint64_t segments = 0;
  std::string from, to;  // when the first and the last were dropped; RFC 3339
  std::string host;
  std::string reason;  // why they could not be stored
};

namespace names {
std::string dropped_wal_prefix(const WalPlace& place);
std::string dropped_wal(const WalPlace& place, const DroppedWal& dropped);
}  // namespace names

void write_dropped_wal(const Repository& repository, const WalPlace& place,
                       const DroppedWal& dropped, const std::stop_token& stop);
// By first segment. At most kMaxDroppedListed, the newest.
inline constexpr std::size_t kMaxDroppedListed = 1000;
std::vector<DroppedWal> list_dropped_wal(const Repository& repository, const WalPlace& place,
                                         const std::stop_token& stop);
DroppedWal parse_dropped_wal(ByteView json, std::string_view name);

// "000000010000000000000004-000000010000000000000009 (6 segments), 2026-… on db1".
std::string describe(const DroppedWal& dropped);

}  // namespace holdfast
