#include "repository/wal_index.h"

#include <algorithm>

#include "repository/wal_index_builder.h"

namespace holdfast {
namespace {

WalCoverage coverage_of(const WalReader& reader) {
  if (reader.major_version() == 0) return WalCoverage::kNoSegment;
  return reader.end() == WalEnd::kSegmentEnd || reader.end() == WalEnd::kSwitch
             ? WalCoverage::kComplete
             : WalCoverage::kEndsEarly;
}

SegmentBorders borders_of(const WalReader& reader) {
  SegmentBorders borders;
  borders.head_state = reader.head().state;
  borders.head = reader.head().bytes;
  borders.head_size = reader.head().size;
  borders.head_missing = reader.head().missing;
  borders.head_end = reader.head().end;
  borders.tail_start = reader.tail().start;
  borders.tail = reader.tail().bytes;
  borders.tail_size = reader.tail().size;
  borders.tail_missing = reader.tail().missing;
  return borders;
}

std::string reason_of(const WalReader& reader) {
  if (reader.end() == WalEnd::kZeros && reader.reason().empty()) return "zeros instead of a record";
  return reader.reason();
}

}  // namespace

std::string_view to_string(WalCoverage coverage) {
  switch (coverage) {
    case WalCoverage::kComplete:
      return "complete";
    case WalCoverage::kUnknownManager:
      return "unknown_manager";
    case WalCoverage::kUndecodable:
      return "undecodable";
    case WalCoverage::kEndsEarly:
      return "ends_early";
    case WalCoverage::kNoSegment:
      return "no_segment";
  }
  return "unknown";
}

bool may_have_finished(const SegmentSummary& summary, std::uint32_t xid) {
  if (summary.oldest_xid == 0) return false;
  return xid - summary.oldest_xid <= summary.newest_xid - summary.oldest_xid;
}

bool knows_transactions(const SegmentSummary& summary) {
  return summary.coverage == WalCoverage::kComplete ||
         summary.coverage == WalCoverage::kUnknownManager;
}

SegmentIndex index_segment(const WalSegmentSource& segment, SegmentName name, WalSegmentSize size) {
  WalReader reader(segment, name, size);
  WalIndexBuilder builder(reader.major_version());
  while (const WalRecord* const record = reader.next()) builder.add(*record);
  if (const WalCoverage coverage = coverage_of(reader); coverage != WalCoverage::kComplete) {
    builder.doubt(coverage, reader.position(), reason_of(reader));
  }
  SegmentIndex index = builder.take();
  index.summary.segment_start = is_valid(size) ? start_of(name, size) : Lsn{};
  index.summary.segment_size = size;
  index.summary.major_version = reader.major_version();
  index.summary.ends_in_switch = reader.end() == WalEnd::kSwitch;
  const SegmentBorders own = std::move(index.borders);
  index.borders = borders_of(reader);
  index.borders.previous_record = own.previous_record;
  index.borders.overwritten = own.overwritten;
  return index;
}

}  // namespace holdfast
