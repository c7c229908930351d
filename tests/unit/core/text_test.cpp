#include "core/text.h"

#include <array>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::milliseconds;

TEST(JsonQuoted, EscapesWhatJsonDemands) {
  EXPECT_EQ(json_quoted("plain"), R"("plain")");
  EXPECT_EQ(json_quoted(R"(a"b\c)"), R"("a\"b\\c")");
  EXPECT_EQ(json_quoted("a\nb\tc\rd\x01"), R"("a\nb\tc\u000dd\u0001")");
  EXPECT_EQ(json_quoted(std::string_view("a\0b", 3)), R"("a\u0000b")");
}

TEST(JsonQuoted, KeepsUtf8AndReplacesWhatIsNot) {
  const std::string valid = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98";  // two, three and four bytes
  EXPECT_EQ(json_quoted(valid), "\"" + valid + "\"");
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_EQ(json_quoted("a\xff"), "\"a" + replaced + "\"");
  EXPECT_EQ(json_quoted("\xc3"), "\"" + replaced + "\"");                      // cut short
  EXPECT_EQ(json_quoted("\xc0\xaf"), "\"" + replaced + replaced + "\"");       // overlong
  EXPECT_EQ(json_quoted("\xed\xa0\x80").find("\xed"), std::string::npos);      // surrogate
  EXPECT_EQ(json_quoted("\xf4\x90\x80\x80").find("\xf4"), std::string::npos);  // beyond Unicode
}

TEST(HumanBytes, RoundsToOneDigit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1'288'490'189), "1.2 GiB");
  EXPECT_EQ(human_bytes((1ULL << 20U) - 1), "1.0 MiB");  // and not 1024.0 KiB
  EXPECT_EQ(human_bytes(1ULL << 60U), "1024.0 PiB");
}

TEST(HumanDuration, GivesTwoUnits) {
  const auto text = [](double seconds) {
    return human_duration(std::chrono::duration<double>(seconds));
  };
  EXPECT_EQ(text(0), "0.0 s");
  EXPECT_EQ(text(3.44), "3.4 s");
  EXPECT_EQ(text(59.94), "59.9 s");
  EXPECT_EQ(text(59.96), "1 min 0 s");
  EXPECT_EQ(text(61), "1 min 1 s");
  EXPECT_EQ(text(3599.6), "1 h 0 min");
  EXPECT_EQ(text(3725), "1 h 2 min");
  EXPECT_EQ(text(90000), "1 d 1 h");
}

TEST(ParseBytes, TakesBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("4096B"), 4096U);
  EXPECT_EQ(parse_bytes("64MiB"), 64ULL << 20U);
  EXPECT_EQ(parse_bytes("1 GiB"), 1ULL << 30U);
  EXPECT_EQ(parse_bytes("512KiB"), 512ULL << 10U);
  EXPECT_EQ(parse_bytes("2TiB"), 2ULL << 40U);
  EXPECT_EQ(parse_bytes("3KB"), 3000U);
  EXPECT_EQ(parse_bytes("3MB"), 3'000'000U);
  EXPECT_EQ(parse_bytes("3GB"), 3'000'000'000U);
  EXPECT_EQ(parse_bytes("3TB"), 3'000'000'000'000U);
}

TEST(ParseBytes, RefusesTheRest) {
  for (const char* bad : {"", " ", "MiB", "-1", "+1", "1.5GiB", "64mib", "64M", "64MiBx", "64MiB ",
                          " 64MiB", "64 ", "1 GiB 2", "99999999999999999999", "99999999TiB"}) {
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
}

TEST(ParseDuration, AddsItsParts) {
  EXPECT_EQ(parse_duration("0"), milliseconds{0});
  EXPECT_EQ(parse_duration("500ms"), milliseconds{500});
  EXPECT_EQ(parse_duration("20s"), milliseconds{20'000});
  EXPECT_EQ(parse_duration("5min"), milliseconds{300'000});
  EXPECT_EQ(parse_duration("1h30min"), milliseconds{5'400'000});
  EXPECT_EQ(parse_duration("1h 30 min"), milliseconds{5'400'000});
  EXPECT_EQ(parse_duration("30d"), std::chrono::days{30});
  EXPECT_EQ(parse_duration("2w"), std::chrono::days{14});
  EXPECT_EQ(parse_duration("7y"), std::chrono::hours{7 * 8766});
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* bad : {"", " ", "30", "30x", "5m", "1h30", "h", "-1h", "1.5h", "1H", " 1h",
                          "1h x", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

// Longer ones would overflow the clocks' arithmetic further on.
TEST(ParseDuration, EndsAtACentury) {
  EXPECT_TRUE(parse_duration("100y"));
  EXPECT_FALSE(parse_duration("101y"));
  EXPECT_FALSE(parse_duration("60y 60y"));
  EXPECT_LT(std::chrono::duration<double>(kMaxDuration),
            std::chrono::duration<double>(std::chrono::nanoseconds::max()) / 2);
}

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("retention", "retenton"), 1U);
}

TEST(Nearest, FindsTypingErrorsOnly) {
  const std::array<std::string_view, 3> keys{"repositories", "retention", "schedule"};
  EXPECT_EQ(nearest("retenton", keys), "retention");
  EXPECT_EQ(nearest("repositries", keys), "repositories");
  EXPECT_FALSE(nearest("wal", keys));
  EXPECT_FALSE(nearest("completely-else", keys));
}

}  // namespace
}  // namespace holdfast
