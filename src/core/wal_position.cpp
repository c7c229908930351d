#include "core/wal_position.h"

#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "core/error.h"

namespace holdfast {
namespace {

std::optional<std::uint32_t> parse_hex32(std::string_view text) {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > 8) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint64_t segments_per_log(WalSegmentSize size) {
  HF_INVARIANT(is_valid(size));  // whoever reads a size from outside checks it
  return (std::uint64_t{1} << 32U) / size.bytes;
}

}  // namespace

std::string to_string(Lsn lsn) {
  return fmt::format("{:X}/{:X}", lsn.value >> 32U, lsn.value & 0xffffffffU);
}

std::optional<Lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_hex32(text.substr(0, slash));
  const auto low = parse_hex32(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(std::uint64_t{*high} << 32U) | *low};
}

bool is_valid(WalSegmentSize size) {
  return std::has_single_bit(size.bytes) && size.bytes >= (1U << 20U) && size.bytes <= (1U << 30U);
}

SegmentName segment_of(TimelineId timeline, Lsn position, WalSegmentSize size) {
  HF_INVARIANT(is_valid(size));
  return {timeline, position.value / size.bytes};
}

Lsn start_of(SegmentName segment, WalSegmentSize size) {
  return {segment.number * size.bytes};
}

std::string to_string(SegmentName segment, WalSegmentSize size) {
  const std::uint64_t per_log = segments_per_log(size);
  return fmt::format("{:08X}{:08X}{:08X}", segment.timeline.value, segment.number / per_log,
                     segment.number % per_log);
}

std::optional<SegmentName> parse_segment_name(std::string_view name, WalSegmentSize size) {
  if (name.size() != 24 || name.find_first_not_of("0123456789ABCDEF") != std::string_view::npos) {
    return std::nullopt;
  }
  const auto timeline = parse_hex32(name.substr(0, 8));
  const auto log = parse_hex32(name.substr(8, 8));
  const auto segment = parse_hex32(name.substr(16, 8));
  const std::uint64_t per_log = segments_per_log(size);
  if (!timeline || !log || !segment || *timeline == 0 || *segment >= per_log) return std::nullopt;
  return SegmentName{{*timeline}, std::uint64_t{*log} * per_log + *segment};
}

}  // namespace holdfast
