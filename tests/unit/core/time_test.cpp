#include "core/time.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// 2026-11-22T02:00:00Z, as `date -ud 2026-11-22T02:00:00Z +%s` gives it.
const Timestamp kNight{seconds{1795312800}};

TEST(Time, IsWrittenInUtc) {
  EXPECT_EQ(to_rfc3339(kNight), "2026-11-22T02:00:00Z");
  EXPECT_EQ(to_rfc3339(kNight + microseconds{123456}), "2026-11-22T02:00:00.123456Z");
  EXPECT_EQ(to_rfc3339(kNight + microseconds{1}), "2026-11-22T02:00:00.000001Z");
  EXPECT_EQ(to_rfc3339_seconds(kNight + microseconds{999999}), "2026-11-22T02:00:00Z");
  EXPECT_EQ(to_compact(kNight + microseconds{999999}), "20261122T020000Z");
  EXPECT_EQ(to_rfc3339(Timestamp{microseconds{-1}}), "1969-12-31T23:59:59.999999Z");
}

TEST(Time, IsReadWithEveryFormOfZone) {
  for (const char* text :
       {"2026-11-22T02:00:00Z", "2026-11-22 02:00:00Z", "2026-11-22t02:00:00z",
        "2026-11-22T04:00:00+02", "2026-11-22T04:00:00+02:00", "2026-11-22T04:00:00+0200",
        "2026-11-21T22:30:00-03:30", "2026-11-22T02:00:00.000Z", "2026-11-22 02:00:00+00"}) {
    EXPECT_EQ(parse_rfc3339(text), kNight) << text;
  }
  EXPECT_EQ(parse_rfc3339("2026-11-22T02:00:00.5Z"), kNight + microseconds{500000});
  EXPECT_EQ(parse_rfc3339("2026-11-22T02:00:00.1234567Z"), kNight + microseconds{123456});
  EXPECT_EQ(parse_rfc3339("2024-02-29T00:00:00Z"), Timestamp{seconds{1709164800}});
}

TEST(Time, AnythingElseIsRefused) {
  for (const char* bad : {"",
                          "2026-11-22",
                          "2026-11-22T02:00:00",
                          "2026-11-22T02:00Z",
                          "2026-11-22T24:00:00Z",
                          "2026-11-22T02:60:00Z",
                          "2026-11-22T02:00:60Z",
                          "2026-13-01T00:00:00Z",
                          "2026-00-01T00:00:00Z",
                          "2026-11-31T00:00:00Z",
                          "2025-02-29T00:00:00Z",
                          "2026-11-22T02:00:00.Z",
                          "2026-11-22T02:00:00Zx",
                          " 2026-11-22T02:00:00Z",
                          "2026-11-22T02:00:00+2",
                          "2026-11-22T02:00:00+02:",
                          "2026-11-22T02:00:00+19",
                          "2026-11-22T02:00:00+02:60",
                          "26-11-22T02:00:00Z",
                          "-026-11-22T02:00:00Z",
                          "2026-11-22T-2:00:00Z",
                          "2026-11-22T02:00:00Europe/Berlin"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
}

TEST(Time, RoundTripsOverFourCenturies) {
  for (std::int64_t day = -36525; day < 4 * 36525; day += 97) {
    const Timestamp time{std::chrono::days{day} + microseconds{day * 1237}};
    EXPECT_EQ(parse_rfc3339(to_rfc3339(time)), time) << to_rfc3339(time);
  }
}

TEST(Time, SystemClockRuns) {
  const Timestamp before = std::chrono::floor<microseconds>(std::chrono::system_clock::now());
  EXPECT_GE(system_clock().now(), before);
  EXPECT_LT(system_clock().now(), before + std::chrono::minutes{5});
}

}  // namespace
}  // namespace holdfast
