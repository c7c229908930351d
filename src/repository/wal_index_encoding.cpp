// The encoding of SegmentSummary and SegmentIndex: little-endian varints, positions relative to the
// segment's start, times and transaction ids as differences to the one before.

#include <algorithm>
#include <limits>
#include <tuple>

#include "core/error.h"
#include "repository/wal_index.h"

namespace holdfast {
namespace {

[[noreturn]] void malformed_index(const char* why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed WAL index: {}", why));
}

class Writer {
 public:
  explicit Writer(Lsn base) : base_(base.value) {}
  Encoder& out() { return out_; }
  void flag(bool value) { out_.u8(value ? 1 : 0); }
  template <class Enum>
  void kind(Enum value) {
    out_.u8(static_cast<std::uint8_t>(value));
  }
  void lsn(Lsn value) { out_.signed_varint(static_cast<std::int64_t>(value.value - base_)); }
  void optional_lsn(Lsn value) {
    flag(value.valid());
    if (value.valid()) lsn(value);
  }
  // Near the one before.
  void next_lsn(Lsn value) {
    out_.signed_varint(static_cast<std::int64_t>(value.value - last_lsn(value)));
  }
  void time(Timestamp value) {
    const auto now = static_cast<std::uint64_t>(value.time_since_epoch().count());
    out_.signed_varint(static_cast<std::int64_t>(now - time_));
    time_ = now;
  }
  void bytes(ByteView value) { out_.text(as_text(value)); }

 private:
  std::uint64_t last_lsn(Lsn next) {
    const std::uint64_t before = lsn_ == 0 ? base_ : lsn_;
    lsn_ = next.value;
    return before;
  }
  Encoder out_;
  std::uint64_t base_;
  std::uint64_t lsn_ = 0;
  std::uint64_t time_ = 0;
};

class Reader {
 public:
  Reader(ByteView bytes, Lsn base) : in_(bytes), base_(base.value) {}
  Decoder& in() { return in_; }
  void set_base(Lsn base) { base_ = base.value; }
  bool flag() {
    const std::uint8_t value = in_.u8();
    if (value > 1) malformed_index("a flag");
    return value == 1;
  }
  template <class Enum>
  Enum kind(Enum last) {
    const std::uint8_t value = in_.u8();
    if (value > static_cast<std::uint8_t>(last)) malformed_index("an unknown kind");
    return static_cast<Enum>(value);
  }
  Lsn lsn() { return {base_ + static_cast<std::uint64_t>(in_.signed_varint())}; }
  Lsn optional_lsn() {
    if (!flag()) return {};
    const Lsn value = lsn();
    if (!value.valid()) malformed_index("a position");
    return value;
  }
  Lsn next_lsn() {
    lsn_ = (lsn_ == 0 ? base_ : lsn_) + static_cast<std::uint64_t>(in_.signed_varint());
    return {lsn_};
  }
  Timestamp time() {
    time_ += static_cast<std::uint64_t>(in_.signed_varint());
    return Timestamp(std::chrono::microseconds(static_cast<std::int64_t>(time_)));
  }
  std::uint32_t u32() {
    const std::uint64_t value = in_.varint();
    if (value > std::numeric_limits<std::uint32_t>::max())
      malformed_index("a number is out of range");
    return static_cast<std::uint32_t>(value);
  }
  Bytes piece(std::uint64_t size) {
    const Bytes bytes = to_bytes(as_bytes(in_.text()));
    const bool fits = size <= kMaxWalPieceBytes ? bytes.size() == size : bytes.empty();
    if (!fits) malformed_index("a piece of a record");
    return bytes;
  }
  std::string text() { return std::string(in_.text()); }
  void expect_end() {
    if (!in_.done()) malformed_index("it goes on behind its end");
  }

 private:
  Decoder in_;
  std::uint64_t base_;
  std::uint64_t lsn_ = 0;
  std::uint64_t time_ = 0;
};

// At the front, as everything else is relative to it.
void write_segment(Encoder& out, const SegmentSummary& summary) {
  out.varint(summary.segment_start.value);
  out.varint(summary.segment_size.bytes);
  out.varint(static_cast<std::uint64_t>(summary.major_version));
}

void read_segment(Reader& in, SegmentSummary& summary) {
  summary.segment_start = {in.in().varint()};
  summary.segment_size = {in.u32()};
  const std::uint32_t version = in.u32();
  constexpr std::uint32_t kHighestVersion = 1000;
  if (version > kHighestVersion) malformed_index("a server version");
  summary.major_version = static_cast<int>(version);
  in.set_base(summary.segment_start);
}

void write_point(Writer& out, const std::optional<CommitPoint>& point) {
  out.flag(point.has_value());
  if (!point) return;
  out.time(point->time);
  out.lsn(point->start);
  out.lsn(point->end);
}

std::optional<CommitPoint> read_point(Reader& in) {
  if (!in.flag()) return std::nullopt;
  CommitPoint point;
  point.time = in.time();
  point.start = in.lsn();
  point.end = in.lsn();
  return point;
}

void write_transactions_summary(Writer& out, const SegmentSummary& summary) {
  out.out().varint(summary.finished_count);
  write_point(out, summary.first_finished);
  write_point(out, summary.last_finished);
  out.time(summary.earliest);
  out.time(summary.latest);
  out.out().varint(summary.oldest_xid);
  out.out().varint(summary.newest_xid);
}

void read_transactions_summary(Reader& in, SegmentSummary& summary) {
  summary.finished_count = in.in().varint();
  summary.first_finished = read_point(in);
  summary.last_finished = read_point(in);
  summary.earliest = in.time();
  summary.latest = in.time();
  summary.oldest_xid = in.u32();
  summary.newest_xid = in.u32();
  const bool any = summary.finished_count != 0;
  if (summary.first_finished.has_value() != any || summary.last_finished.has_value() != any) {
    malformed_index("a count of transactions");
  }
}

void write_points(Writer& out, const SegmentSummary& summary) {
  out.out().varint(summary.restore_points.size());
  for (const RestorePoint& point : summary.restore_points) {
    out.out().text(point.name);
    out.time(point.time);
    out.lsn(point.start);
    out.lsn(point.end);
  }
  out.out().varint(summary.checkpoints.size());
  for (const WalCheckpoint& checkpoint : summary.checkpoints) {
    out.kind(checkpoint.kind);
    out.flag(checkpoint.full_page_writes);
    out.lsn(checkpoint.start);
    out.lsn(checkpoint.end);
    out.lsn(checkpoint.redo);
    out.out().varint(checkpoint.timeline.value);
    out.out().varint(checkpoint.previous_timeline.value);
  }
  out.out().varint(summary.recovery_ends.size());
  for (const WalRecoveryEnd& end : summary.recovery_ends) {
    out.lsn(end.start);
    out.lsn(end.end);
    out.time(end.time);
    out.out().varint(end.timeline.value);
    out.out().varint(end.previous_timeline.value);
  }
  out.out().varint(summary.minimal_wal.size());
  for (const Lsn at : summary.minimal_wal) out.lsn(at);
  out.out().varint(summary.tablespaces.size());
  for (const Lsn at : summary.tablespaces) out.lsn(at);
}

void read_points(Reader& in, SegmentSummary& summary) {
  for (std::size_t left = in.in().count(4); left > 0; --left) {
    RestorePoint& point = summary.restore_points.emplace_back();
    point.name = in.text();
    point.time = in.time();
    point.start = in.lsn();
    point.end = in.lsn();
  }
  for (std::size_t left = in.in().count(7); left > 0; --left) {
    WalCheckpoint& checkpoint = summary.checkpoints.emplace_back();
    checkpoint.kind = in.kind(WalCheckpoint::Kind::kShutdown);
    checkpoint.full_page_writes = in.flag();
    checkpoint.start = in.lsn();
    checkpoint.end = in.lsn();
    checkpoint.redo = in.lsn();
    checkpoint.timeline = {in.u32()};
    checkpoint.previous_timeline = {in.u32()};
  }
  for (std::size_t left = in.in().count(5); left > 0; --left) {
    WalRecoveryEnd& end = summary.recovery_ends.emplace_back();
    end.start = in.lsn();
    end.end = in.lsn();
    end.time = in.time();
    end.timeline = {in.u32()};
    end.previous_timeline = {in.u32()};
  }
  for (std::size_t left = in.in().count(); left > 0; --left) {
    summary.minimal_wal.push_back(in.lsn());
  }
  for (std::size_t left = in.in().count(); left > 0; --left) {
    summary.tablespaces.push_back(in.lsn());
  }
}

void write_borders(Writer& out, const SegmentBorders& borders) {
  out.kind(borders.head_state);
  out.out().varint(borders.head_size);
  out.bytes(borders.head);
  out.out().varint(borders.head_missing);
  out.optional_lsn(borders.head_end);
  out.optional_lsn(borders.previous_record);
  out.optional_lsn(borders.overwritten);
  out.optional_lsn(borders.tail_start);
  out.out().varint(borders.tail_size);
  out.bytes(borders.tail);
  out.out().varint(borders.tail_missing);
}

SegmentBorders read_borders(Reader& in) {
  SegmentBorders borders;
  borders.head_state = in.kind(WalHead::State::kOverwritten);
  borders.head_size = in.in().varint();
  borders.head = in.piece(borders.head_size);
  borders.head_missing = in.in().varint();
  borders.head_end = in.optional_lsn();
  borders.previous_record = in.optional_lsn();
  borders.overwritten = in.optional_lsn();
  borders.tail_start = in.optional_lsn();
  borders.tail_size = in.in().varint();
  borders.tail = in.piece(borders.tail_size);
  borders.tail_missing = in.in().varint();
  return borders;
}

constexpr std::uint64_t kPreparedBit = 1;
constexpr std::uint64_t kAbortedBit = 2;

void write_transactions(Writer& out, const std::vector<FinishedTransaction>& transactions) {
  out.out().varint(transactions.size());
  std::uint32_t xid = 0;
  for (const FinishedTransaction& finished : transactions) {
    out.next_lsn(finished.start);
    const bool prepared = finished.kind == FinishedTransaction::Kind::kPrepared;
    const bool aborted = finished.outcome == FinishedTransaction::Outcome::kAborted;
    out.out().varint((finished.end.value - finished.start.value) << 2U |
                     (aborted ? kAbortedBit : 0) | (prepared ? kPreparedBit : 0));
    out.time(finished.time);
    out.out().signed_varint(static_cast<std::int32_t>(finished.xid - xid));
    xid = finished.xid;
  }
}

std::vector<FinishedTransaction> read_transactions(Reader& in) {
  std::vector<FinishedTransaction> transactions(in.in().count(4));
  std::uint32_t xid = 0;
  Lsn before;
  for (FinishedTransaction& finished : transactions) {
    finished.start = in.next_lsn();
    if (finished.start <= before) malformed_index("transactions are out of order");
    before = finished.start;
    const std::uint64_t packed = in.in().varint();
    finished.end = {finished.start.value + (packed >> 2U)};
    if (finished.end < finished.start) malformed_index("a transaction's end");
    finished.kind = (packed & kPreparedBit) != 0 ? FinishedTransaction::Kind::kPrepared
                                                 : FinishedTransaction::Kind::kOrdinary;
    finished.outcome = (packed & kAbortedBit) != 0 ? FinishedTransaction::Outcome::kAborted
                                                   : FinishedTransaction::Outcome::kCommitted;
    finished.time = in.time();
    xid += static_cast<std::uint32_t>(in.in().signed_varint());
    finished.xid = xid;
  }
  return transactions;
}

void write_file(Encoder& out, const RelationFile& file) {
  out.varint(file.tablespace);
  out.varint(file.database);
  out.varint(file.relation);
}

RelationFile read_file(Reader& in) {
  RelationFile file;
  file.tablespace = in.u32();
  file.database = in.u32();
  file.relation = in.u32();
  return file;
}

// Each run: the gap to the one before it, and a bit that says whether a length follows.
void write_blocks(Encoder& out, const std::vector<RelationBlocks>& blocks) {
  out.varint(blocks.size());
  for (const RelationBlocks& relation : blocks) {
    write_file(out, relation.file);
    out.u8(relation.fork);
    out.varint(relation.runs.size());
    std::uint64_t lowest = 0;
    for (const BlockRun& run : relation.runs) {
      const bool has_length = run.count > 1;
      out.varint((run.first - lowest) << 1U | (has_length ? 1U : 0U));
      if (has_length) out.varint(run.count - 2);
      lowest = std::uint64_t{run.first} + run.count + 1;
    }
  }
}

std::vector<BlockRun> read_runs(Reader& in) {
  constexpr std::uint64_t kBlocks = std::uint64_t{1} << 32U;
  std::vector<BlockRun> runs(in.in().count());
  std::uint64_t lowest = 0;
  for (BlockRun& run : runs) {
    const std::uint64_t packed = in.in().varint();
    const std::uint64_t first = lowest + (packed >> 1U);
    const std::uint64_t count = (packed & 1U) != 0 ? std::uint64_t{in.u32()} + 2 : 1;
    if (first >= kBlocks || first + count > kBlocks || count >= kBlocks) malformed_index("a block");
    run = {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)};
    lowest = first + count + 1;
  }
  return runs;
}

std::vector<RelationBlocks> read_blocks(Reader& in) {
  std::vector<RelationBlocks> blocks(in.in().count(5));
  const RelationBlocks* before = nullptr;
  for (RelationBlocks& relation : blocks) {
    relation.file = read_file(in);
    relation.fork = in.in().u8();
    if (relation.fork > kInitFork) malformed_index("a fork");
    if (before != nullptr &&
        std::tie(before->file, before->fork) >= std::tie(relation.file, relation.fork)) {
      malformed_index("relations are out of order");
    }
    relation.runs = read_runs(in);
    before = &relation;
  }
  return blocks;
}

void write_events(Writer& out, const std::vector<WalFileEvent>& events) {
  out.out().varint(events.size());
  for (const WalFileEvent& event : events) {
    out.kind(event.kind);
    out.lsn(event.start);
    write_file(out.out(), event.file);
    out.out().u8(static_cast<std::uint8_t>(event.fork | event.truncated << 4U));
    out.out().varint(event.blocks);
    out.out().varint(event.source_database);
    out.out().varint(event.source_tablespace);
    out.out().text(event.path);
  }
}

std::vector<WalFileEvent> read_events(Reader& in) {
  std::vector<WalFileEvent> events(in.in().count(10));
  for (WalFileEvent& event : events) {
    event.kind = in.kind(WalFileEvent::Kind::kRelationMap);
    if (static_cast<std::uint8_t>(event.kind) == 0) malformed_index("an unknown kind");
    event.start = in.lsn();
    event.file = read_file(in);
    const std::uint8_t forks = in.in().u8();
    event.fork = forks & 0x0FU;
    event.truncated = static_cast<std::uint8_t>(forks >> 4U);
    if (event.fork > kInitFork || event.truncated > 7) malformed_index("a fork");
    event.blocks = in.u32();
    event.source_database = in.u32();
    event.source_tablespace = in.u32();
    event.path = in.text();
  }
  return events;
}

}  // namespace

Bytes encode_summary(const SegmentSummary& summary) {
  Writer out(summary.segment_start);
  write_segment(out.out(), summary);
  out.optional_lsn(summary.first_record);
  out.optional_lsn(summary.last_record);
  out.optional_lsn(summary.end);
  out.flag(summary.ends_in_switch);
  out.kind(summary.coverage);
  out.optional_lsn(summary.coverage_at);
  out.out().text(summary.coverage_reason);
  write_transactions_summary(out, summary);
  write_points(out, summary);
  return out.out().take();
}

SegmentSummary decode_summary(ByteView bytes) {
  Reader in(bytes, {});
  SegmentSummary summary;
  read_segment(in, summary);
  summary.first_record = in.optional_lsn();
  summary.last_record = in.optional_lsn();
  summary.end = in.optional_lsn();
  summary.ends_in_switch = in.flag();
  summary.coverage = in.kind(WalCoverage::kNoSegment);
  summary.coverage_at = in.optional_lsn();
  summary.coverage_reason = in.text();
  read_transactions_summary(in, summary);
  read_points(in, summary);
  in.expect_end();
  return summary;
}

Bytes encode_index(const SegmentIndex& index) {
  Writer out(index.summary.segment_start);
  out.bytes(encode_summary(index.summary));
  write_borders(out, index.borders);
  write_transactions(out, index.transactions);
  write_blocks(out.out(), index.blocks);
  write_events(out, index.file_events);
  return out.out().take();
}

SegmentIndex decode_index(ByteView bytes) {
  Reader in(bytes, {});
  SegmentIndex index;
  index.summary = decode_summary(as_bytes(in.in().text()));
  in.set_base(index.summary.segment_start);
  index.borders = read_borders(in);
  index.transactions = read_transactions(in);
  index.blocks = read_blocks(in);
  index.file_events = read_events(in);
  in.expect_end();
  return index;
}

}  // namespace holdfast
