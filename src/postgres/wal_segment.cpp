#include "postgres/wal_segment.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/error.h"
#include "postgres/crc32c.h"
#include "postgres/wal_page_layout.h"

namespace holdfast {
namespace {

struct Magic {
  std::uint16_t magic;
  int major_version;
};
constexpr std::array kMagics{Magic{0xD106, 13}, Magic{0xD10D, 14}, Magic{0xD110, 15},
                             Magic{0xD113, 16}, Magic{0xD116, 17}, Magic{0xD118, 18}};

int major_version_of(std::uint16_t magic) {
  const auto* const found = std::ranges::find(kMagics, magic, &Magic::magic);
  return found == kMagics.end() ? 0 : found->major_version;
}

struct PageHeader {
  std::uint16_t magic;
  std::uint16_t flags;
  TimelineId timeline;
  Lsn address;
};
PageHeader read_page_header(ByteView page) {
  return {load_le<std::uint16_t>(page.data()),
          load_le<std::uint16_t>(page.data() + wal_page::kFlagsAt),
          {load_le<std::uint32_t>(page.data() + wal_page::kTimelineAt)},
          {load_le<std::uint64_t>(page.data() + wal_page::kAddressAt)}};
}

std::string at_page(Lsn address, std::string_view what) {
  return fmt::format("WAL page {}: {}", to_string(address), what);
}

// What is wrong with a page other than what only the first page has.
std::optional<std::string> check_page_header(const PageHeader& header, std::uint16_t magic,
                                             TimelineId newest, Lsn expected) {
  if (header.magic != magic) {
    return at_page(expected, fmt::format("magic {:04X} instead of {:04X}", header.magic, magic));
  }
  if ((header.flags & ~wal_page::kFlagsKnown) != 0) {
    return at_page(expected, fmt::format("unknown flags {:04X}", header.flags));
  }
  if (header.address != expected) {
    return at_page(expected, fmt::format("address {} in its header", to_string(header.address)));
  }
  if (header.timeline.value == 0 || header.timeline > newest) {
    return at_page(expected, fmt::format("timeline {} in a segment of timeline {}",
                                         header.timeline.value, newest.value));
  }
  return std::nullopt;
}

std::optional<std::string> check_first_page(ByteView segment, SegmentName name, WalSegmentSize size,
                                            std::uint64_t system_identifier) {
  const auto header = parse_wal_segment_header(segment);
  const Lsn start = start_of(name, size);
  if (!header) return at_page(start, "no segment header");
  if (header->major_version == 0) {
    return at_page(start, fmt::format("unknown magic {:04X}", header->magic));
  }
  if (header->segment_size != size) {
    return at_page(start, fmt::format("segment size {} instead of {}", header->segment_size.bytes,
                                      size.bytes));
  }
  if (header->system_identifier != system_identifier) {
    return at_page(start, fmt::format("system identifier {} instead of {}",
                                      header->system_identifier, system_identifier));
  }
  return std::nullopt;
}

}  // namespace

std::optional<WalSegmentHeader> parse_wal_segment_header(ByteView first_page) {
  if (first_page.size() < wal_page::kLongHeaderBytes) return std::nullopt;
  const PageHeader header = read_page_header(first_page);
  const WalSegmentSize size{load_le<std::uint32_t>(first_page.data() + wal_page::kSegmentSizeAt)};
  const auto page_bytes = load_le<std::uint32_t>(first_page.data() + wal_page::kPageSizeAt);
  // Every version's magic is 0xD1xx; a later one must be told from bytes that are no WAL at all.
  if ((header.magic >> 8U) != 0xD1U || (header.flags & wal_page::kFlagLongHeader) == 0)
    return std::nullopt;
  if (page_bytes != kWalPageBytes || !is_valid(size) || header.timeline.value == 0 ||
      header.address.value % size.bytes != 0) {
    return std::nullopt;
  }
  return WalSegmentHeader{
      .magic = header.magic,
      .major_version = major_version_of(header.magic),
      .timeline = header.timeline,
      .address = header.address,
      .system_identifier =
          load_le<std::uint64_t>(first_page.data() + wal_page::kSystemIdentifierAt),
      .segment_size = size,
  };
}

namespace {

// XLogRecord: total length 0, transaction 4, previous record 8, info 16, resource manager 17,
// CRC 20; 24 bytes in all, and a record of a WAL switch has nothing else.
constexpr std::size_t kRecordHeaderBytes = 24;
constexpr std::size_t kRecordInfoAt = 16;
constexpr std::size_t kRecordManagerAt = 17;
constexpr std::size_t kRecordCrcAt = 20;
constexpr std::byte kInfoSwitch{0x40};
constexpr std::byte kInfoMask{0xF0};
constexpr std::byte kManagerXlog{0};

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

bool is_switch_record(ByteView record) {
  return load_le<std::uint32_t>(record.data()) == kRecordHeaderBytes &&
         (record[kRecordInfoAt] & kInfoMask) == kInfoSwitch &&
         record[kRecordManagerAt] == kManagerXlog &&
         load_le<std::uint32_t>(record.data() + kRecordCrcAt) == crc32c(record.first(kRecordCrcAt));
}

// Whether the first page of a segment holds nothing but the end of a record of a WAL switch that
// began in the segment before: such a switch leaves all of this segment empty. The CRC covers bytes
// that are not here, so what the record says of itself has to do.
bool ends_switch_from_before(ByteView page) {
  const auto left = load_le<std::uint32_t>(page.data() + wal_page::kRemainingAt);
  if ((read_page_header(page).flags & wal_page::kFlagContinues) == 0) return false;
  if (left == 0 || left >= kRecordHeaderBytes || left % wal_page::kRecordAlignment != 0) {
    return false;
  }
  const std::size_t lacking = kRecordHeaderBytes - left;  // of the record's front
  const ByteView rest = page.subspan(wal_page::kLongHeaderBytes, left);
  return (rest[kRecordInfoAt - lacking] & kInfoMask) == kInfoSwitch &&
         rest[kRecordManagerAt - lacking] == kManagerXlog &&
         all_zero(page.subspan(wal_page::kLongHeaderBytes + left));
}

// Whether the last record of `written`, the pages in front of a zeroed tail, is a WAL switch: the
// server leaves the pages after one empty. Zeros after anything else are lost writes.
bool ends_with_switch(ByteView written) {
  if (written.size() == kWalPageBytes && ends_switch_from_before(written)) return true;
  const auto payload = [&](std::size_t at) {
    const std::size_t header = at == 0 ? wal_page::kLongHeaderBytes : wal_page::kShortHeaderBytes;
    return written.subspan(at + header, kWalPageBytes - header);
  };
  const std::size_t last_at = written.size() - kWalPageBytes;
  Bytes stream;  // a record may lie across the border of two pages
  if (last_at != 0) {
    const ByteView before = payload(last_at - kWalPageBytes);
    stream.assign(before.begin(), before.end());
  }
  const ByteView last = payload(last_at);
  stream.insert(stream.end(), last.begin(), last.end());
  while (!stream.empty() && stream.back() == std::byte{0}) stream.pop_back();
  // The CRC may end in zeros; records begin on multiples of 8, and page headers are multiples too.
  stream.resize((stream.size() + wal_page::kRecordAlignment - 1) / wal_page::kRecordAlignment *
                wal_page::kRecordAlignment);
  return stream.size() >= kRecordHeaderBytes &&
         is_switch_record(ByteView(stream).last(kRecordHeaderBytes));
}

}  // namespace

std::optional<std::string> check_wal_pages(ByteView segment, SegmentName name, WalSegmentSize size,
                                           std::uint64_t system_identifier, Lsn end) {
  const Lsn start = start_of(name, size);
  if (!is_valid(size) || segment.size() > size.bytes) {
    return fmt::format("{} bytes are no segment of {} bytes", segment.size(), size.bytes);
  }
  if (end <= start) return std::nullopt;
  const std::uint64_t used = std::min<std::uint64_t>(end.value - start.value, size.bytes);
  if (used > segment.size()) {
    return fmt::format("segment ends after {} bytes, before {}", segment.size(), to_string(end));
  }
  if (auto wrong = check_first_page(segment, name, size, system_identifier)) return wrong;
  const std::uint16_t magic = read_page_header(segment).magic;
  TimelineId lowest{1};  // timelines never go back inside a segment
  for (std::uint64_t offset = 0; offset < used; offset += kWalPageBytes) {
    const ByteView page = segment.subspan(offset);
    const Lsn expected{start.value + offset};
    if (page.size() < wal_page::kLongHeaderBytes) return at_page(expected, "cut off");
    if (offset != 0 && all_zero(page.first(wal_page::kShortHeaderBytes)) &&
        all_zero(segment.subspan(offset, used - offset))) {
      if (ends_with_switch(segment.first(offset))) return std::nullopt;
      return at_page(expected, "zeros, not after a WAL switch");
    }
    const PageHeader header = read_page_header(page);
    if (auto wrong = check_page_header(header, magic, name.timeline, expected)) return wrong;
    if (offset != 0 && (header.flags & wal_page::kFlagLongHeader) != 0) {
      return at_page(expected, "long header inside a segment");
    }
    if (header.timeline < lowest) return at_page(expected, "timeline goes back");
    lowest = header.timeline;
  }
  return std::nullopt;
}

std::vector<CarriedSegment> carried_segments(TimelineId timeline, Lsn start, Lsn stop,
                                             WalSegmentSize size) {
  const std::uint64_t first = start.value / size.bytes;
  const std::uint64_t end = stop.value == 0 ? 0 : (stop.value - 1) / size.bytes + 1;
  if (stop <= start || end - first > kMaxCarriedSegments) {
    throw Error(ErrorKind::kDamage, fmt::format("impossible WAL of a backup: from {} to {}",
                                                to_string(start), to_string(stop)));
  }
  std::vector<CarriedSegment> segments;
  for (std::uint64_t number = first; number < end; ++number) {
    const SegmentName name{timeline, number};
    const std::uint64_t begin = start_of(name, size).value;
    segments.push_back({name, std::min<std::uint64_t>(size.bytes, stop.value - begin)});
  }
  return segments;
}

}  // namespace holdfast
