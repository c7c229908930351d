#pragma once
// Writes WAL as PostgreSQL would, record by record, for tests that need WAL of any version, split
// at any place, and damaged on purpose. It shares no code with what it tests, except CRC-32C.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "core/bytes.h"
#include "core/wal_position.h"
#include "postgres/crc32c.h"

namespace holdfast::test {

inline constexpr std::array<std::uint16_t, 6> kWalMagics{0xD106, 0xD10D, 0xD110,
                                                         0xD113, 0xD116, 0xD118};
inline constexpr std::uint64_t kMadeSystemIdentifier = 7'340'123'456'789'012'345;

struct MadeRecord {
  std::uint8_t manager = 10;
  std::uint8_t info = 0;
  std::uint32_t xid = 0;
  Bytes body = {};  // behind the record's header, ready made; see RecordBody
};

// What stands behind a record's header: fragment headers first, their data behind.
class RecordBody {
 public:
  RecordBody& block(std::uint8_t id, std::uint32_t tablespace, std::uint32_t database,
                    std::uint32_t relation, std::uint8_t fork, std::uint32_t number) {
    headers_.u8(id);
    headers_.u8(fork);
    headers_.u16(0);
    headers_.u32(tablespace);
    headers_.u32(database);
    headers_.u32(relation);
    headers_.u32(number);
    return *this;
  }
  RecordBody& main(ByteView data) {
    if (data.size() < 256) {
      headers_.u8(255);
      headers_.u8(static_cast<std::uint8_t>(data.size()));
    } else {
      headers_.u8(254);
      headers_.u32(static_cast<std::uint32_t>(data.size()));
    }
    data_.raw(data);
    return *this;
  }
  Encoder& headers() { return headers_; }
  Encoder& data() { return data_; }
  Bytes take() {
    headers_.raw(data_.view());
    return headers_.take();
  }

 private:
  Encoder headers_;
  Encoder data_;
};

class WalMaker {
 public:
  WalMaker(int major_version, WalSegmentSize size, Lsn start, TimelineId timeline = {1})
      : magic_(kWalMagics.at(static_cast<std::size_t>(major_version - 13))),
        size_(size),
        at_(start.value),
        timeline_(timeline) {}

  // Returns where the record starts.
  Lsn add(const MadeRecord& record) {
    Encoder out;
    out.u32(static_cast<std::uint32_t>(24 + record.body.size()));
    out.u32(record.xid);
    out.u64(previous_.value);
    out.u8(record.info);
    out.u8(record.manager);
    out.u16(0);
    out.u32(crc32c(out.view(), crc32c(record.body)));
    out.raw(record.body);
    Bytes bytes = out.take();
    begin_page_if_needed(0);
    const Lsn start{at_};
    write(bytes);
    at_ = (at_ + 7) / 8 * 8;
    last_ = previous_;
    previous_ = start;
    return start;
  }
  // The rest of the segment stays empty.
  Lsn add_switch() {
    const Lsn start = add({.manager = 0, .info = 0x40});
    skip_to_next_segment();
    return start;
  }
  void skip_to_next_segment() { at_ = (at_ + size_.bytes - 1) / size_.bytes * size_.bytes; }
  // The server crashed while it wrote the last record, of which only the pages up to `page_end` (in
  // WAL) are there; it goes on behind them.
  void break_last_record_off(Lsn page_end) {
    const Lsn broken = previous_;
    previous_ = last_;
    cut(page_end);
    flags_of_next_page_ = 0x0008;
    Encoder data;
    data.u64(broken.value);
    data.u64(0);
    add({.manager = 0, .info = 0xD0, .body = RecordBody().main(data.view()).take()});
  }
  // Bytes that are still free in the current page or segment.
  std::uint64_t left_in_page() const { return 8192 - at_ % 8192; }
  std::uint64_t left_in_segment() const { return size_.bytes - at_ % size_.bytes; }
  Lsn position() const { return {at_}; }
  void set_timeline(TimelineId timeline) { timeline_ = timeline; }
  void set_previous(Lsn previous) { previous_ = previous; }
  // A record of that many bytes, a multiple of 8 from 32 to 280, page headers not counted.
  Lsn add_filler(std::uint64_t length) {
    return add({.body = RecordBody().main(Bytes(length - 26, std::byte{7})).take()});
  }
  // Adds records until the segment has exactly `left` bytes, a multiple of 8.
  void fill_segment_up_to(std::uint64_t left) {
    const std::uint64_t end = at_ + left_in_segment() - left;
    while (at_ < end) {
      const std::uint64_t room = std::min(left_in_page(), end - at_);
      if (at_ % 8192 == 0) {
        add_filler(256);
      } else if (room <= 280) {
        add_filler(room);
      } else {
        add_filler(room - 256 >= 32 ? 256 : 128);
      }
    }
  }

  // The whole segment; zeros where nothing was written.
  Bytes segment(std::uint64_t number) const {
    Bytes bytes = written(number);
    bytes.resize(size_.bytes);
    return bytes;
  }
  // Its front, up to the last byte that was written.
  Bytes written(std::uint64_t number) const {
    const auto found = segments_.find(number);
    return found == segments_.end() ? Bytes() : found->second;
  }
  SegmentName name(std::uint64_t number) const { return {timeline_, number}; }

 private:
  void begin_page_if_needed(std::uint32_t left_of_record) {
    if (at_ % 8192 != 0) return;
    const bool first = at_ % size_.bytes == 0;
    std::uint16_t flags = flags_of_next_page_;
    flags_of_next_page_ = 0;
    if (left_of_record != 0) flags |= 0x0001;
    if (first) flags |= 0x0002;
    Encoder header;
    header.u16(magic_);
    header.u16(flags);
    header.u32(timeline_.value);
    header.u64(at_);
    header.u32(left_of_record);
    header.u32(0);
    if (first) {
      header.u64(kMadeSystemIdentifier);
      header.u32(size_.bytes);
      header.u32(8192);
    }
    put(header.view());
  }

  void put(ByteView bytes) {
    Bytes& segment = segments_[at_ / size_.bytes];
    segment.resize(std::max<std::size_t>(segment.size(), at_ % size_.bytes + bytes.size()));
    std::ranges::copy(bytes, segment.begin() + static_cast<std::ptrdiff_t>(at_ % size_.bytes));
    at_ += bytes.size();
  }

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const std::size_t here = std::min<std::size_t>(bytes.size(), left_in_page());
      put(bytes.first(here));
      bytes = bytes.subspan(here);
      if (!bytes.empty()) begin_page_if_needed(static_cast<std::uint32_t>(bytes.size()));
    }
  }

  void cut(Lsn end) {
    for (auto& [number, bytes] : segments_) {
      const std::uint64_t start = number * size_.bytes;
      const std::uint64_t kept = end.value > start ? end.value - start : 0;
      if (kept < bytes.size()) bytes.resize(kept);
    }
    at_ = end.value;
  }

  std::uint16_t magic_;
  WalSegmentSize size_;
  std::uint64_t at_;
  TimelineId timeline_;
  Lsn previous_;
  Lsn last_;
  std::uint16_t flags_of_next_page_ = 0;
  std::map<std::uint64_t, Bytes> segments_;
};

}  // namespace holdfast::test
