#include "system/time_zone.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

using Kind = WallTimeMeaning::Kind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Timestamp utc(std::string_view text) {
  return parse_rfc3339(text).value();
}
WallTime wall(std::string_view text) {
  return WallTime{utc(std::string(text) + "Z").time_since_epoch()};
}
TimeZone zone(std::string_view name) {
  return TimeZone::find(name).value();
}

TEST(TimeZones, AreFoundByTheirExactNameOnly) {
  EXPECT_EQ(zone("Europe/Berlin").name(), "Europe/Berlin");
  EXPECT_TRUE(TimeZone::find("America/Argentina/Buenos_Aires"));
  EXPECT_TRUE(TimeZone::find("Etc/UTC"));
  for (const char* const name :
       {"", "europe/berlin", "Europe/Berlin ", "Berlin", "Europe", "localtime",
        "posix/Europe/Berlin", "right/Europe/Berlin", "../zoneinfo/UTC", "/usr/share/zoneinfo/UTC",
        "tzdata.zi", "+01:00"}) {
    EXPECT_FALSE(TimeZone::find(name)) << name;
  }
}

TEST(TimeZones, HaveTheOffsetOfTheSeason) {
  EXPECT_EQ(TimeZone::utc().offset_at(utc("2026-07-01T00:00:00Z")), seconds{0});
  const TimeZone berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin.offset_at(utc("2026-01-01T00:00:00Z")), hours{1});
  EXPECT_EQ(berlin.offset_at(utc("2026-03-29T00:59:59.999999Z")), hours{1});
  EXPECT_EQ(berlin.offset_at(utc("2026-03-29T01:00:00Z")), hours{2});
  EXPECT_EQ(berlin.offset_at(utc("2036-07-01T00:00:00Z")), hours{2}) << "far, but listed";
  EXPECT_EQ(zone("Asia/Kolkata").offset_at(utc("2026-01-01T00:00:00Z")), hours{5} + minutes{30});
  EXPECT_EQ(zone("America/New_York").offset_at(utc("2026-07-01T00:00:00Z")), -hours{4});
}

TEST(TimeZones, TellOneInstantFromNoneAndTwo) {
  const TimeZone berlin = zone("Europe/Berlin");
  const WallTimeMeaning once = berlin.resolve(wall("2026-11-22T14:00:00.25"));
  EXPECT_EQ(once.kind, Kind::kOnce);
  EXPECT_EQ(once.first.time, utc("2026-11-22T13:00:00.25Z"));
  EXPECT_EQ(once.first.offset, hours{1});

  const WallTimeMeaning skipped = berlin.resolve(wall("2026-03-29T02:30:00"));
  EXPECT_EQ(skipped.kind, Kind::kSkipped);
  EXPECT_EQ(skipped.first, (ZonedInstant{utc("2026-03-29T01:30:00Z"), hours{1}}));
  EXPECT_EQ(skipped.second, (ZonedInstant{utc("2026-03-29T00:30:00Z"), hours{2}}));

  const WallTimeMeaning twice = berlin.resolve(wall("2026-10-25T02:30:00"));
  EXPECT_EQ(twice.kind, Kind::kTwice);
  EXPECT_EQ(twice.first, (ZonedInstant{utc("2026-10-25T00:30:00Z"), hours{2}}));
  EXPECT_EQ(twice.second, (ZonedInstant{utc("2026-10-25T01:30:00Z"), hours{1}}));
}

// The edges to the microsecond: [02:00, 03:00) is skipped and shown twice.
TEST(TimeZones, ChangeExactlyAtTheChange) {
  const TimeZone berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin.resolve(wall("2026-03-29T01:59:59.999999")).kind, Kind::kOnce);
  EXPECT_EQ(berlin.resolve(wall("2026-03-29T02:00:00")).kind, Kind::kSkipped);
  EXPECT_EQ(berlin.resolve(wall("2026-03-29T02:59:59.999999")).kind, Kind::kSkipped);
  EXPECT_EQ(berlin.resolve(wall("2026-03-29T03:00:00")).kind, Kind::kOnce);
  EXPECT_EQ(berlin.resolve(wall("2026-10-25T01:59:59.999999")).kind, Kind::kOnce);
  EXPECT_EQ(berlin.resolve(wall("2026-10-25T02:00:00")).kind, Kind::kTwice);
  EXPECT_EQ(berlin.resolve(wall("2026-10-25T02:59:59.999999")).kind, Kind::kTwice);
  EXPECT_EQ(berlin.resolve(wall("2026-10-25T03:00:00")).kind, Kind::kOnce);
}

// What is resolved and shown again is the same, in zones with unusual changes too.
TEST(TimeZones, GoThereAndBack) {
  for (const char* const name : {"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe",
                                 "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"}) {
    const TimeZone there = zone(name);
    for (Timestamp time = utc("2020-01-01T00:10:00Z"); time < utc("2030-01-01T00:00:00Z");
         time += hours{7}) {
      const ZonedInstant instant{time, there.offset_at(time)};
      const WallTimeMeaning meaning =
          there.resolve(WallTime{(time + instant.offset).time_since_epoch()});
      ASSERT_NE(meaning.kind, Kind::kSkipped) << name << " " << to_rfc3339(instant);
      ASSERT_TRUE(meaning.first == instant ||
                  (meaning.kind == Kind::kTwice && meaning.second == instant))
          << name << " " << to_rfc3339(instant);
      ASSERT_EQ(parse_rfc3339(to_rfc3339(instant)), time);
    }
  }
}

TEST(TimeZones, BeyondWhatTheFilesListIsRefusedNotGuessed) {
  const Timestamp summer = utc("2050-07-01T00:00:00Z");
  EXPECT_THROW(zone("Europe/Berlin").offset_at(summer), Error);
  EXPECT_THROW(zone("Europe/Berlin").resolve(wall("2050-07-01T00:00:00")), Error);
  EXPECT_EQ(zone("Asia/Tokyo").offset_at(summer), hours{9}) << "its clock never changes";
  EXPECT_EQ(TimeZone::utc().offset_at(summer), seconds{0});
}

TEST(TimeZones, AreWrittenWithTheirOffset) {
  const Timestamp time = utc("2026-11-22T13:00:00Z");
  EXPECT_EQ(to_rfc3339(ZonedInstant{time, hours{1}}), "2026-11-22T14:00:00+01:00");
  EXPECT_EQ(to_rfc3339(ZonedInstant{time, -(hours{3} + minutes{30})}), "2026-11-22T09:30:00-03:30");
  EXPECT_EQ(to_rfc3339(ZonedInstant{time, seconds{0}}), "2026-11-22T13:00:00Z");
  EXPECT_EQ(to_rfc3339(ZonedInstant{time + std::chrono::microseconds{5}, hours{1}}),
            "2026-11-22T14:00:00.000005+01:00");
}

}  // namespace
}  // namespace holdfast
