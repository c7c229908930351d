#pragma once
// Roll-ups: what the heads of up to 256 consecutive segments say, in one object, so that a look at
// many segments costs few requests. Format: docs/repository-format.md, "Roll-ups".
//
// A group is the segments of one log with equal number / 256; a smaller log is one group. A roll-up
// is written once every segment of its group is stored, create-only, by write_due_rollups(); it
// holds nothing that the segments do not say, and can be made anew from them.
//
// A summary in a roll-up is `joined` where the record that lies across the border in front of its
// segment was decoded, too, and is counted in it.
//
// Trust: a roll-up never says that a segment is stored; the listing does.
// Errors: those of the store; kDamage for an unreadable roll-up. Threads: any; plain data.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/repository.h"
#include "repository/wal_index.h"
#include "repository/wal_listing.h"
#include "repository/wal_path.h"

namespace holdfast {

inline constexpr std::uint64_t kRollUpSegments = 256;

struct SegmentFacts {
  std::optional<SegmentSummary> summary;  // nullopt: the segment has none
  bool joined = false;
};

struct RolledUpSegment {
  Checksum128 content{};  // wal_content_hash() of the segment
  SegmentFacts facts;
};
struct WalRollUp {
  std::uint64_t first = 0;  // segment number
  std::vector<RolledUpSegment> segments;
};

// The group that a segment is in; segment 0 does not exist.
SegmentRange rollup_group(std::uint64_t number, WalSegmentSize size);

namespace names {
std::string rollup(const WalPlace& place, SegmentName any_of_group, WalSegmentSize size);
}

Bytes encode_rollup(const std::string& object, WalSegmentSize size, const WalRollUp& rollup);
WalRollUp decode_rollup(ByteView plain, const std::string& object, WalSegmentSize size);

// nullopt: there is none.
std::optional<WalRollUp> read_rollup(const Repository& repository, const WalPlace& place,
                                     SegmentName any_of_group, WalSegmentSize size,
                                     const std::stop_token& stop);

// Writes what is due and not there yet, the newest first, at most `limit`; returns how many. A
// group with a damaged segment is passed over.
std::size_t write_due_rollups(const Repository& repository, const WalListing& listing,
                              std::size_t limit, const std::stop_token& stop);

}  // namespace holdfast
