// Roll-ups: written once a group is whole, read instead of its heads, never believed over a
// listing.
#include "repository/wal_rollup.h"

#include <gtest/gtest.h>

#include "archive_maker.h"
#include "repository/wal_summaries.h"

namespace holdfast::test {
namespace {

constexpr TimelineId kFirst{1};

WalListing listing_of(const ArchiveMaker& archive) {
  return list_wal(*archive.opened, archive.place(), kMadeSegmentSize, kNoStop);
}
std::string rollup_name(const ArchiveMaker& archive, std::uint64_t number) {
  return names::rollup(archive.place(), {kFirst, number}, kMadeSegmentSize);
}
std::vector<SegmentFacts> facts_of(const ArchiveMaker& archive, SegmentRange range) {
  const ArchiveSurvey survey = survey_archive(*archive.opened, "demo", kNoStop);
  const WalPath path = wal_path_of(*archive.opened, survey, archive.history, kFirst, kNoStop);
  return SummaryReader(*archive.opened, path).read(range, kNoStop);
}

TEST(WalRollUp, groups_are_of_one_log) {
  EXPECT_EQ(rollup_group(5, {1U << 20U}), (SegmentRange{1, 255}));
  EXPECT_EQ(rollup_group(256, {1U << 20U}), (SegmentRange{256, 511}));
  EXPECT_EQ(rollup_group(300, {16U << 20U}), (SegmentRange{256, 511}));
  EXPECT_EQ(rollup_group(70, {64U << 20U}), (SegmentRange{64, 127}));
  EXPECT_EQ(rollup_group(3, {1U << 30U}), (SegmentRange{1, 3}));
  const WalPlace place{"demo", {1, 77}};
  EXPECT_EQ(names::rollup(place, {{0x1F}, 300}, {16U << 20U}),
            "demo/0001-77/rollup/0000001F/00000001-0001");
  EXPECT_EQ(names::rollup(place, {kFirst, 4096 + 256}, {1U << 20U}),
            "demo/0001-77/rollup/00000001/00000001-0002");
}

TEST(WalRollUp, is_written_once_for_each_whole_group) {
  ArchiveMaker archive;
  archive.segments(kFirst, 200, 700);
  archive.segments(kFirst, 768, 1023);
  EXPECT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop), 2U);
  EXPECT_TRUE(archive.repository.objects->objects.contains(rollup_name(archive, 256)));
  EXPECT_TRUE(archive.repository.objects->objects.contains(rollup_name(archive, 768)));
  EXPECT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop), 0U);
  archive.segments(kFirst, 701, 767);
  EXPECT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 0, kNoStop), 0U);
  EXPECT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop), 1U);
}

TEST(WalRollUp, holds_summaries_and_content_hashes) {
  ArchiveMaker archive(Sealed::kEncrypted);
  archive.segments(kFirst, 250, 511);
  archive.segment(kFirst, 512, {.indexed = MadeSegment::Indexed::kNo});
  archive.segments(kFirst, 513, 767);
  EXPECT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop), 2U);
  const auto rollup =
      read_rollup(*archive.opened, archive.place(), {kFirst, 300}, kMadeSegmentSize, kNoStop);
  ASSERT_TRUE(rollup.has_value());
  EXPECT_EQ(rollup->first, 256U);
  ASSERT_EQ(rollup->segments.size(), 256U);
  EXPECT_EQ(rollup->segments[44].content, ArchiveMaker::content_of(300));
  EXPECT_EQ(rollup->segments[44].facts.summary, made_index(300, {}).summary);
  EXPECT_TRUE(rollup->segments[0].facts.joined);  // with 255
  const auto second =
      read_rollup(*archive.opened, archive.place(), {kFirst, 512}, kMadeSegmentSize, kNoStop);
  EXPECT_FALSE(second->segments[0].facts.summary.has_value());
  EXPECT_TRUE(second->segments[1].facts.summary.has_value());
  EXPECT_FALSE(second->segments[1].facts.joined);  // nothing is known of what is before it
  EXPECT_TRUE(second->segments[2].facts.joined);
  EXPECT_FALSE(
      read_rollup(*archive.opened, archive.place(), {kFirst, 800}, kMadeSegmentSize, kNoStop)
          .has_value());
}

TEST(WalRollUp, counts_a_transaction_that_ends_across_a_border) {
  ArchiveMaker archive;
  archive.segments(kFirst, 256, 299);
  SegmentIndex behind = made_index(302, {});
  behind.borders.previous_record = archive.crossing(kFirst, 300);
  archive.put({kFirst, 302}, behind);
  archive.segments(kFirst, 303, 511);
  const auto alone = facts_of(archive, {301, 301});
  EXPECT_EQ(alone[0].summary->finished_count, 0U);
  EXPECT_FALSE(alone[0].joined);
  ASSERT_EQ(write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop), 1U);
  const auto rolled = facts_of(archive, {290, 310});
  EXPECT_EQ(rolled[11].summary->finished_count, 1U);
  EXPECT_EQ(rolled[11].summary->newest_xid, 424242U);
  EXPECT_TRUE(rolled[11].joined);
  EXPECT_TRUE(rolled[12].joined);
}

TEST(WalRollUp, is_not_believed_over_the_listing) {
  ArchiveMaker archive;
  archive.segments(kFirst, 250, 520);
  archive.backup({.start = 255, .stop = 255});
  write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop);
  archive.remove_segment(kFirst, 400);
  EXPECT_FALSE(facts_of(archive, {256, 511})[400 - 256].summary.has_value());
  const ArchiveSurvey survey = survey_archive(*archive.opened, "demo", kNoStop);
  const RecoverableLine line =
      recoverable_line(*archive.opened, survey, archive.history, kFirst, {}, kNoStop);
  EXPECT_EQ(line.intervals.at(0).segments.last, 399U);
}

TEST(WalRollUp, a_damaged_one_is_passed_over) {
  ArchiveMaker archive;
  archive.segments(kFirst, 256, 511);
  write_due_rollups(*archive.opened, listing_of(archive), 10, kNoStop);
  archive.repository.object(rollup_name(archive, 256))[200] ^= std::byte{1};
  EXPECT_EQ(kind_of([&] {
              read_rollup(*archive.opened, archive.place(), {kFirst, 256}, kMadeSegmentSize,
                          kNoStop);
            }),
            ErrorKind::kDamage);
  const auto facts = facts_of(archive, {256, 511});
  EXPECT_EQ(facts[10].summary, made_index(266, {}).summary);
}

TEST(WalRollUp, decoding_refuses_what_encoding_did_not_write) {
  WalRollUp rollup{.first = 256, .segments = {}};
  for (std::uint64_t n = 256; n <= 511; ++n) {
    rollup.segments.push_back({ArchiveMaker::content_of(n), {made_index(n, {}).summary, true}});
  }
  const std::string object = "demo/0001-77/rollup/00000001/00000000-0002";
  const Bytes good = encode_rollup(object, kMadeSegmentSize, rollup);
  EXPECT_EQ(decode_rollup(good, object, kMadeSegmentSize).segments.size(), 256U);
  const auto refused = [&](ByteView bytes, const std::string& name, WalSegmentSize size) {
    return kind_of([&] { decode_rollup(bytes, name, size); }) == ErrorKind::kDamage;
  };
  EXPECT_TRUE(refused(good, "another", kMadeSegmentSize));
  EXPECT_TRUE(refused(good, object, {16U << 20U}));
  for (std::size_t length = 0; length < good.size(); length += 7) {
    EXPECT_TRUE(refused(ByteView(good).first(length), object, kMadeSegmentSize)) << length;
  }
  rollup.segments.pop_back();
  EXPECT_TRUE(refused(encode_rollup(object, kMadeSegmentSize, rollup), object, kMadeSegmentSize));
  rollup.segments.push_back({{}, {made_index(9, {}).summary, true}});  // of another segment
  EXPECT_TRUE(refused(encode_rollup(object, kMadeSegmentSize, rollup), object, kMadeSegmentSize));
}

}  // namespace
}  // namespace holdfast::test
