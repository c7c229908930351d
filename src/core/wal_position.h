#pragma once
// Positions in PostgreSQL's write-ahead log, as small value types.
// Source of the notations: PostgreSQL's pg_lsn type and WAL file naming (access/xlog_internal.h).

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// A byte position in the WAL stream. 0 is "invalid" in PostgreSQL.
struct Lsn {
  std::uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
  bool valid() const { return value != 0; }
};
std::string to_string(Lsn lsn);  // "16/B374D848"
std::optional<Lsn> parse_lsn(std::string_view text);

struct TimelineId {
  std::uint32_t value = 0;
  auto operator<=>(const TimelineId&) const = default;
};

// Bytes in one WAL segment: a power of two from 1 MiB to 1 GiB.
struct WalSegmentSize {
  std::uint32_t bytes = 16U << 20U;
  auto operator<=>(const WalSegmentSize&) const = default;
};
bool is_valid(WalSegmentSize size);

// One WAL segment; its file name is 24 hexadecimal digits: timeline, log, segment in log.
struct SegmentName {
  TimelineId timeline;
  std::uint64_t number = 0;  // position / segment size
  auto operator<=>(const SegmentName&) const = default;
};
SegmentName segment_of(TimelineId timeline, Lsn position, WalSegmentSize size);
Lsn start_of(SegmentName segment, WalSegmentSize size);
std::string to_string(SegmentName segment, WalSegmentSize size);
// nullopt unless `name` is exactly a segment file name that exists with this segment size.
std::optional<SegmentName> parse_segment_name(std::string_view name, WalSegmentSize size);

}  // namespace holdfast
