#include "postgres/wal_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "postgres/crc32c.h"
#include "postgres/wal_page_layout.h"

namespace holdfast {
namespace {

constexpr std::uint8_t kOverwriteKind = 0xD0;

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + wal_page::kRecordAlignment - 1) / wal_page::kRecordAlignment *
         wal_page::kRecordAlignment;
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// Keeps a piece that is small enough; a larger one only by its size.
void keep(Bytes& kept, std::uint64_t& size, ByteView more) {
  size += more.size();
  if (size <= kMaxWalPieceBytes) {
    kept.insert(kept.end(), more.begin(), more.end());
  } else {
    kept = Bytes();
  }
}

}  // namespace

// A record that lies on several pages. Its bytes are kept up to kMaxDecodedWalRecordBytes; behind
// that only the CRC goes on.
struct WalReader::Assembly {
  Bytes& bytes;
  std::uint32_t length;
  Lsn start;
  std::uint64_t seen = 0;
  std::uint32_t body_crc = 0;

  std::uint64_t missing() const { return length - seen; }
  bool kept() const { return seen == bytes.size(); }
  void add(ByteView more) {
    if (kept() && seen + more.size() <= kMaxDecodedWalRecordBytes) {
      bytes.insert(bytes.end(), more.begin(), more.end());
    } else {
      if (kept()) body_crc = crc32c(ByteView(bytes).subspan(kWalRecordHeaderBytes));
      body_crc = crc32c(more, body_crc);
    }
    seen += more.size();
  }
  bool crc_matches() const {
    if (kept()) return has_valid_wal_crc(bytes);
    constexpr std::size_t kCrcAt = 20;
    return load_le<std::uint32_t>(bytes.data() + kCrcAt) ==
           crc32c(ByteView(bytes).first(kCrcAt), body_crc);
  }
};

WalSegmentSource in_memory(ByteView segment) {
  return {.bytes = segment.size(), .page = [segment](std::uint64_t offset) {
            return segment.subspan(offset, std::min(kWalPageBytes, segment.size() - offset));
          }};
}

WalReader::WalReader(WalSegmentSource segment, SegmentName name, WalSegmentSize size)
    : segment_(std::move(segment)),
      size_(size),
      start_(is_valid(size) ? start_of(name, size) : Lsn{}),
      newest_(name.timeline),
      position_(start_) {
  if (!is_valid(size) || segment_.bytes > size.bytes) {
    invalid(fmt::format("{} bytes are no segment of {} bytes", segment_.bytes, size.bytes));
    return;
  }
  if (check_first_page(name)) read_head();
}

ByteView WalReader::page_bytes(std::uint64_t offset) {
  if (offset >= segment_.bytes) return {};
  const ByteView page = segment_.page(offset);
  if (page.size() == kWalPageBytes) return page;
  last_page_.assign(page.begin(), page.end());
  last_page_.resize(kWalPageBytes);
  return last_page_;
}

std::uint16_t WalReader::page_flags() const {
  return load_le<std::uint16_t>(page_.data() + wal_page::kFlagsAt);
}

std::uint32_t WalReader::page_remaining() const {
  return load_le<std::uint32_t>(page_.data() + wal_page::kRemainingAt);
}

bool WalReader::check_first_page(SegmentName name) {
  const ByteView page = page_bytes(0);
  if (page.empty()) {
    finish(WalEnd::kZeros);
    return false;
  }
  const auto header = parse_wal_segment_header(page);
  if (!header) {
    finish(is_zero(page.first(wal_page::kLongHeaderBytes)) ? WalEnd::kZeros : WalEnd::kInvalid,
           "no segment header");
    return false;
  }
  if (header->major_version == 0 || header->segment_size != size_) {
    invalid(fmt::format("a segment of {} bytes with the unknown magic {:04X}",
                        header->segment_size.bytes, header->magic));
    if (header->major_version != 0) {
      reason_ =
          fmt::format("a segment of {} bytes, not {}", header->segment_size.bytes, size_.bytes);
    }
    return false;
  }
  magic_ = header->magic;
  if (!open_page(0)) return false;
  major_version_ = header->major_version;
  newest_ = name.timeline;
  return true;
}

// Empty when the page's header is right.
std::string WalReader::wrong_in_header(std::uint64_t offset) const {
  const auto magic = load_le<std::uint16_t>(page_.data());
  const TimelineId timeline{load_le<std::uint32_t>(page_.data() + wal_page::kTimelineAt)};
  const Lsn address{load_le<std::uint64_t>(page_.data() + wal_page::kAddressAt)};
  if (magic != magic_) return fmt::format("magic {:04X} instead of {:04X}", magic, magic_);
  if ((page_flags() & ~wal_page::kFlagsKnown) != 0)
    return fmt::format("unknown flags {:04X}", page_flags());
  if (((page_flags() & wal_page::kFlagLongHeader) != 0) != (offset == 0))
    return "long and short header mixed";
  if (address.value != start_.value + offset) {
    return fmt::format("address {} in its header", to_string(address));
  }
  if (timeline < lowest_ || timeline > newest_) {
    return fmt::format("timeline {} where {} to {} are possible", timeline.value, lowest_.value,
                       newest_.value);
  }
  return {};
}

// Makes the page at `offset` the current one, or ends.
bool WalReader::open_page(std::uint64_t offset) {
  page_ = page_bytes(offset);
  page_offset_ = offset;
  if (page_.empty() || is_zero(page_.first(wal_page::kShortHeaderBytes))) {
    finish(WalEnd::kZeros);
    return false;
  }
  if (const std::string wrong = wrong_in_header(offset); !wrong.empty()) {
    invalid(fmt::format("WAL page {}: {}", to_string(Lsn{start_.value + offset}), wrong));
    return false;
  }
  lowest_ = {load_le<std::uint32_t>(page_.data() + wal_page::kTimelineAt)};
  at_ = offset == 0 ? wal_page::kLongHeaderBytes : wal_page::kShortHeaderBytes;
  return true;
}

bool WalReader::open_next_page() {
  return open_page(page_offset_ + kWalPageBytes);
}

// The record that the current page's front would continue was never completed.
bool WalReader::begin_overwriting(Lsn overwritten) {
  if ((page_flags() & wal_page::kFlagOverwrites) == 0) return false;
  if (overwriting_) invalid("a record that overwrites another was overwritten");
  overwriting_ = true;
  overwritten_ = overwritten;
  return true;
}

void WalReader::read_head() {
  if (begin_overwriting({})) head_.state = WalHead::State::kOverwritten;
  if (overwriting_ || (page_flags() & wal_page::kFlagContinues) == 0) {
    position_ = lsn_at(at_);
    return;
  }
  std::uint64_t left = page_remaining();
  for (;;) {
    const std::size_t here = std::min<std::uint64_t>(left, kWalPageBytes - at_);
    keep(head_.bytes, head_.size, page_.subspan(at_, here));
    left -= here;
    if (left == 0) return leave_head(here);
    if (page_offset_ + kWalPageBytes == size_.bytes) {
      head_.state = WalHead::State::kGoesOn;
      head_.missing = left;
      position_ = {start_.value + size_.bytes};
      finish(WalEnd::kSegmentEnd);
      return;
    }
    if (!open_next_page()) return;
    if (begin_overwriting({})) {
      head_.state = WalHead::State::kOverwritten;
      position_ = lsn_at(at_);
      return;
    }
    if ((page_flags() & wal_page::kFlagContinues) == 0 || page_remaining() != left) {
      invalid(fmt::format("WAL page {} does not go on with the record before it",
                          to_string(lsn_at(0))));
      return;
    }
  }
}

void WalReader::leave_head(std::size_t taken) {
  at_ += aligned(taken);
  head_.state = WalHead::State::kComplete;
  head_.end = lsn_at(at_);
  position_ = head_.end;
}

const WalRecord* WalReader::finish(WalEnd end, std::string reason) {
  end_ = end;
  reason_ = std::move(reason);
  return nullptr;
}

const WalRecord* WalReader::next() {
  while (end_ == WalEnd::kOpen) {
    if (const WalRecord* const record = read_record()) return record;
  }
  return nullptr;
}

// nullptr at the end, and when the record was never completed: then the next one is to be read.
const WalRecord* WalReader::read_record() {
  if (at_ >= kWalPageBytes) {
    if (page_offset_ + kWalPageBytes == size_.bytes) return finish(WalEnd::kSegmentEnd);
    if (!open_next_page()) return nullptr;
    if ((page_flags() & (wal_page::kFlagContinues | wal_page::kFlagOverwrites)) != 0) {
      return invalid(fmt::format("WAL page {} goes on with a record where none was begun",
                                 to_string(lsn_at(0))));
    }
  }
  // Records begin at multiples of 8, and so do page ends: the length is always on this page.
  const auto length = load_le<std::uint32_t>(page_.data() + at_);
  if (length == 0) return finish(WalEnd::kZeros);
  if (length < kWalRecordHeaderBytes) {
    return invalid(fmt::format("a record of {} bytes", length));
  }
  if (length > kWalPageBytes - at_) return assemble(length);
  const ByteView bytes = page_.subspan(at_, length);
  record_.start = lsn_at(at_);
  if (!has_valid_wal_crc(bytes)) return invalid("a record with a wrong CRC");
  return take(bytes, at_ + aligned(length));
}

const WalRecord* WalReader::assemble(std::uint32_t length) {
  buffer_.clear();
  Assembly assembly{.bytes = buffer_, .length = length, .start = lsn_at(at_)};
  assembly.add(page_.subspan(at_));
  while (assembly.missing() > 0) {
    if (page_offset_ + kWalPageBytes == size_.bytes) {
      tail_ = {.start = assembly.start, .size = assembly.seen, .missing = assembly.missing()};
      if (tail_.size <= kMaxWalPieceBytes) tail_.bytes = buffer_;
      return finish(WalEnd::kSegmentEnd);
    }
    if (!open_next_page()) return nullptr;
    if (begin_overwriting(assembly.start)) return nullptr;
    if ((page_flags() & wal_page::kFlagContinues) == 0 || page_remaining() != assembly.missing()) {
      return invalid(fmt::format("WAL page {} does not go on with the record before it",
                                 to_string(lsn_at(0))));
    }
    const std::size_t here = std::min<std::uint64_t>(assembly.missing(), kWalPageBytes - at_);
    assembly.add(page_.subspan(at_, here));
    at_ += aligned(here);
  }
  return finish_assembly(assembly);
}

const WalRecord* WalReader::finish_assembly(Assembly& assembly) {
  if (!assembly.crc_matches()) return invalid("a record with a wrong CRC");
  record_.start = assembly.start;
  if (assembly.kept()) return take(buffer_, at_);
  decode_wal_record_header(buffer_, record_);
  return take({}, at_);
}

// Whether `record_` is what must stand behind a record that was never completed.
bool WalReader::follows_overwritten() const {
  if (!record_.is(WalManager::kXlog) || record_.kind() != kOverwriteKind) return false;
  if (record_.main_data.size() < sizeof(std::uint64_t)) return false;
  const Lsn named{load_le<std::uint64_t>(record_.main_data.data())};
  return overwritten_.valid() ? named == overwritten_ : named < start_;
}

// `bytes` is a whole record with a right CRC; empty when it was too large to keep.
const WalRecord* WalReader::take(ByteView bytes, std::size_t next_at) {
  if (!bytes.empty()) decode_wal_record(bytes, major_version_, record_);
  if (previous_.valid() ? record_.previous != previous_ : record_.previous >= record_.start) {
    return invalid(fmt::format("a record that follows {}", to_string(record_.previous)));
  }
  if (overwriting_ && !follows_overwritten()) {
    return invalid("no word of the record that was overwritten");
  }
  overwriting_ = false;
  at_ = next_at;
  previous_ = record_.start;
  record_.end = lsn_at(at_);
  if (is_wal_switch(record_)) {
    record_.end = {start_.value + size_.bytes};
    end_ = WalEnd::kSwitch;
  }
  position_ = record_.end;
  return &record_;
}

}  // namespace holdfast
