#pragma once
// Page headers of WAL segments. Source: PostgreSQL access/xlog_internal.h (XLogPageHeaderData,
// XLogLongPageHeaderData) and the page magics of versions 13 to 18.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/wal_position.h"

namespace holdfast {

inline constexpr std::size_t kWalPageBytes = 8192;

struct WalSegmentHeader {
  std::uint16_t magic = 0;
  int major_version = 0;  // 13 ... 18, from the magic; 0 when it is unknown
  TimelineId timeline;
  Lsn address;
  std::uint64_t system_identifier = 0;
  WalSegmentSize segment_size;
};
// The long header at the front of a segment. nullopt when the bytes are not one.
std::optional<WalSegmentHeader> parse_wal_segment_header(ByteView first_page);

// Checks the header of every page of `segment` that begins before `end` (an LSN inside it or at
// its end): right magic, address, system identifier, and a timeline that neither goes back nor is
// above the segment's. Zeroed pages are right only after a record of a WAL switch, up to the end of
// the segment. Returns what is wrong, or nullopt. Records are not looked at: a changed byte inside
// one is not seen here. `segment` is the whole segment file, or its front up to `end`.
std::optional<std::string> check_wal_pages(ByteView segment, SegmentName name, WalSegmentSize size,
                                           std::uint64_t system_identifier, Lsn end);

// The segments that a backup from `start` to `stop` (behind `start`) needs, in order, and how many
// bytes at the front of each: all of it, but of the last one what lies before `stop`. More than
// kMaxCarriedSegments are kDamage: no backup runs that long.
inline constexpr std::uint64_t kMaxCarriedSegments = std::uint64_t{1} << 22U;
struct CarriedSegment {
  SegmentName name;
  std::uint64_t valid_bytes = 0;
};
std::vector<CarriedSegment> carried_segments(TimelineId timeline, Lsn start, Lsn stop,
                                             WalSegmentSize size);

}  // namespace holdfast
