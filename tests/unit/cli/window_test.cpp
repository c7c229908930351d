// The shape of what `window` prints (docs/json.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/window_views.h"
#include "unit/repository/archive_maker.h"

namespace holdfast::cli {
namespace {

using namespace holdfast::test;
using ::testing::HasSubstr;
constexpr TimelineId kFirst{1}, kSecond{2};

std::vector<HistoryWindow> window_of(const ArchiveMaker& archive) {
  return recoverable_window(*archive.opened, "demo", kNoStop);
}

TEST(WindowJson, a_gap_and_a_backup_without_its_wal) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 9);
  archive.segments(kFirst, 12, 20);
  archive.backup({.start = 5, .stop = 5});
  archive.backup({.start = 8, .stop = 10});
  archive.backup({.start = 15, .stop = 15});
  HistoryWindow history = window_of(archive).at(0);
  history.dropped = {{.first = "00000001000000000000000A",
                      .last = "00000001000000000000000B",
                      .segments = 2,
                      .from = "2026-01-01T00:10:00Z",
                      .to = "2026-01-01T00:11:00Z",
                      .host = "db1",
                      .reason = "full"}};
  EXPECT_NE(text_of(history, Style(), 60).find("0A-00000001000000000000000B (2"),
            std::string::npos);
  Json json = json_of(history);
  EXPECT_FALSE(json.at("opened").get<std::string>().empty());
  json.erase("opened");
  EXPECT_EQ(json, Json::parse(R"({
    "history": "0001-77", "number": 1, "system_identifier": "77", "reason": "init",
    "parent": null, "recovered_from": null, "wal_segment_bytes": 1048576,
    "dropped_wal": [{"first": "00000001000000000000000A", "last": "00000001000000000000000B",
                     "segments": 2, "from": "2026-01-01T00:10:00Z", "to": "2026-01-01T00:11:00Z",
                     "host": "db1", "reason": "full"}],
    "timelines": [{
      "timeline": 1, "parent": null, "problem": null, "segments": 18,
      "first_segment": "000000010000000000000001", "last_segment": "000000010000000000000014",
      "intervals": [
        {"from": {"time": "2026-01-01T00:04:30Z", "lsn": "0/500100"},
         "to": {"time": "2026-01-01T00:09:00Z", "lsn": "0/902040"},
         "kind": "archive", "last_commit": "known", "backups": ["20260101T000001Z-0001"]},
        {"from": {"time": "2026-01-01T00:14:30Z", "lsn": "0/F00100"},
         "to": {"time": "2026-01-01T00:20:00Z", "lsn": "0/1402040"},
         "kind": "archive", "last_commit": "known", "backups": ["20260101T000003Z-0001"]}],
      "gaps": [
        {"from": {"time": "2026-01-01T00:09:00Z", "lsn": "0/902040"},
         "to": {"time": "2026-01-01T00:14:30Z", "lsn": "0/F00100"},
         "missing_segments": 2,
         "missing": [{"first": "00000001000000000000000A", "last": "00000001000000000000000B",
                      "segments": 2}],
         "unreachable_segments": 0}],
      "unusable_backups": [
        {"id": "20260101T000002Z-0001",
         "reason": "WAL that it needs is not stored: 1 of 3 segments, the first 00000001000000000000000A"}]
    }]})"));
}

TEST(WindowJson, a_timeline_shows_what_is_behind_its_fork) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 15);
  archive.backup({.start = 5, .stop = 5});
  archive.history_file(kSecond, "1\t0/A00800\tno recovery target specified\n");
  archive.segments(kSecond, 10, 12);
  const Json timelines = json_of(window_of(archive).at(0)).at("timelines");
  ASSERT_EQ(timelines.size(), 2U);
  EXPECT_EQ(timelines[0].at("intervals")[0].at("to").at("time"), "2026-01-01T00:15:00Z");
  EXPECT_EQ(timelines[1].at("parent"), Json::parse(R"({"timeline": 1, "lsn": "0/A00800"})"));
  EXPECT_EQ(timelines[1].at("intervals"), Json::parse(R"([
    {"from": {"time": "2026-01-01T00:10:00Z", "lsn": "0/A00800"},
     "to": {"time": "2026-01-01T00:12:00Z", "lsn": "0/C02040"},
     "kind": "archive", "last_commit": "known", "backups": ["20260101T000001Z-0001"]}])"));
}

TEST(WindowJson, a_history_shows_what_is_behind_its_take_over) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 15);
  archive.backup({.start = 5, .stop = 5});
  archive.take_over(kFirst, at(10));
  archive.segments(kFirst, 10, 12);
  const auto histories = window_of(archive);
  ASSERT_EQ(histories.size(), 2U);
  const Json json = json_of(histories[1]);
  EXPECT_EQ(json.at("reason"), "take-over");
  EXPECT_EQ(json.at("parent"), Json::parse(R"({"number": 1, "timeline": 1, "lsn": "0/A00000"})"));
  EXPECT_EQ(json.at("timelines")[0].at("intervals")[0].at("from").at("lsn"), "0/A00000");
  EXPECT_THAT(text_of(histories[1], Style(), 40), HasSubstr("taken over"));
}

TEST(WindowJson, a_backup_without_archive_and_a_timeline_without_history_file) {
  ArchiveMaker archive;
  archive.backup({.start = 5, .stop = 5, .wal = ArchiveMaker::Wal::kCarried});
  archive.segments(kSecond, 10, 12);
  const Json timelines = json_of(window_of(archive).at(0)).at("timelines");
  EXPECT_EQ(timelines[0].at("intervals")[0].at("kind"), "backup_end");
  EXPECT_EQ(timelines[0].at("first_segment"), Json());
  EXPECT_THAT(timelines[1].at("problem").get<std::string>(), HasSubstr("timeline 2"));
  EXPECT_EQ(timelines[1].at("segments"), 3);
}

TEST(WindowText, draws_what_is_recoverable_backups_and_gaps) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 20);
  archive.segments(kFirst, 22, 45);
  archive.backup({.start = 5, .stop = 5});
  archive.backup({.start = 35, .stop = 35});
  const HistoryWindow history = window_of(archive).at(0);
  const Timestamp from = minute(5) - std::chrono::seconds(30);
  EXPECT_EQ(drawn(history.timelines.at(0), {from, minute(45)}, 41),
            "B===============.............B===========");
  const std::string text = text_of(history, Style(), 41);
  EXPECT_THAT(text, HasSubstr("       1  |B===============.............B===========|\n"));
  EXPECT_THAT(text, HasSubstr("          2026-01-01T00:04:30Z   2026-01-01T00:45:00Z\n"));
  EXPECT_THAT(text, HasSubstr("1 missing: 000000010000000000000015"));
}

TEST(WindowText, a_cluster_without_anything) {
  const ArchiveMaker archive;
  EXPECT_THAT(text_of(window_of(archive).at(0), Style(), 40),
              HasSubstr("Neither WAL nor a backup"));
}

}  // namespace
}  // namespace holdfast::cli
