#include "repository/wal_index_builder.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast {
namespace {

constexpr std::uint8_t kOverwrittenKind = 0xD0;

// In the circular order of transaction ids.
bool is_before(std::uint32_t xid, std::uint32_t other) {
  return static_cast<std::int32_t>(xid - other) < 0;
}

}  // namespace

void WalIndexBuilder::add(const WalRecord& record) {
  SegmentSummary& summary = index_.summary;
  if (!summary.first_record.valid()) {
    summary.first_record = record.start;
    index_.borders.previous_record = record.previous;
  }
  summary.last_record = record.start;
  summary.end = record.end;
  for (const WalBlock& block : record.blocks()) blocks_.add(block);
  const WalContent content = read_wal_content(record, major_version_, *this);
  if (content != WalContent::kUnderstood) {
    const bool unknown = content == WalContent::kUnknownManager && record.decoded;
    doubt(unknown ? WalCoverage::kUnknownManager : WalCoverage::kUndecodable, record.start,
          fmt::format("a record of resource manager {}, kind {:02X}", record.manager, record.info));
  }
  if (summary.first_record == record.start && record.is(WalManager::kXlog) &&
      record.kind() == kOverwrittenKind && record.main_data.size() >= sizeof(std::uint64_t)) {
    index_.borders.overwritten = {load_le<std::uint64_t>(record.main_data.data())};
  }
}

void WalIndexBuilder::doubt(WalCoverage coverage, Lsn at, std::string reason) {
  SegmentSummary& summary = index_.summary;
  if (coverage <= summary.coverage) return;
  summary.coverage = coverage;
  summary.coverage_at = at;
  summary.coverage_reason = std::move(reason);
}

SegmentIndex WalIndexBuilder::take() {
  index_.blocks = blocks_.take();
  return std::move(index_);
}

void count_transaction(SegmentSummary& summary, const FinishedTransaction& finished) {
  const CommitPoint point{finished.time, finished.start, finished.end};
  if (summary.finished_count == 0) {
    summary.first_finished = point;
    summary.earliest = summary.latest = finished.time;
  }
  ++summary.finished_count;
  summary.last_finished = point;
  summary.earliest = std::min(summary.earliest, finished.time);
  summary.latest = std::max(summary.latest, finished.time);
  if (finished.xid == 0) return;  // PostgreSQL's "no transaction"
  if (summary.oldest_xid == 0) summary.oldest_xid = summary.newest_xid = finished.xid;
  if (is_before(finished.xid, summary.oldest_xid)) summary.oldest_xid = finished.xid;
  if (is_before(summary.newest_xid, finished.xid)) summary.newest_xid = finished.xid;
}

void WalIndexBuilder::transaction(const FinishedTransaction& finished) {
  count_transaction(index_.summary, finished);
  index_.transactions.push_back(finished);
}

void WalIndexBuilder::restore_point(RestorePoint point) {
  index_.summary.restore_points.push_back(std::move(point));
}

void WalIndexBuilder::checkpoint(const WalCheckpoint& checkpoint) {
  index_.summary.checkpoints.push_back(checkpoint);
}

void WalIndexBuilder::recovery_end(const WalRecoveryEnd& end) {
  index_.summary.recovery_ends.push_back(end);
}

void WalIndexBuilder::file_event(WalFileEvent event) {
  if (event.kind == WalFileEvent::Kind::kTablespaceCreated) {
    index_.summary.tablespaces.push_back(event.start);
  }
  index_.file_events.push_back(std::move(event));
}

void WalIndexBuilder::minimal_wal(Lsn start) {
  index_.summary.minimal_wal.push_back(start);
}

}  // namespace holdfast
