#pragma once
// The JSON inside of small records, apart from the store that they lie in: what tombstone.h, hold.h
// and wal_mark.h read with, and what is fuzzed.
// Errors: a record of another place, or one that is malformed, is Error(kDamage). Threads: any;
// pure functions.

#include <cstdint>
#include <string>

#include "core/bytes.h"
#include "repository/hold.h"
#include "repository/segment_ranges.h"
#include "repository/tombstone.h"

namespace holdfast {

Tombstone parse_tombstone(ByteView plain, const BackupName& backup, std::uint32_t number);
Hold parse_hold(ByteView plain, const BackupName& backup, std::uint32_t number);
// `object`: the name of the mark.
SegmentRanges parse_wal_mark(ByteView plain, const std::string& object);

}  // namespace holdfast
