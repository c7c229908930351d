// Indexes and summaries, encoded and decoded; and blocks gathered from many references.

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "core/error.h"
#include "repository/wal_index.h"
#include "support/surroundings.h"

namespace holdfast {
namespace {

using Random = std::mt19937_64;
using std::chrono::microseconds;

std::uint32_t below(Random& random, std::uint32_t end) {
  return static_cast<std::uint32_t>(random() % end);
}

std::uint32_t any32(Random& random) {
  return static_cast<std::uint32_t>(random() >> below(random, 60) & 0xFFFFFFFFU);
}

Bytes any_bytes(Random& random, std::uint32_t most) {
  Bytes bytes(below(random, most));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Lsn any_lsn(Random& random) {
  return {1 + (random() >> below(random, 63))};
}

Timestamp any_time(Random& random) {
  return Timestamp(microseconds(static_cast<std::int64_t>(random() >> below(random, 63))));
}

RelationFile any_file(Random& random) {
  return {any32(random), any32(random), any32(random)};
}

SegmentSummary any_summary(Random& random) {
  SegmentSummary summary;
  summary.segment_start = any_lsn(random);
  summary.segment_size = {1U << (20 + below(random, 11))};
  summary.major_version = static_cast<int>(13 + below(random, 6));
  if (below(random, 2) == 0) summary.first_record = any_lsn(random);
  if (below(random, 2) == 0) summary.last_record = any_lsn(random);
  if (below(random, 2) == 0) summary.end = any_lsn(random);
  summary.ends_in_switch = below(random, 2) == 0;
  summary.coverage = static_cast<WalCoverage>(below(random, 5));
  if (summary.coverage != WalCoverage::kComplete) summary.coverage_at = any_lsn(random);
  summary.coverage_reason = as_text(any_bytes(random, 40));
  if (below(random, 2) == 0) {
    summary.finished_count = 1 + below(random, 9);
    summary.first_finished = CommitPoint{any_time(random), any_lsn(random), any_lsn(random)};
    summary.last_finished = CommitPoint{any_time(random), any_lsn(random), any_lsn(random)};
    summary.earliest = any_time(random);
    summary.latest = any_time(random);
    summary.oldest_xid = any32(random);
    summary.newest_xid = any32(random);
  }
  for (std::uint32_t i = below(random, 4); i > 0; --i) {
    summary.restore_points.push_back({std::string(as_text(any_bytes(random, 63))), any_time(random),
                                      any_lsn(random), any_lsn(random)});
    summary.checkpoints.push_back({any_lsn(random),
                                   any_lsn(random),
                                   any_lsn(random),
                                   {any32(random)},
                                   {any32(random)},
                                   static_cast<WalCheckpoint::Kind>(below(random, 2)),
                                   below(random, 2) == 0});
    summary.recovery_ends.push_back(
        {any_lsn(random), any_lsn(random), any_time(random), {any32(random)}, {any32(random)}});
    summary.minimal_wal.push_back(any_lsn(random));
    summary.tablespaces.push_back(any_lsn(random));
  }
  return summary;
}

SegmentBorders any_borders(Random& random) {
  SegmentBorders borders;
  borders.head_state = static_cast<WalHead::State>(below(random, 4));
  borders.head = any_bytes(random, 300);
  borders.head_size = borders.head.size();
  borders.head_missing = any32(random);
  borders.tail_start = any_lsn(random);
  borders.tail_size = kMaxWalPieceBytes + 1 + below(random, 100);  // not kept
  borders.tail_missing = any32(random);
  if (below(random, 2) == 0) borders.head_end = any_lsn(random);
  if (below(random, 2) == 0) borders.previous_record = any_lsn(random);
  if (below(random, 2) == 0) borders.overwritten = any_lsn(random);
  return borders;
}

SegmentIndex any_index(Random& random) {
  SegmentIndex index{.summary = any_summary(random), .borders = any_borders(random)};
  Lsn at = index.summary.segment_start;
  for (std::uint32_t i = below(random, 50); i > 0; --i) {
    FinishedTransaction& finished = index.transactions.emplace_back();
    at.value += 1 + below(random, 5000);
    finished = {.xid = any32(random),
                .outcome = static_cast<FinishedTransaction::Outcome>(below(random, 2)),
                .kind = static_cast<FinishedTransaction::Kind>(below(random, 2)),
                .time = any_time(random),
                .start = at,
                .end = {at.value + any32(random)}};
  }
  WalBlockSet blocks;
  for (std::uint32_t i = below(random, 200); i > 0; --i) {
    blocks.add({1663, below(random, 2), below(random, 3)},
               static_cast<std::uint8_t>(below(random, 4)),
               below(random, 3) == 0 ? any32(random) % 0xFFFFFFFFU : below(random, 20));
  }
  index.blocks = blocks.take();
  for (std::uint32_t i = below(random, 20); i > 0; --i) {
    WalFileEvent& event = index.file_events.emplace_back();
    event.kind = static_cast<WalFileEvent::Kind>(1 + below(random, 9));
    event.start = any_lsn(random);
    event.file = any_file(random);
    event.fork = static_cast<std::uint8_t>(below(random, 4));
    event.truncated = static_cast<std::uint8_t>(below(random, 8));
    event.blocks = any32(random);
    event.source_database = any32(random);
    event.source_tablespace = any32(random);
    event.path = as_text(any_bytes(random, 50));
  }
  return index;
}

Random seeded() {
  const std::uint64_t seed = test::random_seed();
  std::printf("HOLDFAST_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return Random(seed);
}

TEST(WalIndexEncoding, RoundTrips) {
  Random random = seeded();
  for (int i = 0; i < 500; ++i) {
    const SegmentIndex index = any_index(random);
    ASSERT_EQ(decode_index(encode_index(index)), index) << i;
    ASSERT_EQ(decode_summary(encode_summary(index.summary)), index.summary) << i;
  }
  EXPECT_EQ(decode_index(encode_index({})), SegmentIndex{});
  EXPECT_EQ(decode_summary(encode_summary({})), SegmentSummary{});
}

TEST(WalIndexEncoding, CutAndChangedBytesAreDamageOrAnotherIndex) {
  Random random = seeded();
  for (int i = 0; i < 60; ++i) {
    const Bytes good = encode_index(any_index(random));
    for (std::size_t size = 0; size < good.size(); size += 1 + size / 64) {
      EXPECT_THROW(decode_index(ByteView(good).first(size)), Error) << size;
    }
    Bytes longer = good;
    longer.push_back(std::byte{0});
    EXPECT_THROW(decode_index(longer), Error);
    for (int round = 0; round < 200; ++round) {
      Bytes bad = good;
      bad[random() % bad.size()] ^= static_cast<std::byte>(1U << random() % 8);
      try {
        const SegmentIndex other = decode_index(bad);
        EXPECT_EQ(decode_index(encode_index(other)), other);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kDamage);
      }
    }
  }
}

TEST(WalIndexEncoding, NonsenseIsDamage) {
  const auto is_damage = [](const SegmentIndex& index) {
    try {
      decode_index(encode_index(index));
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kDamage;
    }
    return false;
  };
  SegmentIndex index;
  EXPECT_FALSE(is_damage(index));
  index.transactions = {{.xid = 1, .start = {100}, .end = {110}},
                        {.xid = 2, .start = {100}, .end = {110}}};
  EXPECT_TRUE(is_damage(index)) << "two transactions at one place";
  index = {};
  index.blocks = {{{1, 2, 3}, 0, {{5, 1}}}, {{1, 2, 3}, 0, {{6, 1}}}};
  EXPECT_TRUE(is_damage(index)) << "one fork twice";
  index.blocks = {{{1, 2, 3}, 4, {{5, 1}}}};
  EXPECT_TRUE(is_damage(index)) << "no such fork";
  index = {};
  index.borders.head_size = 5;
  EXPECT_TRUE(is_damage(index)) << "a piece without bytes";
  index = {};
  index.file_events.resize(1);
  index.file_events[0].kind = static_cast<WalFileEvent::Kind>(10);
  EXPECT_TRUE(is_damage(index)) << "no such event";
  index = {};
  index.summary.finished_count = 3;
  EXPECT_TRUE(is_damage(index)) << "transactions, but no first one";
}

// A busy segment's index is small beside it: every one of 32,000 transactions, 20,000 blocks.
TEST(WalIndexEncoding, IsCompact) {
  Random random = seeded();
  SegmentIndex index;
  index.summary.segment_start = {std::uint64_t{0x1200} << 24U};
  Lsn at = index.summary.segment_start;
  Timestamp time = *parse_rfc3339("2026-10-11T12:00:00Z");
  for (std::uint32_t i = 0; i < 32'000; ++i) {
    at.value += 500;
    time += microseconds(below(random, 300));
    index.transactions.push_back({.xid = 70'000'000 + i + below(random, 4),
                                  .time = time,
                                  .start = at,
                                  .end = {at.value + 40}});
  }
  WalBlockSet blocks;
  for (int i = 0; i < 20'000; ++i) blocks.add({1663, 5, 16'384}, 0, below(random, 163'934));
  index.blocks = blocks.take();
  EXPECT_LT(encode_index(index).size(), 32'000U * 7 + 20'000U * 2);
  EXPECT_LT(encode_summary(index.summary).size(), 100U);
}

TEST(WalBlockSet, IsTheSetOfWhatWasAdded) {
  Random random = seeded();
  for (const std::uint32_t range : {10U, 5000U, 4'294'967'295U}) {
    WalBlockSet blocks;
    std::map<std::pair<std::uint32_t, std::uint8_t>, std::set<std::uint32_t>> expected;
    for (int i = 0; i < 30'000; ++i) {
      const std::uint32_t relation = below(random, 70);
      const auto fork = static_cast<std::uint8_t>(below(random, 3));
      const std::uint32_t block = below(random, range);
      blocks.add({1663, 5, relation}, fork, block);
      expected[{relation, fork}].insert(block);
    }
    const std::vector<RelationBlocks> got = blocks.take();
    ASSERT_EQ(got.size(), expected.size());
    auto at = got.begin();
    for (const auto& [fork, numbers] : expected) {
      ASSERT_EQ(at->file.relation, fork.first);
      ASSERT_EQ(at->fork, fork.second);
      std::set<std::uint32_t> listed;
      std::uint64_t lowest = 0;
      for (const BlockRun& run : at->runs) {
        ASSERT_GE(run.first, lowest);
        for (std::uint32_t i = 0; i < run.count; ++i) listed.insert(run.first + i);
        lowest = std::uint64_t{run.first} + run.count + 1;  // runs do not touch
      }
      ASSERT_EQ(listed, numbers);
      ++at;
    }
    EXPECT_TRUE(blocks.take().empty());
  }
}

// More blocks than are kept in the table at once: nothing is lost, nothing is twice.
TEST(WalBlockSet, MoreThanFitTheTable) {
  WalBlockSet blocks;
  constexpr std::uint32_t kBlocks = 3'000'000;
  static_assert(kBlocks > 2 * WalBlockSet::kMaxPendingBlocks);
  for (std::uint32_t i = 0; i < kBlocks; ++i) {
    blocks.add({1663, 5, 1}, 0,
               static_cast<std::uint32_t>(std::uint64_t{i} * 1'000'003 % kBlocks) * 2);
  }
  for (std::uint32_t i = 0; i < 5; ++i) blocks.add({1663, 5, 1}, 0, 2 * i + 1);
  const std::vector<RelationBlocks> got = blocks.take();
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].runs.front(), (BlockRun{0, 11}));
  EXPECT_EQ(got[0].runs.size(), kBlocks - 5);
  EXPECT_EQ(got[0].runs.back(), (BlockRun{(kBlocks - 1) * 2, 1}));
}

}  // namespace
}  // namespace holdfast
