#include "postgres/timeline_history.h"

#include <random>

#include <gmock/gmock.h>

#include "core/error.h"
#include "support/surroundings.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kObject = "wal/00000003.history";

TimelineHistory parse(std::uint32_t timeline, std::string_view text) {
  return parse_timeline_history({timeline}, text, kObject);
}

// As PostgreSQL writes it: the parent's file, an empty line, its own line.
constexpr std::string_view kThird =
    "1\t0/5000000\tno recovery target specified\n"
    "\n"
    "2\t0/7000028\tbefore 2026-11-22 13:00:00+00\n";

TEST(TimelineHistories, AreReadAsPostgresWritesThem) {
  const TimelineHistory history = parse(3, kThird);
  EXPECT_EQ(history.timeline, TimelineId{3});
  EXPECT_EQ(history.switches,
            (std::vector<TimelineSwitch>{{{1}, {0x5000000}, "no recovery target specified"},
                                         {{2}, {0x7000028}, "before 2026-11-22 13:00:00+00"}}));
  EXPECT_EQ(parse(3, to_text(history)), history);
  EXPECT_EQ(to_text(TimelineHistory{}), "");
}

TEST(TimelineHistories, CommentsBlanksAndAMissingLastLineEndAreNothing) {
  EXPECT_EQ(parse(3, "# written by hand\n  \t\n  # more\n1 0/5000000\r\n\n2\t0/7000028").switches,
            (std::vector<TimelineSwitch>{{{1}, {0x5000000}, ""}, {{2}, {0x7000028}, ""}}));
}

struct BadHistory {
  const char* name;
  std::string text;
  const char* message;
};
void PrintTo(const BadHistory& bad, std::ostream* out) {
  *out << bad.name;
}
class ABadHistory : public testing::TestWithParam<BadHistory> {};

TEST_P(ABadHistory, IsDamageWithItsName) {
  try {
    parse(3, GetParam().text);
    FAIL() << "it was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kDamage));
    EXPECT_EQ(error.object(), kObject);
    EXPECT_THAT(error.message(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    TimelineHistories, ABadHistory,
    ::testing::Values(
        BadHistory{"empty", "", "names no parent"},
        BadHistory{"only_comments", "# 1\t0/5000000\n", "names no parent"},
        BadHistory{"no_number", "x\t0/5000000\tr\n", "line 1 of the timeline history does not"},
        BadHistory{"negative", "-1\t0/5000000\tr\n", "does not begin with a timeline"},
        BadHistory{"zero", "0\t0/5000000\tr\n", "does not begin with a timeline"},
        BadHistory{"too_large_a_number", "4294967296\t0/5000000\tr\n", "does not begin"},
        BadHistory{"no_position", "1\n", "no usable WAL position"},
        BadHistory{"no_slash", "1\t5000000\tr\n", "no usable WAL position"},
        BadHistory{"position_and_more", "1\t0/5000000,2\tr\n", "no usable WAL position"},
        BadHistory{"position_zero", "1\t0/0\tr\n", "no usable WAL position"},
        BadHistory{"nine_digits", "1\t0/500000000\tr\n", "no usable WAL position"},
        BadHistory{"backwards", "2\t0/5000000\tr\n1\t0/6000000\tr\n", "line 2"},
        BadHistory{"twice", "1\t0/5000000\tr\n1\t0/6000000\tr\n", "not name a later timeline"},
        BadHistory{"itself", "3\t0/5000000\tr\n", "is not an earlier one"},
        BadHistory{"its_child", "1\t0/5000000\tr\n4\t0/6000000\tr\n", "is not an earlier one"},
        BadHistory{"zero_byte", std::string("1\t0/5000000\ta\0b\n", 16), "zero byte"},
        BadHistory{"long_line", "1\t0/5000000\t" + std::string(1100, 'x') + "\n", "too long"},
        BadHistory{"large", std::string(kMaxTimelineHistoryBytes + 1, '\n'), "too large"}),
    [](const auto& test_case) { return std::string(test_case.param.name); });

TEST(TimelineHistories, ManyLinesHaveALimit) {
  std::string text;
  for (std::size_t i = 1; i <= kMaxTimelineSwitches; ++i) {
    text += std::to_string(i) + "\t0/" + std::to_string(i) + "\n";
  }
  EXPECT_EQ(parse(20'000, text).switches.size(), kMaxTimelineSwitches);
  EXPECT_THROW(parse(20'000, text + "19999\t1/0\n"), Error);
}

TEST(TimelineHistories, WhatCannotBeWrittenIsInvalid) {
  TimelineHistory history{{2}, {{{1}, {0x5000000}, "r"}}};
  EXPECT_TRUE(is_valid(history));
  EXPECT_TRUE(is_valid(TimelineHistory{}));
  EXPECT_FALSE(is_valid(TimelineHistory{{2}, {}})) << "only timeline 1 has no past";
  history.switches[0].reason = "two\nlines";
  EXPECT_FALSE(is_valid(history));
  history.switches[0].reason = std::string(2000, 'x');
  EXPECT_FALSE(is_valid(history));
  EXPECT_FALSE(is_valid(TimelineHistory{{1}, {{{1}, {1}, ""}}}));
}

TEST(TimelineHistories, FileNamesAreTakenExactly) {
  EXPECT_EQ(timeline_history_file_name({10}), "0000000A.history");
  EXPECT_EQ(parse_timeline_history_file_name("0000000A.history"), TimelineId{10});
  EXPECT_EQ(parse_timeline_history_file_name("FFFFFFFF.history"), TimelineId{0xffffffff});
  for (const char* const name :
       {"0000000a.history", "00000001.history", "00000000.history", "0000000A.histor", "A.history",
        "00000000A.history", "0000000A.history.gz", "+000000A.history", ".history", ""}) {
    EXPECT_FALSE(parse_timeline_history_file_name(name)) << name;
  }
}

TEST(TimelineHistories, TellWhichTimelineHoldsAPosition) {
  const TimelineHistory history = parse(3, kThird);
  EXPECT_EQ(ancestry(history), (std::vector<TimelineRange>{{{1}, {0}, Lsn{0x5000000}},
                                                           {{2}, {0x5000000}, Lsn{0x7000028}},
                                                           {{3}, {0x7000028}, std::nullopt}}));
  EXPECT_EQ(fork_lsn(history), Lsn{0x7000028});
  EXPECT_EQ(timeline_at(history, {0x4ffffff}), TimelineId{1});
  EXPECT_EQ(timeline_at(history, {0x5000000}), TimelineId{2});
  EXPECT_EQ(timeline_at(history, {0x7000027}), TimelineId{2});
  EXPECT_EQ(timeline_at(history, {0x7000028}), TimelineId{3});
  EXPECT_EQ(range_of(history, {2})->begin, Lsn{0x5000000});
  EXPECT_FALSE(range_of(history, {4}));
  EXPECT_TRUE(contains(history, {1}, {0x4ffffff}));
  EXPECT_FALSE(contains(history, {1}, {0x5000000}));
  EXPECT_TRUE(contains(history, {3}, {0x7000028}));
  EXPECT_FALSE(contains(history, {3}, {0x7000027}));
  EXPECT_FALSE(contains(history, {4}, {0x7000028}));
}

TEST(TimelineHistories, ABackupThatStopsAtTheForkIsInBothLines) {
  const TimelineHistory history = parse(3, kThird);
  EXPECT_TRUE(contains_up_to(history, {1}, {0x5000000}));
  EXPECT_FALSE(contains_up_to(history, {1}, {0x5000001}));
  EXPECT_FALSE(contains_up_to(history, {2}, {0x5000000})) << "nothing of 2 is before its fork";
  EXPECT_TRUE(contains_up_to(history, {3}, {0x7000029}));
}

TEST(TimelineHistories, TheFirstTimelineIsAllThereIs) {
  const TimelineHistory first;
  EXPECT_EQ(ancestry(first), (std::vector<TimelineRange>{{{1}, {0}, std::nullopt}}));
  EXPECT_EQ(fork_lsn(first), Lsn{});
  EXPECT_TRUE(contains(first, {1}, {1}));
  EXPECT_EQ(timeline_at(first, {~std::uint64_t{0}}), TimelineId{1});
}

// Recovery on timeline 2 that stopped on timeline 1, before 2 began: 2 has nothing in this line.
TEST(TimelineHistories, AForkBeforeTheParentsForkLeavesTheParentEmpty) {
  const TimelineHistory history = parse(3, "1\t0/5000000\tr\n\n2\t0/4000000\tr\n");
  EXPECT_EQ(ancestry(history), (std::vector<TimelineRange>{{{1}, {0}, Lsn{0x4000000}},
                                                           {{2}, {0x4000000}, Lsn{0x4000000}},
                                                           {{3}, {0x4000000}, std::nullopt}}));
  EXPECT_TRUE(range_of(history, {2})->empty());
  EXPECT_EQ(timeline_at(history, {0x3ffffff}), TimelineId{1});
  EXPECT_EQ(timeline_at(history, {0x4500000}), TimelineId{3});
  EXPECT_FALSE(contains(history, {1}, {0x4500000}));
  EXPECT_FALSE(contains_up_to(history, {1}, {0x4500000}));
  EXPECT_FALSE(contains_up_to(history, {2}, {0x4000000}));
}

// What PostgreSQL does (tliOfPointInHistory): from the newest timeline back, the first entry whose
// raw range has the position.
TimelineId timeline_as_postgres_finds_it(const TimelineHistory& history, Lsn lsn) {
  if (history.switches.empty() || lsn >= history.switches.back().at) return history.timeline;
  for (std::size_t i = history.switches.size(); i-- > 0;) {
    const Lsn begin = i == 0 ? Lsn{} : history.switches[i - 1].at;
    if (lsn >= begin && lsn < history.switches[i].at) return history.switches[i].timeline;
  }
  return {0};
}

TEST(TimelineHistories, AgreeWithPostgresOnRandomLines) {
  const std::uint64_t seed = test::random_seed();
  SCOPED_TRACE(testing::Message() << "HOLDFAST_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    TimelineHistory history{{1}, {}};
    for (std::uint64_t i = random() % 6; i > 0; --i) {
      history.switches.push_back({history.timeline, {1 + random() % 20}, ""});
      history.timeline.value += 1 + static_cast<std::uint32_t>(random() % 3);
    }
    for (std::uint64_t lsn = 0; lsn < 25; ++lsn) {
      const TimelineId expected = timeline_as_postgres_finds_it(history, {lsn});
      ASSERT_EQ(timeline_at(history, {lsn}), expected) << to_text(history) << lsn;
      for (std::uint32_t timeline = 1; timeline <= history.timeline.value; ++timeline) {
        ASSERT_EQ(contains(history, {timeline}, {lsn}), expected == TimelineId{timeline});
      }
    }
  }
}

TEST(TimelineHistories, KnowWhetherALineGoesOn) {
  const TimelineHistory first;
  const TimelineHistory second{{2}, {{{1}, {50}, "a"}}};
  const TimelineHistory other_second{{2}, {{{1}, {60}, "a"}}};
  const TimelineHistory third{{3}, {{{1}, {50}, "written again"}, {{2}, {70}, "b"}}};
  const TimelineHistory third_of_first{{3}, {{{1}, {40}, ""}}};
  EXPECT_TRUE(continues(second, first));
  EXPECT_TRUE(continues(third, first));
  EXPECT_TRUE(continues(third, second));
  EXPECT_TRUE(continues(third, third));
  EXPECT_FALSE(continues(first, second));
  EXPECT_FALSE(continues(second, other_second)) << "two copies promoted to one number";
  EXPECT_FALSE(continues(third, other_second));
  EXPECT_FALSE(continues(third_of_first, second));
  EXPECT_FALSE(continues(third, third_of_first));
}

}  // namespace
}  // namespace holdfast
