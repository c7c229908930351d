#pragma once
// Goes through the records of one WAL segment, whatever wrote it.
//
// Source of the format: PostgreSQL access/xlog_internal.h (page headers, continuation of records
// over pages, overwritten records) and access/xlogrecord.h of versions 13 to 18, little-endian.
//
// It hands out a record only when all of it is here and its CRC is right, and when it names the
// record before it. It ends at a WAL switch, at the segment's end, where the WAL ends (zeros), or
// at the first thing that is not as it should be, and says which. Pages may carry an older
// timeline, up to where the segment's own begins. What belongs to a record that began before the
// segment, or that goes on behind it, is kept as `head` and `tail`: tail, heads of the next
// segments in order, put together, are that record, which counts when its CRC is right.
//
// Never throws for what is in the bytes, only what the source of pages throws. Memory: one record
// that lies on several pages, head and tail, each bounded by a constant. The source of the bytes
// must outlive the reader; one thread at a time.

#include <cstdint>
#include <functional>
#include <string>

#include "core/bytes.h"
#include "core/wal_position.h"
#include "postgres/wal_record.h"
#include "postgres/wal_segment.h"

namespace holdfast {

// Pieces of records over a segment's border up to this are kept: 33 images of blocks, and more.
inline constexpr std::size_t kMaxWalPieceBytes = std::size_t{1} << 20U;

enum class WalEnd : std::uint8_t {
  kOpen,        // not there yet
  kSegmentEnd,  // the segment is full; a record may go on in the next one
  kSwitch,      // a WAL switch: the rest means nothing
  kZeros,       // no complete record from `position` on, but zeros
  kInvalid,     // what is at `position` is no record; `reason` says why
};

// The front of a segment, as far as it belongs to a record that began before it.
struct WalHead {
  enum class State : std::uint8_t {
    kNone,         // the segment begins with a record
    kComplete,     // the record ends in this segment, at `end`
    kGoesOn,       // all of the segment is in the middle of the record
    kOverwritten,  // the record was never completed: the server crashed and wrote on behind it
  };
  State state = State::kNone;
  Bytes bytes;                // without page headers; empty when cut
  std::uint64_t size = 0;     // of `bytes`, had it not been cut
  std::uint64_t missing = 0;  // bytes of the record behind this segment, by its page headers
  Lsn end;                    // as WalRecord::end
};

// The end of a segment, as far as it belongs to a record that goes on in the next one.
struct WalTail {
  Lsn start;               // of the record; invalid when there is none
  Bytes bytes;             // empty when cut
  std::uint64_t size = 0;  // of `bytes`, had it not been cut
  std::uint64_t missing = 0;
};

// A segment that need not be in memory as a whole. It may lack zeros at its end.
struct WalSegmentSource {
  std::uint64_t bytes = 0;
  // The bytes from `offset`, a multiple of kWalPageBytes, to the page's end or the segment's. They
  // are asked for in order, and need to be valid until the next call.
  std::function<ByteView(std::uint64_t offset)> page;
};
WalSegmentSource in_memory(ByteView segment);  // which must outlive the result

class WalReader {
 public:
  WalReader(WalSegmentSource segment, SegmentName name, WalSegmentSize size);

  // The next record, valid until the next call; nullptr at the end.
  const WalRecord* next();

  int major_version() const { return major_version_; }  // 0 when it is no segment that is known
  WalEnd end() const { return end_; }
  Lsn position() const { return position_; }  // behind the last record
  const std::string& reason() const { return reason_; }
  // After the end was reached:
  const WalHead& head() const { return head_; }
  const WalTail& tail() const { return tail_; }

 private:
  struct Assembly;

  ByteView page_bytes(std::uint64_t offset);
  bool check_first_page(SegmentName name);
  bool open_page(std::uint64_t offset);
  std::string wrong_in_header(std::uint64_t offset) const;
  bool open_next_page();
  void read_head();
  void leave_head(std::size_t taken);
  bool begin_overwriting(Lsn overwritten);
  const WalRecord* read_record();
  const WalRecord* take(ByteView bytes, std::size_t next_at);
  const WalRecord* assemble(std::uint32_t length);
  const WalRecord* finish_assembly(Assembly& assembly);
  const WalRecord* finish(WalEnd end, std::string reason = {});
  const WalRecord* invalid(std::string reason) {
    return finish(WalEnd::kInvalid, std::move(reason));
  }
  bool follows_overwritten() const;

  std::uint16_t page_flags() const;
  std::uint32_t page_remaining() const;  // of the record that goes on at the page's front
  Lsn lsn_at(std::size_t at) const { return {start_.value + page_offset_ + at}; }

  WalSegmentSource segment_;
  WalSegmentSize size_;
  Lsn start_;
  TimelineId newest_;
  TimelineId lowest_{1};
  std::uint16_t magic_ = 0;
  int major_version_ = 0;
  Bytes last_page_;  // a page that the segment's bytes end in, filled up with zeros

  ByteView page_;
  std::uint64_t page_offset_ = 0;
  std::size_t at_ = 0;        // in the page
  Lsn previous_;              // start of the last record; invalid when unknown
  bool overwriting_ = false;  // the next record must say that it overwrites
  Lsn overwritten_;           // this one; invalid when unknown

  WalRecord record_;
  Bytes buffer_;
  WalEnd end_ = WalEnd::kOpen;
  Lsn position_;
  std::string reason_;
  WalHead head_;
  WalTail tail_;
};

}  // namespace holdfast
