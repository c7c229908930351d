#pragma once
// An archive of WAL without a PostgreSQL, for tests of what can be recovered. Segments are of 1 MiB
// and hold nothing; what they would say stands in their index:
//
//   segment n has one transaction, 1000 + n, that commits at minute(n), at at(n, 0x1000); its last
//   record begins at at(n, 0x2000) and ends at at(n, 0x2040)
//   a backup that stops in segment n does so at at(n, 0x100), half a minute before minute(n)

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "repository/recoverable.h"
#include "repository/wal_object.h"
#include "repository_testing.h"
#include "support/wal_maker.h"

namespace holdfast::test {

inline constexpr WalSegmentSize kMadeSegmentSize{1U << 20U};

inline Lsn at(std::uint64_t segment, std::uint64_t offset = 0) {
  return {segment * kMadeSegmentSize.bytes + offset};
}
inline Timestamp minute(std::uint64_t number) {
  return *parse_rfc3339("2026-01-01T00:00:00Z") + std::chrono::minutes(number);
}

struct MadeSegment {
  enum class Indexed { kYes, kNo };
  enum class Commits { kOne, kNone };
  Indexed indexed = Indexed::kYes;
  Commits commits = Commits::kOne;
  std::string restore_point = {};
  std::string tablespace = {};  // that is made there, in front of the transaction
  std::optional<std::uint32_t> xid = {};
  std::optional<Timestamp> time = {};
  WalCoverage coverage = WalCoverage::kComplete;
};

inline SegmentIndex made_index(std::uint64_t number, const MadeSegment& made) {
  SegmentIndex index;
  SegmentSummary& summary = index.summary;
  summary.segment_start = at(number);
  summary.segment_size = kMadeSegmentSize;
  summary.major_version = 17;
  summary.first_record = at(number, 0x28);
  summary.last_record = at(number, 0x2000);
  summary.end = at(number, 0x2040);
  summary.coverage = made.coverage;
  index.borders.previous_record = at(number - 1, 0x2000);  // no record crosses a border
  if (made.coverage != WalCoverage::kComplete) {
    summary.coverage_at = summary.end;
    summary.coverage_reason = "made so";
  }
  if (made.commits == MadeSegment::Commits::kOne) {
    const std::uint32_t xid = made.xid.value_or(static_cast<std::uint32_t>(1000 + number));
    const Timestamp time = made.time.value_or(minute(number));
    index.transactions.push_back(
        {.xid = xid, .time = time, .start = at(number, 0x1000), .end = at(number, 0x1040)});
    summary.finished_count = 1;
    summary.first_finished = {time, at(number, 0x1000), at(number, 0x1040)};
    summary.last_finished = summary.first_finished;
    summary.earliest = summary.latest = time;
    summary.oldest_xid = summary.newest_xid = xid;
  }
  if (!made.restore_point.empty()) {
    summary.restore_points.push_back({.name = made.restore_point,
                                      .time = minute(number) + std::chrono::seconds(10),
                                      .start = at(number, 0x1800),
                                      .end = at(number, 0x1880)});
  }
  if (!made.tablespace.empty()) {
    summary.tablespaces.push_back(at(number, 0x800));
    index.file_events.push_back({.kind = WalFileEvent::Kind::kTablespaceCreated,
                                 .start = at(number, 0x800),
                                 .path = made.tablespace});
  }
  return index;
}

class ArchiveMaker {
 public:
  explicit ArchiveMaker(Sealed sealed = Sealed::kPlain)
      : repository(sealed), opened(repository.open()) {
    register_cluster(*opened, "demo", identity(), kNoStop);
  }

  static ClusterIdentity identity() {
    return {.system_identifier = 77, .wal_segment_size = kMadeSegmentSize, .host = "test"};
  }

  void segment(TimelineId timeline, std::uint64_t number, const MadeSegment& made = {}) {
    const bool indexed = made.indexed == MadeSegment::Indexed::kYes;
    put({timeline, number}, indexed ? std::optional(made_index(number, made)) : std::nullopt);
  }
  void put(SegmentName segment, const std::optional<SegmentIndex>& index) {
    Compressor compressor({Compression::kZstd, 1});
    put_wal(*opened, place(),
            {.identity = {.file = wal_file_of(segment, kMadeSegmentSize),
                          .system_identifier = 77,
                          .segment_size = kMadeSegmentSize,
                          .bytes = kMadeSegmentSize.bytes,
                          .content = content_of(segment.number)},
             .index = pack_wal_index(compressor, index),
             .content = {}},
            kNoStop);
  }
  // Two segments, and between them a commit record of transaction 424242 at minute(1000) of which
  // 16 bytes are in the first one; nothing else finishes in them. Returns the second one's last
  // record, a switch.
  Lsn crossing(TimelineId timeline, std::uint64_t first) {
    WalMaker maker(17, kMadeSegmentSize, at(first), timeline);
    maker.set_previous(at(first - 1, 0x2000));
    maker.fill_segment_up_to(16);
    Encoder time;
    const auto since = minute(1000) - *parse_rfc3339("2000-01-01T00:00:00Z");
    time.u64(static_cast<std::uint64_t>(since.count()));
    maker.add({.manager = 1, .xid = 424242, .body = RecordBody().main(time.view()).take()});
    const Lsn last = maker.add_switch();
    for (const std::uint64_t number : {first, first + 1}) {
      put({timeline, number},
          index_segment(in_memory(maker.segment(number)), {timeline, number}, kMadeSegmentSize));
    }
    return last;
  }
  static Checksum128 content_of(std::uint64_t number) {
    return xxh3_128(as_bytes(std::to_string(number)));
  }
  void segments(TimelineId timeline, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) segment(timeline, number);
  }
  void remove_segment(TimelineId timeline, std::uint64_t number) {
    repository.objects->objects.erase(
        names::wal_segment(place(), {timeline, number}, kMadeSegmentSize));
  }
  void history_file(TimelineId timeline, const std::string& text) {
    Compressor compressor({Compression::kZstd, 1});
    const PackedWal wal{.identity = {.file = history_file_of(timeline),
                                     .system_identifier = 77,
                                     .segment_size = kMadeSegmentSize,
                                     .bytes = text.size(),
                                     .content_bytes = text.size(),
                                     .content = wal_content_hash(as_bytes(text))},
                        .index = pack_wal_index(compressor, std::nullopt),
                        .content = pack_wal_content(compressor, as_bytes(text))};
    put_wal(*opened, place(), wal, kNoStop);
  }
  // Opens the next history and writes there from now on.
  void take_over(TimelineId timeline, Lsn lsn) {
    history = open_history(*opened, "demo", identity(),
                           {.reason = HistoryReason::kTakeOver,
                            .fork = HistoryFork{history.number, timeline, lsn}},
                           kNoStop)
                  .name;
  }

  // Opens a side line of this history; what is made stays in this history.
  HistoryName side_line() const {
    return open_history(*opened, "demo", identity(),
                        {.reason = HistoryReason::kRecovery,
                         .side = SideLine{history.number, "recovery of today"}},
                        kNoStop)
        .name;
  }

  enum class Wal { kArchived, kCarried };
  struct MadeBackup {
    std::uint64_t start = 0, stop = 0;  // segments
    TimelineId timeline{1};
    Wal wal = Wal::kArchived;
    std::string label = {};
    bool of_a_copy = false;  // a safety backup
  };
  BackupName backup(const MadeBackup& made) {
    BackupInfo info;
    info.name = {"demo", history, {fmt::format("20260101T{:06}Z-0001", ++backups_)}};
    info.label = made.label;
    info.standalone = made.wal == Wal::kCarried;
    if (made.of_a_copy) {
      info.recovered = RecoveredFacts{.recovery = "recovery",
                                      .backup = {"demo", {1, 77}, {"20260101T000001Z-0001"}},
                                      .target = "restore point before",
                                      .last_transaction = minute(made.stop)};
    }
    info.timeline = made.timeline;
    info.start_lsn = at(made.start, 0x28);
    info.stop_lsn = at(made.stop, 0x100);
    info.start_time = minute(made.start);
    info.stop_time = minute(made.stop) - std::chrono::seconds(30);
    info.wal_segment_size = kMadeSegmentSize;
    info.postgres_version_num = 170000;
    info.owners = {{}};
    commit_backup(*opened,
                  {.committed = true,
                   .time = "2026-01-01T00:00:01Z",
                   .by = "test",
                   .info = info,
                   .manifest_bytes = 1,
                   .manifest_sha256 = std::string(64, '0')},
                  kNoStop);
    return info.name;
  }

  WalPlace place() const { return {"demo", history}; }

  TestRepository repository;
  std::unique_ptr<Repository> opened;
  HistoryName history{1, 77};

 private:
  int backups_ = 0;
};

}  // namespace holdfast::test
