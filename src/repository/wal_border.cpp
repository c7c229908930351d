#include "repository/wal_border.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "repository/wal_index_builder.h"

namespace holdfast {
namespace {

WalBorder unproven(std::string reason) {
  return {.state = WalBorder::State::kUnproven, .reason = std::move(reason), .record = {}};
}

// Whether the segment's records end, with zeros, behind the end of the one that began before it.
bool is_empty_behind_head(const SegmentIndex& index) {
  return index.summary.coverage == WalCoverage::kEndsEarly && !index.summary.first_record.valid() &&
         !index.borders.tail_start.valid() && index.summary.coverage_at == index.borders.head_end;
}

template <class Item>
void put_in_front(std::vector<Item>& list, const std::vector<Item>& front) {
  list.insert(list.begin(), front.begin(), front.end());
}

std::vector<RelationBlocks> merge_blocks(const std::vector<RelationBlocks>& one,
                                         const std::vector<RelationBlocks>& other) {
  const auto place = [](const RelationBlocks& item) { return std::tie(item.file, item.fork); };
  std::vector<RelationBlocks> merged;
  auto a = one.begin();
  auto b = other.begin();
  while (a != one.end() || b != other.end()) {
    if (b == other.end() || (a != one.end() && place(*a) < place(*b))) {
      merged.push_back(*a++);
    } else if (a == one.end() || place(*b) < place(*a)) {
      merged.push_back(*b++);
    } else {
      merged.push_back({a->file, a->fork, merge_runs(a->runs, b->runs)});
      ++a;
      ++b;
    }
  }
  return merged;
}

}  // namespace

WalBorder WalBorders::add(const SegmentIndex& next) {
  if (!anchored_) {
    begin_with(next);
    return {};
  }
  WalBorder border = judge(next);
  if (border.state == WalBorder::State::kUnproven) {
    begin_with(next);
  } else if (border.state == WalBorder::State::kOpen) {
    expected_.value += next.summary.segment_size.bytes;
  } else {
    go_on_with(next);
    if (border.record.summary.ends_in_switch) ended_early_ = false;
  }
  return border;
}

void WalBorders::begin_with(const SegmentIndex& index) {
  *this = WalBorders();
  // In the middle of a record, or without any: the next segment is the first to say something.
  if (!index.summary.last_record.valid()) return;
  anchored_ = true;
  go_on_with(index);
}

void WalBorders::go_on_with(const SegmentIndex& index) {
  const SegmentSummary& summary = index.summary;
  expected_ = {summary.segment_start.value + summary.segment_size.bytes};
  major_version_ = summary.major_version;
  ended_early_ = summary.coverage >= WalCoverage::kEndsEarly;
  if (summary.last_record.valid()) last_record_ = summary.last_record;
  open_start_ = index.borders.tail_start;
  open_missing_ = index.borders.tail_missing;
  open_.clear();
  open_kept_ = true;
  if (open_start_.valid()) append(index.borders.tail, index.borders.tail_size);
}

void WalBorders::append(ByteView piece, std::uint64_t size) {
  open_kept_ = open_kept_ && piece.size() == size &&
               open_.size() + piece.size() <= kMaxDecodedWalRecordBytes;
  if (open_kept_) {
    open_.insert(open_.end(), piece.begin(), piece.end());
  } else {
    open_ = Bytes();
  }
}

std::string WalBorders::why_not_next(const SegmentIndex& next) const {
  if (ended_early_) return "the segment before it ends early";
  if (next.summary.segment_start != expected_) {
    return fmt::format("the segment at {} is missing", to_string(expected_));
  }
  if (next.summary.coverage == WalCoverage::kNoSegment) return "it is no segment";
  if (next.summary.major_version != major_version_) return "another major version wrote it";
  return {};
}

WalBorder WalBorders::judge(const SegmentIndex& next) {
  if (std::string reason = why_not_next(next); !reason.empty()) return unproven(std::move(reason));
  return open_start_.valid() ? judge_open(next) : judge_without_open(next);
}

WalBorder WalBorders::judge_without_open(const SegmentIndex& next) const {
  if (next.borders.head_state != WalHead::State::kNone) {
    return unproven("it goes on with a record that the segment before it does not have");
  }
  // Without a complete record of its own, it has the front of one, which names the one before it.
  if (next.borders.previous_record != last_record_ && next.summary.first_record.valid()) {
    return unproven(fmt::format("its first record follows {}, not {}",
                                to_string(next.borders.previous_record), to_string(last_record_)));
  }
  return {.state = WalBorder::State::kProven, .reason = {}, .record = {}};
}

WalBorder WalBorders::judge_open(const SegmentIndex& next) {
  const SegmentBorders& borders = next.borders;
  switch (borders.head_state) {
    case WalHead::State::kNone:
      return unproven(fmt::format("the record at {} does not go on", to_string(open_start_)));
    case WalHead::State::kOverwritten:
      if (borders.overwritten != open_start_ || borders.previous_record != last_record_) {
        return unproven(fmt::format("it overwrites the record at {}, not {}",
                                    to_string(borders.overwritten), to_string(open_start_)));
      }
      return {.state = WalBorder::State::kProven, .reason = {}, .record = {}};
    case WalHead::State::kGoesOn:
    case WalHead::State::kComplete:
      break;
  }
  if (borders.head_size + borders.head_missing != open_missing_) {
    return unproven(fmt::format("the record at {} goes on with {} bytes instead of {}",
                                to_string(open_start_), borders.head_size + borders.head_missing,
                                open_missing_));
  }
  append(borders.head, borders.head_size);
  open_missing_ = borders.head_missing;
  if (borders.head_state == WalHead::State::kComplete) return join(next);
  return {.state = WalBorder::State::kOpen, .reason = {}, .record = {}};
}

WalBorder WalBorders::join(const SegmentIndex& next) {
  const std::string at = to_string(open_start_);
  if (!open_kept_) return unproven(fmt::format("the record at {} is too large", at));
  if (!has_valid_wal_crc(open_)) {
    return unproven(fmt::format("the record at {} has a wrong CRC", at));
  }
  WalRecord record;
  decode_wal_record(open_, major_version_, record);
  record.start = open_start_;
  record.end = next.borders.head_end;
  if (record.previous != last_record_) {
    return unproven(fmt::format("the record at {} follows {}, not {}", at,
                                to_string(record.previous), to_string(last_record_)));
  }
  if (next.summary.first_record.valid() && next.borders.previous_record != open_start_) {
    return unproven(fmt::format("its first record follows {}, not {}",
                                to_string(next.borders.previous_record), at));
  }
  last_record_ = open_start_;
  WalIndexBuilder builder(major_version_);
  builder.add(record);
  WalBorder border{.state = WalBorder::State::kProven, .reason = {}, .record = builder.take()};
  if (is_wal_switch(record) && is_empty_behind_head(next)) {
    border.record.summary.ends_in_switch = true;
    border.record.summary.end = {expected_.value + next.summary.segment_size.bytes};
  }
  return border;
}

void add_border_record(SegmentIndex& index, const SegmentIndex& record) {
  SegmentSummary& summary = index.summary;
  const SegmentSummary& added = record.summary;
  put_in_front(index.transactions, record.transactions);
  put_in_front(index.file_events, record.file_events);
  index.blocks = merge_blocks(index.blocks, record.blocks);
  put_in_front(summary.restore_points, added.restore_points);
  put_in_front(summary.checkpoints, added.checkpoints);
  put_in_front(summary.recovery_ends, added.recovery_ends);
  put_in_front(summary.minimal_wal, added.minimal_wal);
  put_in_front(summary.tablespaces, added.tablespaces);
  for (const FinishedTransaction& finished : record.transactions) {
    const std::optional<CommitPoint> last = summary.last_finished;
    count_transaction(summary, finished);
    summary.first_finished = CommitPoint{finished.time, finished.start, finished.end};
    if (last) summary.last_finished = last;
  }
  if (added.ends_in_switch) {
    summary.ends_in_switch = true;
    summary.end = added.end;
    summary.coverage = WalCoverage::kComplete;
    summary.coverage_at = {};
    summary.coverage_reason.clear();
  }
  if (added.coverage > summary.coverage) {
    summary.coverage = added.coverage;
    summary.coverage_at = added.coverage_at;
    summary.coverage_reason = added.coverage_reason;
  }
}

}  // namespace holdfast
