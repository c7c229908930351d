#pragma once
// The files that PostgreSQL archives, by name, and the names of the objects that hold them.
//
//   000000010000000A000000FF                   a segment
//   000000010000000A000000FF.partial           what a timeline's last segment held at a promotion
//   000000010000000A000000FF.00000028.backup   label of a backup that began in this segment
//   0000000A.history                           where a timeline left its parent
//
// A segment and a timeline history are stored under their own name: another content under the same
// name is another line of WAL, and is refused (invariant 4). Partial segments and backup labels
// carry the hash of their content in the object's name, so that several can stand side by side.
// Source of the file names: PostgreSQL's access/xlog_internal.h.

#include <optional>
#include <string>
#include <string_view>

#include "core/wal_position.h"
#include "repository/names.h"
#include "seal/hash.h"

namespace holdfast {

enum class WalFileKind { kSegment, kPartial, kBackupLabel, kTimelineHistory };

struct WalFileName {
  WalFileKind kind = WalFileKind::kSegment;
  TimelineId timeline;
  std::string text;     // the whole name
  std::string segment;  // its first 24 digits; empty for a timeline history
  bool operator==(const WalFileName&) const = default;
};
// nullopt when PostgreSQL archives no file of this name.
std::optional<WalFileName> parse_wal_file_name(std::string_view name);
WalFileName wal_file_of(SegmentName segment, WalSegmentSize size);
WalFileName history_file_of(TimelineId timeline);  // "0000000A.history"

// A line of WAL in a repository.
struct WalPlace {
  std::string cluster;
  HistoryName history;
};

namespace names {

std::string wal_prefix(const WalPlace& place);                                // "…/wal/"
std::string wal_timeline_prefix(const WalPlace& place, TimelineId timeline);  // "…/wal/0000000A/"
// "…/wal/0000000A/000000FF/": the segments of one log number.
std::string wal_log_prefix(const WalPlace& place, TimelineId timeline, std::string_view log);
// The object that holds the file; `content` counts only for partial segments and backup labels.
std::string wal_object(const WalPlace& place, const WalFileName& file, const Checksum128& content);
std::string wal_segment(const WalPlace& place, SegmentName segment, WalSegmentSize size);
std::string timeline_history(const WalPlace& place, TimelineId timeline);  // "…/0000000A/history"
// Part `number`, from 1, of a file that is too large for one object.
std::string wal_part(const std::string& object, const Checksum128& content, std::uint32_t number);
// The segment that an object name ends in, or nullopt for any other object.
std::optional<SegmentName> parse_wal_segment(std::string_view object, WalSegmentSize size);

}  // namespace names
}  // namespace holdfast
