// Which of two timelines a policy takes for the one that goes on.

#include "repository/wal_object.h"
#include "seal/chunk.h"
#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kADay = 10;  // segments

// A backup a day, each with the WAL of its day.
struct Timelines : ExpireBed {
  Timelines() { options.policy = {.window = kDay * 30, .keep_last = 2}; }

  BackupName day(TimelineId timeline, std::uint64_t number) {
    const std::uint64_t first = number * kADay;
    const BackupName name = backup({.start = first, .stop = first, .timeline = timeline});
    segments(first, first + kADay - 1, timeline);
    pass(kDay);
    expire();
    return name;
  }
  // Timeline 2 leaves timeline 1 in a segment, the first that it stores itself.
  void fork(std::uint64_t segment) {
    const std::string text = fmt::format("1\t0/{:X}\tno recovery target specified\n",
                                         segment * kTestSegmentSize.bytes + 0x1000);
    Compressor compressor({Compression::kZstd, 1});
    const PackedWal wal{.identity = {.file = history_file_of(TimelineId{2}),
                                     .system_identifier = 77,
                                     .segment_size = kTestSegmentSize,
                                     .bytes = text.size(),
                                     .content_bytes = text.size(),
                                     .content = wal_content_hash(as_bytes(text))},
                        .index = pack_wal_index(compressor, std::nullopt),
                        .content = pack_wal_content(compressor, as_bytes(text))};
    put_wal(*opened, {"demo", history}, wal, kNoStop);
    segments(segment, segment, TimelineId{2});
  }
  bool is_complete(const BackupName& name) {
    const auto ids = complete();
    return std::ranges::find(ids, name.id.text) != ids.end();
  }
};

// A standby was promoted by mistake and stopped again; production goes on where it was.
TEST(ExpireLines, ProductionStaysLiveAfterAFailoverThatWasAborted) {
  Timelines bed;
  std::vector<BackupName> taken;
  for (std::uint64_t i = 0; i < 5; ++i) taken.push_back(bed.day(TimelineId{1}, i));
  bed.fork(5 * kADay);
  for (std::uint64_t i = 5; i < 80; ++i) taken.push_back(bed.day(TimelineId{1}, i));
  for (std::size_t i = taken.size() - 30; i < taken.size(); ++i) {
    EXPECT_TRUE(bed.is_complete(taken[i])) << "of day " << i;
  }
  EXPECT_FALSE(bed.is_complete(taken[20])) << "the window goes on, too";
  for (std::uint64_t n = 50 * kADay; n < 80 * kADay; ++n) EXPECT_TRUE(bed.has_segment(n)) << n;
}

TEST(ExpireLines, ALineIsLeftByAFailoverAlthoughItsServerArchivedALastSegmentLate) {
  Timelines bed;
  std::vector<BackupName> taken;
  for (std::uint64_t i = 0; i < 5; ++i) taken.push_back(bed.day(TimelineId{1}, i));
  // On timeline 1 alone.
  const BackupName lost = bed.backup({.start = 5 * kADay + 2, .stop = 5 * kADay + 2});
  bed.segments(5 * kADay, 5 * kADay + 3);
  bed.fork(5 * kADay);
  bed.pass(std::chrono::hours(1));
  bed.segments(5 * kADay + 4, 5 * kADay + 4);
  for (std::uint64_t i = 6; i < 30; ++i) bed.day(TimelineId{2}, i);
  EXPECT_TRUE(bed.is_complete(lost)) << "within the window";
  for (std::uint64_t i = 30; i < 80; ++i) bed.day(TimelineId{2}, i);
  EXPECT_FALSE(bed.is_complete(lost)) << "nobody goes on with timeline 1";
  EXPECT_FALSE(bed.has_segment(5 * kADay + 3));
}

// What a take-over or an upgrade left behind is never the last good one, and goes in its time.
class LeftHistory : public testing::TestWithParam<HistoryReason> {
 protected:
  void leave(Timelines& bed, std::uint64_t segment) {
    NewHistory wanted{.reason = GetParam()};
    if (GetParam() == HistoryReason::kTakeOver) {
      wanted.fork = HistoryFork{1, TimelineId{1}, Lsn{segment * kTestSegmentSize.bytes}};
    }
    bed.history =
        open_history(*bed.opened, "demo",
                     {.system_identifier = 77, .wal_segment_size = kTestSegmentSize, .host = "t"},
                     wanted, kNoStop)
            .name;
  }
};

TEST_P(LeftHistory, StaysWithinTheWindowAndThenGoes) {
  Timelines bed;
  bed.time->current = system_clock().now();  // by which a record says when its history began
  bed.options.policy = {.window = kDay * 30, .keep_last = 2, .daily = 3};
  bed.options.consent = ExpireConsent::kUnusualShare;
  std::vector<BackupName> left;
  for (std::uint64_t i = 0; i < 5; ++i) left.push_back(bed.day(TimelineId{1}, i));
  // The take-over sets the line back: the newest two are on none that goes on.
  leave(bed, 3 * kADay);
  const std::uint64_t first = GetParam() == HistoryReason::kTakeOver ? 3 : 0;
  std::vector<BackupName> taken;
  for (std::uint64_t i = 0; i < 20; ++i) taken.push_back(bed.day(TimelineId{1}, first + i));
  for (const BackupName& name : left) EXPECT_TRUE(bed.is_complete(name)) << "within the window";
  for (std::uint64_t i = 20; i < 80; ++i) taken.push_back(bed.day(TimelineId{1}, first + i));
  for (const BackupName& name : left) EXPECT_FALSE(bed.is_complete(name)) << name.id.text;
  EXPECT_TRUE(bed.is_complete(taken.back()));
  EXPECT_TRUE(bed.is_complete(taken[taken.size() - 30]));
}

// However new it is: where the line that goes on has a good one, that one alone stays for it.
TEST_P(LeftHistory, IsNeverTheLastGoodOne) {
  Timelines bed;
  bed.options.policy = {.daily = 1};
  bed.options.consent = ExpireConsent::kUnusualShare;
  const BackupName left = bed.day(TimelineId{1}, 0);
  leave(bed, 0);
  const BackupName only = bed.day(TimelineId{1}, 1);
  bed.expire_fully();
  bed.pass(kDay);
  bed.expire_fully();
  EXPECT_EQ(bed.complete(), std::vector{only.id.text}) << "not " << left.id.text;
  EXPECT_EQ(kind_of([&] { bed.remove(only); }), ErrorKind::kRefused) << "it is the last good one";
}

INSTANTIATE_TEST_SUITE_P(By, LeftHistory,
                         testing::Values(HistoryReason::kTakeOver, HistoryReason::kUpgrade),
                         [](const auto& given) {
                           return given.param == HistoryReason::kTakeOver ? "TakeOver" : "Upgrade";
                         });

}  // namespace
}  // namespace holdfast::test
