#pragma once
// Gathers what records say into a SegmentIndex. Part of repository/wal_index.h and wal_border.h.
// Throws nothing of its own; one thread at a time.

#include <string>

#include "repository/wal_index.h"

namespace holdfast {

class WalIndexBuilder final : private WalContentSink {
 public:
  explicit WalIndexBuilder(int major_version) : major_version_(major_version) {
    index_.summary.major_version = major_version;
    index_.summary.coverage = WalCoverage::kComplete;
  }
  // A record whose CRC is right.
  void add(const WalRecord& record);
  // The index does not prove all. A worse doubt replaces a lesser one.
  void doubt(WalCoverage coverage, Lsn at, std::string reason);
  // Everything but what only the segment's own bytes say.
  SegmentIndex take();

 private:
  void transaction(const FinishedTransaction& finished) override;
  void restore_point(RestorePoint point) override;
  void checkpoint(const WalCheckpoint& checkpoint) override;
  void recovery_end(const WalRecoveryEnd& end) override;
  void file_event(WalFileEvent event) override;
  void minimal_wal(Lsn start) override;

  int major_version_;
  SegmentIndex index_;
  WalBlockSet blocks_;
};

// Adds `finished` to what a summary says of all.
void count_transaction(SegmentSummary& summary, const FinishedTransaction& finished);

}  // namespace holdfast
