#include "wal/timeline_route.h"

#include <gtest/gtest.h>

namespace holdfast::test {
namespace {

constexpr WalSegmentSize kSize{16U << 20U};

Lsn in_segment(std::uint64_t number) {
  return {number * kSize.bytes + 1000};
}

std::vector<std::pair<std::uint32_t, std::uint64_t>> route(
    const std::vector<TimelineHistory>& histories, SegmentName from, std::size_t count) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
  for (const SegmentName& segment : TimelineRoute(histories, kSize).following(from, count)) {
    out.emplace_back(segment.timeline.value, segment.number);
  }
  return out;
}

using Steps = std::vector<std::pair<std::uint32_t, std::uint64_t>>;

const TimelineHistory kOne{.timeline = {1}};
// 2 left 1 in segment 5; 3 left 1 in segment 7; 4 left 2 in segment 9.
const TimelineHistory kTwo{.timeline = {2}, .switches = {{{1}, in_segment(5), ""}}};
const TimelineHistory kThree{.timeline = {3}, .switches = {{{1}, in_segment(7), ""}}};
const TimelineHistory kFour{.timeline = {4},
                            .switches = {{{1}, in_segment(5), ""}, {{2}, in_segment(9), ""}}};

TEST(TimelineRoute, GoesOntoTheNewTimelineInTheSegmentOfTheFork) {
  EXPECT_EQ(route({kOne, kTwo}, {{1}, 3}, 4), (Steps{{1, 4}, {2, 5}, {2, 6}, {2, 7}}));
}

TEST(TimelineRoute, PrefersTheNewestThatFits) {
  EXPECT_EQ(route({kOne, kTwo, kThree, kFour}, {{1}, 3}, 7),
            (Steps{{1, 4}, {2, 5}, {2, 6}, {2, 7}, {2, 8}, {4, 9}, {4, 10}}));
}

TEST(TimelineRoute, StaysOnTheLineThatIsAskedFor) {
  // Segment 5 of timeline 1 is not asked for by who recovers along 2 or 4, but along 3.
  EXPECT_EQ(route({kOne, kTwo, kThree, kFour}, {{1}, 5}, 3), (Steps{{1, 6}, {3, 7}, {3, 8}}));
  // And segment 7 only along 1.
  EXPECT_EQ(route({kOne, kTwo, kThree, kFour}, {{1}, 7}, 2), (Steps{{1, 8}, {1, 9}}));
}

TEST(TimelineRoute, KeepsToTheTimelineThatItKnowsNothingAbout) {
  EXPECT_EQ(route({}, {{6}, 1}, 2), (Steps{{6, 2}, {6, 3}}));
}

TEST(TimelineRoute, PassesOverATimelineThatHasNoWalInTheLine) {
  const TimelineHistory odd{.timeline = {3},
                            .switches = {{{1}, in_segment(5), ""}, {{2}, in_segment(4), ""}}};
  EXPECT_EQ(route({kOne, odd}, {{1}, 2}, 3), (Steps{{1, 3}, {3, 4}, {3, 5}}));
}

}  // namespace
}  // namespace holdfast::test
