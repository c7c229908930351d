#include "repository/wal_file.h"

#include <charconv>

#include <fmt/format.h>

namespace holdfast {
namespace {

constexpr std::string_view kUpperHex = "0123456789ABCDEF";
constexpr std::size_t kTimelineDigits = 8, kSegmentDigits = 24;
constexpr std::string_view kPartialSuffix = ".partial", kLabelSuffix = ".backup",
                           kHistorySuffix = ".history";
constexpr std::size_t kLabelOffsetDigits = 8;

bool is_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kUpperHex) == std::string_view::npos;
}

std::optional<TimelineId> parse_timeline(std::string_view text) {
  std::uint32_t value = 0;
  if (text.size() != kTimelineDigits || !is_hex(text)) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (value == 0) return std::nullopt;
  return TimelineId{value};
}

// ".00000028.backup"
bool is_label_suffix(std::string_view rest) {
  return rest.size() == 1 + kLabelOffsetDigits + kLabelSuffix.size() && rest[0] == '.' &&
         is_hex(rest.substr(1, kLabelOffsetDigits)) && rest.ends_with(kLabelSuffix);
}

std::string_view last_part(std::string_view object) {
  return object.substr(object.rfind('/') + 1);
}

// Enough of a hash to tell contents apart in a listing; the object's head carries all of it.
std::string short_hash(const Checksum128& content) {
  return to_hex(ByteView(content).first(8));
}

}  // namespace

std::optional<WalFileName> parse_wal_file_name(std::string_view name) {
  const auto timeline = parse_timeline(name.substr(0, kTimelineDigits));
  if (!timeline) return std::nullopt;
  WalFileName file{.timeline = *timeline, .text = std::string(name)};
  if (name.substr(kTimelineDigits) == kHistorySuffix) {
    file.kind = WalFileKind::kTimelineHistory;
    return file;
  }
  if (name.size() < kSegmentDigits || !is_hex(name.substr(0, kSegmentDigits))) return std::nullopt;
  file.segment = name.substr(0, kSegmentDigits);
  const std::string_view rest = name.substr(kSegmentDigits);
  if (rest.empty()) return file;
  if (rest == kPartialSuffix) {
    file.kind = WalFileKind::kPartial;
  } else if (is_label_suffix(rest)) {
    file.kind = WalFileKind::kBackupLabel;
  } else {
    return std::nullopt;
  }
  return file;
}

WalFileName wal_file_of(SegmentName segment, WalSegmentSize size) {
  const std::string text = to_string(segment, size);
  return {
      .kind = WalFileKind::kSegment, .timeline = segment.timeline, .text = text, .segment = text};
}

WalFileName history_file_of(TimelineId timeline) {
  return {.kind = WalFileKind::kTimelineHistory,
          .timeline = timeline,
          .text = fmt::format("{:08X}{}", timeline.value, kHistorySuffix),
          .segment = {}};
}

namespace names {

std::string wal_prefix(const WalPlace& place) {
  return history_prefix(place.cluster, place.history) + "wal/";
}

std::string wal_timeline_prefix(const WalPlace& place, TimelineId timeline) {
  return fmt::format("{}{:08X}/", wal_prefix(place), timeline.value);
}

std::string wal_log_prefix(const WalPlace& place, TimelineId timeline, std::string_view log) {
  return fmt::format("{}{}/", wal_timeline_prefix(place, timeline), log);
}

std::string timeline_history(const WalPlace& place, TimelineId timeline) {
  return wal_timeline_prefix(place, timeline) + "history";
}

std::string wal_object(const WalPlace& place, const WalFileName& file, const Checksum128& content) {
  if (file.kind == WalFileKind::kTimelineHistory) return timeline_history(place, file.timeline);
  const std::string_view log = std::string_view(file.segment).substr(kTimelineDigits, 8);
  const std::string name = wal_log_prefix(place, file.timeline, log) + file.text;
  return file.kind == WalFileKind::kSegment ? name : name + "-" + short_hash(content);
}

std::string wal_segment(const WalPlace& place, SegmentName segment, WalSegmentSize size) {
  return wal_object(place, wal_file_of(segment, size), {});
}

std::string wal_part(const std::string& object, const Checksum128& content, std::uint32_t number) {
  return fmt::format("{}.part-{}/{:04}", object, short_hash(content), number);
}

std::optional<SegmentName> parse_wal_segment(std::string_view object, WalSegmentSize size) {
  return parse_segment_name(last_part(object), size);
}

}  // namespace names
}  // namespace holdfast
