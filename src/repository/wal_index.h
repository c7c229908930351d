#pragma once
// What one WAL segment says, without its bytes: for the window, for recovery targets, and for
// incremental backups (docs/repository-format.md). A summary is small and goes to the head of a
// stored segment; the index holds the summary and everything else. Both can be rebuilt.
//
// index_segment() never throws for what is in the bytes: what it cannot read makes the coverage
// incomplete, and everything read up to there is kept. encode_*() cannot fail; decode_*() throws
// Error(kDamage) for what encode_*() cannot have written. The encoding carries no version and no
// checksum: what it is stored in has both. Functions are safe from any thread.
//
// Memory: what is kept follows what is in the segment; see WalBlockSet and kMaxWalPieceBytes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/time.h"
#include "core/wal_position.h"
#include "postgres/wal_block_set.h"
#include "postgres/wal_content.h"
#include "postgres/wal_reader.h"

namespace holdfast {

// What an index proves about its segment's own records. What lies across a border is proven by
// WalBorders alone (repository/wal_border.h).
enum class WalCoverage : std::uint8_t {
  kComplete = 0,  // all blocks and files that the records change are in the index
  kUnknownManager =
      1,             // all transactions are in it, but an extension's records may change anything
  kUndecodable = 2,  // a record with a right CRC says what this program does not understand
  kEndsEarly = 3,    // the records end before the segment does, and not by a WAL switch
  kNoSegment = 4,    // no segment header, or that of an unknown version
};
std::string_view to_string(WalCoverage coverage);

// A transaction's end as a point to recover to.
struct CommitPoint {
  Timestamp time;
  Lsn start;
  Lsn end;
  bool operator==(const CommitPoint&) const = default;
};

struct SegmentSummary {
  Lsn segment_start;
  WalSegmentSize segment_size;
  int major_version = 0;  // of the server, 13 ... 18; 0 when unknown

  // Complete records that begin in this segment; all invalid when there is none.
  Lsn first_record;
  Lsn last_record;
  Lsn end;                      // of the last one; the next segment's start after a WAL switch
  bool ends_in_switch = false;  // the rest of the segment is unused

  WalCoverage coverage = WalCoverage::kNoSegment;
  Lsn coverage_at;              // where that was found; the first of the gravest
  std::string coverage_reason;  // for people; empty when complete

  // Finished transactions (FinishedTransaction says which), in the order of WAL.
  std::uint64_t finished_count = 0;
  std::optional<CommitPoint> first_finished;  // nullopt: none in this segment
  std::optional<CommitPoint> last_finished;
  // Times need not ascend with WAL: the earliest and latest of all.
  Timestamp earliest;
  Timestamp latest;
  // In the circular order of transaction ids. 0 when there is none.
  std::uint32_t oldest_xid = 0;
  std::uint32_t newest_xid = 0;

  std::vector<RestorePoint> restore_points;
  std::vector<WalCheckpoint> checkpoints;
  std::vector<WalRecoveryEnd> recovery_ends;
  std::vector<Lsn> minimal_wal;  // records that say that wal_level is minimal
  std::vector<Lsn> tablespaces;  // records that make a tablespace; where, the index says

  bool operator==(const SegmentSummary&) const = default;
};
// Whether `xid` can be among the finished transactions; only the index says if it is.
bool may_have_finished(const SegmentSummary& summary, std::uint32_t xid);
// Whether all finished transactions that end in the segment's own records are known.
bool knows_transactions(const SegmentSummary& summary);

// What is needed to prove that nothing is lost at the borders to the segments beside this one.
struct SegmentBorders {
  WalHead::State head_state = WalHead::State::kNone;
  Bytes head;  // bytes of the record that began before; see WalHead
  std::uint64_t head_size = 0;
  std::uint64_t head_missing = 0;
  Lsn head_end;
  Lsn previous_record;  // what the first record says it follows
  Lsn overwritten;      // what the first record overwrites: the start of one never completed

  Lsn tail_start;  // of the record that goes on behind this segment; invalid when none does
  Bytes tail;
  std::uint64_t tail_size = 0;
  std::uint64_t tail_missing = 0;

  bool operator==(const SegmentBorders&) const = default;
};

struct SegmentIndex {
  SegmentSummary summary;
  SegmentBorders borders;
  std::vector<FinishedTransaction> transactions;  // by LSN
  std::vector<RelationBlocks> blocks;             // by file and fork; all forks that WAL names
  std::vector<WalFileEvent> file_events;          // by LSN

  bool operator==(const SegmentIndex&) const = default;
};

SegmentIndex index_segment(const WalSegmentSource& segment, SegmentName name, WalSegmentSize size);

Bytes encode_summary(const SegmentSummary& summary);
SegmentSummary decode_summary(ByteView bytes);
Bytes encode_index(const SegmentIndex& index);
SegmentIndex decode_index(ByteView bytes);

}  // namespace holdfast
