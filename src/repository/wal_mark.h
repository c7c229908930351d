#pragma once
// Marks of WAL: which segments of a history are going to be removed, or were.
//
// They are a series of numbered, create-only records, <history>/wal-mark/NNNN, which hold ranges of
// segment numbers for all timelines of the history. Each record has everything that an earlier one
// has, so the highest tells all, and older ones can be removed.
//
// Against whoever relies on stored WAL that no committed backup needs yet (a copy that carries a
// backup's WAL along): it writes its begin record, then asks wal_is_going() for the segments it
// needs, and does not rely on them when they are. Who removes writes the mark, waits for the grace
// period, and then removes nothing while a backup is undecided that began before the mark; it also
// never removes an object that is younger than the mark, by the store's clock.
// Errors: those of the store; kDamage for a record that cannot be read. Threads: any; plain data.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/repository.h"
#include "repository/segment_ranges.h"
#include "repository/wal_file.h"

namespace holdfast {

namespace names {
std::string wal_marks_prefix(const WalPlace& place);                // "…/wal-mark/"
std::string wal_mark(const WalPlace& place, std::uint32_t number);  // "…/wal-mark/0001"
}  // namespace names

struct WalMarkName {
  std::uint32_t number = 0;
  Timestamp written;  // by the store's clock
};
// Ascending.
std::vector<WalMarkName> list_wal_marks(const Repository& repository, const WalPlace& place,
                                        const std::stop_token& stop);
SegmentRanges read_wal_mark(const Repository& repository, const WalPlace& place,
                            std::uint32_t number, const std::stop_token& stop);
// False when somebody else wrote that number first.
bool write_wal_mark(const Repository& repository, const WalPlace& place, std::uint32_t number,
                    const SegmentRanges& ranges, const std::stop_token& stop);

// What the newest mark names.
SegmentRanges going_wal(const Repository& repository, const WalPlace& place,
                        const std::stop_token& stop);
// Whether any segment of the range is marked; also when the mark cannot be read.
bool wal_is_going(const Repository& repository, const WalPlace& place, SegmentRange segments,
                  const std::stop_token& stop);

}  // namespace holdfast
