// What an index says of a segment, for every kind of record of PostgreSQL 13 to 18, and what it
// admits not to know.

#include "repository/wal_index.h"

#include <gtest/gtest.h>

#include "support/wal_maker.h"

namespace holdfast {
namespace {

using test::RecordBody;
using test::WalMaker;

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kNumber = 5;
constexpr Lsn kStart{kNumber << 20U};
constexpr std::int64_t kNoon = 845'035'200'000'000;  // 2026-10-11 12:00 UTC since 2000

WalMaker maker_of(int version = 15) {
  WalMaker maker(version, kSize, kStart);
  maker.set_previous({kStart.value - 64});
  return maker;
}

// The index of a segment that ends, after what is in it, with a WAL switch.
SegmentIndex index(WalMaker& maker) {
  maker.add_switch();
  return index_segment(in_memory(maker.segment(kNumber)), maker.name(kNumber), kSize);
}

Lsn add(WalMaker& maker, std::uint8_t manager, std::uint8_t info, const Encoder& data,
        std::uint32_t xid = 0) {
  return maker.add({.manager = manager,
                    .info = info,
                    .xid = xid,
                    .body = RecordBody().main(data.view()).take()});
}

Encoder numbers(std::initializer_list<std::uint32_t> values) {
  Encoder out;
  for (const std::uint32_t value : values) out.u32(value);
  return out;
}

WalFileEvent event(WalFileEvent::Kind kind, Lsn start, RelationFile file) {
  WalFileEvent made;
  made.kind = kind;
  made.start = start;
  made.file = file;
  return made;
}

struct End {
  std::uint8_t kind = 0x00;
  std::uint32_t flags = 0;
  std::uint32_t prepared_xid = 0;
  std::vector<RelationFile> dropped = {};
  std::int64_t time = kNoon;
};

// As PostgreSQL of that version writes the end of a transaction, with all that its flags promise.
Encoder transaction_end(const End& end, int version) {
  Encoder out;
  out.u64(static_cast<std::uint64_t>(end.time));
  if (end.flags == 0) return out;
  const auto pad = [&out](std::size_t bytes) { out.raw(Bytes(bytes, std::byte{0xEE})); };
  out.u32(end.flags);
  if ((end.flags & 1U) != 0) pad(8);
  if ((end.flags & 2U) != 0) {
    out.u32(3);
    pad(3 * 4);
  }
  if ((end.flags & 4U) != 0) {
    out.u32(static_cast<std::uint32_t>(end.dropped.size()));
    for (const RelationFile& file : end.dropped) {
      out.u32(file.tablespace);
      out.u32(file.database);
      out.u32(file.relation);
    }
  }
  if ((end.flags & 0x100U) != 0) {
    out.u32(2);
    pad(2 * (version >= 18 ? 16U : 12U));
  }
  if ((end.flags & 8U) != 0) {
    out.u32(2);
    pad(2 * 16);
  }
  if ((end.flags & 0x10U) != 0) out.u32(end.prepared_xid);
  if ((end.flags & 0x80U) != 0) out.raw(as_bytes(std::string_view("gid\0", 4)));
  if ((end.flags & 0x20U) != 0) pad(16);
  return out;
}

class EveryVersion : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, EveryVersion, testing::Range(13, 19),
                         [](const auto& tested) { return "V" + std::to_string(tested.param); });

TEST_P(EveryVersion, TransactionsAndTheirDrops) {
  const int version = GetParam();
  const std::uint32_t statistics = version >= 15 ? 0x100 : 0;
  const std::vector<RelationFile> files{{1663, 5, 16'384}, {1664, 0, 1260}};
  WalMaker maker = maker_of(version);
  const Lsn plain = add(maker, 1, 0x00, transaction_end({}, version), 700);
  const Lsn full = add(
      maker, 1, 0x80,
      transaction_end({.flags = 0x2FU | statistics, .dropped = files, .time = kNoon - 5}, version),
      702);
  const Lsn abort =
      add(maker, 1, 0xA0,
          transaction_end({.flags = 6U | statistics, .dropped = {files[0]}}, version), 701);
  const Lsn prepared = add(maker, 1, 0xB0,
                           transaction_end({.flags = 0xBFU | statistics,
                                            .prepared_xid = 650,
                                            .dropped = {files[1]},
                                            .time = kNoon + 9},
                                           version),
                           710);
  const Lsn rolled_back =
      add(maker, 1, 0xC0, transaction_end({.flags = 0x90U, .prepared_xid = 651}, version), 711);
  add(maker, 1, 0x10, numbers({1, 2, 3}), 712);  // prepare: nothing is finished
  add(maker, 1, 0x50, numbers({1, 2, 3}), 712);  // assignment
  const SegmentIndex got = index(maker);
  EXPECT_EQ(got.summary.coverage, WalCoverage::kComplete) << got.summary.coverage_reason;

  using Finished = FinishedTransaction;
  ASSERT_EQ(got.transactions.size(), 5U);
  const Timestamp noon = *parse_rfc3339("2026-10-11T12:00:00Z");
  const Finished expected{.xid = 700, .time = noon, .start = plain, .end = full};
  EXPECT_EQ(got.transactions[0], expected);
  EXPECT_EQ(got.transactions[1].xid, 702U);
  EXPECT_EQ(got.transactions[1].start, full);
  EXPECT_EQ(got.transactions[2].outcome, Finished::Outcome::kAborted);
  EXPECT_EQ(got.transactions[2].kind, Finished::Kind::kOrdinary);
  EXPECT_EQ(got.transactions[3].xid, 650U) << "its own, not the session's";
  EXPECT_EQ(got.transactions[3].kind, Finished::Kind::kPrepared);
  EXPECT_EQ(got.transactions[3].outcome, Finished::Outcome::kCommitted);
  EXPECT_EQ(got.transactions[4].xid, 651U);
  EXPECT_EQ(got.transactions[4].kind, Finished::Kind::kPrepared);
  EXPECT_EQ(got.transactions[4].outcome, Finished::Outcome::kAborted);

  using Kind = WalFileEvent::Kind;
  EXPECT_EQ(got.file_events,
            (std::vector<WalFileEvent>{
                event(Kind::kDrop, full, files[0]), event(Kind::kDrop, full, files[1]),
                event(Kind::kDrop, abort, files[0]), event(Kind::kDrop, prepared, files[1])}));

  const SegmentSummary& summary = got.summary;
  EXPECT_EQ(summary.finished_count, 5U);
  EXPECT_EQ(summary.first_finished, (CommitPoint{noon, plain, full}));
  EXPECT_EQ(summary.last_finished->start, rolled_back);
  EXPECT_EQ(summary.earliest, noon - std::chrono::microseconds(5));
  EXPECT_EQ(summary.latest, noon + std::chrono::microseconds(9));
  EXPECT_EQ(summary.oldest_xid, 650U);
  EXPECT_EQ(summary.newest_xid, 702U);
  EXPECT_TRUE(may_have_finished(summary, 650));
  EXPECT_TRUE(may_have_finished(summary, 702));
  EXPECT_FALSE(may_have_finished(summary, 649));
  EXPECT_FALSE(may_have_finished(summary, 703));
}

TEST_P(EveryVersion, FilesDatabasesAndTablespaces) {
  const int version = GetParam();
  using Kind = WalFileEvent::Kind;
  std::vector<WalFileEvent> expected;
  WalMaker maker = maker_of(version);
  const auto expect = [&](Kind kind, Lsn start, RelationFile file) -> WalFileEvent& {
    return expected.emplace_back(event(kind, start, file));
  };
  expect(Kind::kCreate, add(maker, 2, 0x11, numbers({1663, 5, 16'390, 3})), {1663, 5, 16'390})
      .fork = kInitFork;
  WalFileEvent& cut = expect(
      Kind::kTruncate, add(maker, 2, 0x21, numbers({77, 1663, 5, 16'391, 5})), {1663, 5, 16'391});
  cut.blocks = 77;
  cut.truncated = WalFileEvent::kTruncatesMain | WalFileEvent::kTruncatesFreeSpace;
  WalFileEvent& copied =
      expect(Kind::kDatabaseCopied, add(maker, 4, 0x01, numbers({20'000, 1663, 4, 1700})),
             {1663, 20'000, 0});
  copied.source_database = 4;
  copied.source_tablespace = 1700;
  if (version >= 15) {
    expect(Kind::kDatabaseCreated, add(maker, 4, 0x11, numbers({20'001, 1663})), {1663, 20'001, 0});
  }
  const std::uint8_t drop = version >= 15 ? 0x21 : 0x11;
  const Lsn dropped = add(maker, 4, drop, numbers({20'002, 2, 1663, 1700}));
  expect(Kind::kDatabaseDropped, dropped, {1663, 20'002, 0});
  expect(Kind::kDatabaseDropped, dropped, {1700, 20'002, 0});
  Encoder place = numbers({1701});
  place.raw(as_bytes(std::string_view("/srv/space\0", 11)));
  const Lsn made = add(maker, 5, 0x00, place);
  expect(Kind::kTablespaceCreated, made, {1701, 0, 0}).path = "/srv/space";
  expect(Kind::kTablespaceDropped, add(maker, 5, 0x10, numbers({1702})), {1702, 0, 0});
  expect(Kind::kRelationMap, add(maker, 7, 0x00, numbers({5, 1663, 512})), {1663, 5, 0});
  const SegmentIndex got = index(maker);
  EXPECT_EQ(got.file_events, expected);
  EXPECT_EQ(got.summary.tablespaces, std::vector<Lsn>{made});
  EXPECT_EQ(got.summary.coverage, WalCoverage::kComplete) << got.summary.coverage_reason;
}

TEST_P(EveryVersion, CheckpointsRestorePointsAndRecoveryEnds) {
  const int version = GetParam();
  WalMaker maker = maker_of(version);
  const auto checkpoint = [&](std::uint8_t kind, std::uint32_t level) {
    Encoder data;
    data.u64(0x4FF000);
    data.u32(3);
    data.u32(2);
    data.u32(1);  // full_page_writes and padding
    if (version >= 17) data.u32(level);
    data.raw(Bytes(64));
    return add(maker, 0, kind, data);
  };
  const Lsn shutdown = checkpoint(0x00, 1);
  const Lsn online = checkpoint(0x10, 0);
  Encoder name;
  name.u64(static_cast<std::uint64_t>(kNoon));
  name.raw(as_bytes("before the upgrade"));
  name.raw(Bytes(64 - 18));
  const Lsn point = add(maker, 0, 0x70, name);
  Encoder ended;
  ended.u64(static_cast<std::uint64_t>(kNoon));
  ended.u32(3);
  ended.u32(2);
  if (version >= 17) ended.u32(2);
  const Lsn end = add(maker, 0, 0x90, ended);
  const Lsn minimal = add(maker, 0, 0x60, numbers({100, 8, 10, 0, 64, 0, 0}));
  const Lsn replica = add(maker, 0, 0x60, numbers({100, 8, 10, 0, 64, 1, 0}));
  if (version >= 17) add(maker, 0, 0xE0, numbers({1}));
  const SegmentSummary got = index(maker).summary;
  EXPECT_EQ(got.coverage, WalCoverage::kComplete) << got.coverage_reason;
  const Timestamp noon = *parse_rfc3339("2026-10-11T12:00:00Z");
  using Kind = WalCheckpoint::Kind;
  EXPECT_EQ(got.checkpoints,
            (std::vector<WalCheckpoint>{{shutdown, online, {0x4FF000}, {3}, {2}, Kind::kShutdown},
                                        {online, point, {0x4FF000}, {3}, {2}, Kind::kOnline}}));
  EXPECT_EQ(got.restore_points,
            (std::vector<RestorePoint>{{"before the upgrade", noon, point, end}}));
  EXPECT_EQ(got.recovery_ends, (std::vector<WalRecoveryEnd>{{end, minimal, noon, {3}, {2}}}));
  EXPECT_EQ(got.minimal_wal,
            version >= 17 ? (std::vector<Lsn>{online, minimal}) : std::vector<Lsn>{minimal});
  EXPECT_LT(minimal, replica);
}

TEST(WalIndex, BlocksOnceAndInOrder) {
  WalMaker maker = maker_of();
  const auto touch = [&](std::uint32_t relation, std::uint8_t fork, std::uint32_t block) {
    maker.add({.body = RecordBody()
                           .block(0, 1663, 5, relation, fork, block)
                           .block(1, 1663, 5, 99, 0, 4'294'967'294U)
                           .take()});
  };
  for (const std::uint32_t block : {9U, 3U, 4U, 3U, 5U, 100U, 0U, 9U}) touch(200, 0, block);
  touch(200, 2, 0);
  touch(100, 1, 7);
  EXPECT_EQ(index(maker).blocks, (std::vector<RelationBlocks>{
                                     {{1663, 5, 99}, 0, {{4'294'967'294U, 1}}},
                                     {{1663, 5, 100}, 1, {{7, 1}}},
                                     {{1663, 5, 200}, 0, {{0, 1}, {3, 3}, {9, 1}, {100, 1}}},
                                     {{1663, 5, 200}, 2, {{0, 1}}},
                                 }));
}

// What a complete coverage would be a lie for.
TEST(WalIndex, AdmitsWhatItDoesNotKnow) {
  const auto coverage = [](std::uint8_t manager, std::uint8_t info, const Encoder& data,
                           int version = 15) {
    WalMaker maker = maker_of(version);
    const Lsn at = add(maker, manager, info, data, 700);
    const SegmentSummary summary = index(maker).summary;
    EXPECT_EQ(summary.coverage_at, summary.coverage == WalCoverage::kComplete ? Lsn{} : at);
    EXPECT_EQ(summary.coverage_reason.empty(), summary.coverage == WalCoverage::kComplete);
    return summary.coverage;
  };
  constexpr auto kUndecodable = WalCoverage::kUndecodable;
  constexpr auto kComplete = WalCoverage::kComplete;
  EXPECT_EQ(coverage(21, 0, numbers({1})), kComplete);
  EXPECT_EQ(coverage(22, 0, numbers({1})), WalCoverage::kUnknownManager);
  EXPECT_EQ(coverage(128, 0, numbers({1})), WalCoverage::kUnknownManager);
  EXPECT_EQ(coverage(255, 0, numbers({1})), WalCoverage::kUnknownManager);
  EXPECT_EQ(coverage(10, 0x01, numbers({1})), kUndecodable) << "changes files, but how?";
  EXPECT_EQ(coverage(0, 0xC0, numbers({1})), kUndecodable) << "an unknown kind";
  EXPECT_EQ(coverage(0, 0xE0, numbers({1}), 16), kUndecodable) << "came with 17";
  EXPECT_EQ(coverage(0, 0xE0, numbers({1}), 17), kComplete);
  EXPECT_EQ(coverage(0, 0x20, numbers({1})), kComplete);
  EXPECT_EQ(coverage(0, 0x00, numbers({1, 2})), kUndecodable) << "too short a checkpoint";
  EXPECT_EQ(coverage(0, 0x60, numbers({1, 2, 3})), kUndecodable);
  EXPECT_EQ(coverage(1, 0x60, numbers({1}), 13), kUndecodable) << "came with 14";
  EXPECT_EQ(coverage(1, 0x60, numbers({1}), 14), kComplete);
  EXPECT_EQ(coverage(1, 0x70, numbers({1})), kUndecodable);
  EXPECT_EQ(coverage(1, 0x00, numbers({1})), kUndecodable) << "half a time";
  EXPECT_EQ(coverage(1, 0x80, numbers({1, 2, 4, 0xFFFFFFFF})), kUndecodable) << "too many drops";
  EXPECT_EQ(coverage(1, 0x30, numbers({1, 2})), kUndecodable) << "prepared, but which?";
  EXPECT_EQ(coverage(2, 0x11, numbers({1663, 5, 16'390, 4})), kUndecodable) << "no such fork";
  EXPECT_EQ(coverage(2, 0x31, numbers({1663, 5, 16'390, 0})), kUndecodable);
  EXPECT_EQ(coverage(2, 0x21, numbers({1, 2, 3, 4, 8})), kUndecodable);
  EXPECT_EQ(coverage(4, 0x21, numbers({1, 2, 3, 4, 8}), 14), kUndecodable) << "came with 15";
  EXPECT_EQ(coverage(4, 0x21, numbers({1, 2, 3})), kUndecodable) << "one of two tablespaces";
  EXPECT_EQ(coverage(4, 0x31, numbers({1, 2, 3})), kUndecodable);
  EXPECT_EQ(coverage(5, 0x00, numbers({1, 0x41414141})), kUndecodable) << "a path without end";
  EXPECT_EQ(coverage(5, 0x20, numbers({1})), kUndecodable);
  EXPECT_EQ(coverage(7, 0x10, numbers({1, 2})), kUndecodable);
}

TEST(WalIndex, ARecordThatDoesNotDecodeIsNotPassedOver) {
  WalMaker maker = maker_of();
  maker.add({.body = RecordBody().block(33, 1, 1, 1, 0, 1).take()});
  add(maker, 1, 0x00, transaction_end({}, 15), 700);
  const SegmentIndex got = index(maker);
  EXPECT_EQ(got.summary.coverage, WalCoverage::kUndecodable);
  EXPECT_EQ(got.transactions.size(), 1U) << "what comes behind it is still read";
  EXPECT_FALSE(knows_transactions(got.summary));
}

TEST(WalIndex, PositionsAndEnds) {
  WalMaker maker = maker_of();
  const Lsn first = maker.add_filler(64);
  const SegmentSummary early =
      index_segment(in_memory(maker.segment(kNumber)), maker.name(kNumber), kSize).summary;
  EXPECT_EQ(early.coverage, WalCoverage::kEndsEarly);
  EXPECT_EQ(early.end, maker.position());
  EXPECT_FALSE(early.ends_in_switch);
  const Lsn last = maker.position();
  const SegmentSummary got = index(maker).summary;
  EXPECT_EQ(got.segment_start, kStart);
  EXPECT_EQ(got.segment_size, kSize);
  EXPECT_EQ(got.major_version, 15);
  EXPECT_EQ(got.first_record, first);
  EXPECT_EQ(got.last_record, last);
  EXPECT_EQ(got.end, Lsn{kStart.value + kSize.bytes});
  EXPECT_TRUE(got.ends_in_switch);
  EXPECT_FALSE(got.first_finished);
  EXPECT_FALSE(may_have_finished(got, 700));
}

TEST(WalIndex, WhatIsNoSegment) {
  for (const Bytes& bytes : {Bytes(), Bytes(100, std::byte{1}), Bytes(kSize.bytes)}) {
    const SegmentIndex got = index_segment(in_memory(bytes), {{1}, kNumber}, kSize);
    EXPECT_EQ(got.summary.coverage, WalCoverage::kNoSegment);
    EXPECT_FALSE(got.summary.coverage_reason.empty());
    EXPECT_EQ(decode_index(encode_index(got)), got);
  }
  EXPECT_EQ(index_segment({}, {{1}, kNumber}, {77}).summary.coverage, WalCoverage::kNoSegment);
}

TEST(WalIndex, TransactionIdsGoRound) {
  WalMaker maker = maker_of();
  for (const std::uint32_t xid : {4'294'967'290U, 5U, 4'294'967'280U, 9U, 3U}) {
    add(maker, 1, 0x00, transaction_end({}, 15), xid);
  }
  const SegmentSummary summary = index(maker).summary;
  EXPECT_EQ(summary.oldest_xid, 4'294'967'280U);
  EXPECT_EQ(summary.newest_xid, 9U);
  EXPECT_TRUE(may_have_finished(summary, 4));
  EXPECT_TRUE(may_have_finished(summary, 4'294'967'295U));
  EXPECT_FALSE(may_have_finished(summary, 10));
  EXPECT_FALSE(may_have_finished(summary, 4'000'000'000U));
}

TEST(WalIndex, TimesThatNoClockShows) {
  WalMaker maker = maker_of();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  add(maker, 1, 0x00, transaction_end({.time = kMost}, 15), 700);
  add(maker, 1, 0x00, transaction_end({.time = kLeast}, 15), 701);
  const SegmentIndex got = index(maker);
  EXPECT_EQ(got.summary.latest.time_since_epoch().count(), kMost);
  EXPECT_LT(got.summary.earliest, Timestamp{});
  EXPECT_EQ(decode_index(encode_index(got)), got);
}

}  // namespace
}  // namespace holdfast
