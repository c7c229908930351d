#pragma once
// Proves that nothing is lost between the segments of one line of WAL, and decodes the records that
// lie across their borders, from the indexes alone.
//
// Throws nothing of its own. Memory: one record, up to kMaxDecodedWalRecordBytes. One thread at a
// time.

#include <cstdint>
#include <string>
#include <string_view>

#include "repository/wal_index.h"

namespace holdfast {

// What WalBorders says of the border in front of a segment.
struct WalBorder {
  enum class State : std::uint8_t {
    kFirst,     // nothing is known of what is before it
    kProven,    // all records up to the first of this segment are known
    kOpen,      // a record lies across all of this segment; the next one's border decides
    kUnproven,  // something is missing or does not fit; `reason` says what
  };
  State state = State::kFirst;
  std::string reason;
  // What the record that ended in this segment says, if there was one. Its summary's coverage is
  // incomplete when the record is not understood; the state is kProven then, too. It ends in a
  // switch when it is one that lies across the border: alone, its segment seems to end early.
  SegmentIndex record;
};

class WalBorders {
 public:
  // Indexes in the order of WAL, each of the segment that follows the one before. After a gap, or
  // when a border is not proven, it begins anew with `next`.
  WalBorder add(const SegmentIndex& next);

  // Start of the record that goes on behind the last segment; invalid when there is none.
  Lsn open_record() const { return open_start_; }

 private:
  WalBorder judge(const SegmentIndex& next);
  WalBorder judge_without_open(const SegmentIndex& next) const;
  WalBorder judge_open(const SegmentIndex& next);
  WalBorder join(const SegmentIndex& next);
  void append(ByteView piece, std::uint64_t size);
  void begin_with(const SegmentIndex& index);
  void go_on_with(const SegmentIndex& index);
  std::string why_not_next(const SegmentIndex& next) const;

  bool anchored_ = false;  // the last record's start is known
  Lsn expected_;           // where the next segment must start
  int major_version_ = 0;
  bool ended_early_ = false;
  Lsn last_record_;
  Lsn open_start_;
  Bytes open_;  // bytes of the record that goes on
  bool open_kept_ = false;
  std::uint64_t open_missing_ = 0;
};

// Adds what the record of a border says to the index of the segment that it ends in, in front.
void add_border_record(SegmentIndex& index, const SegmentIndex& record);

}  // namespace holdfast
