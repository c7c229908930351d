#include "restore/recovery_target.h"

#include <gmock/gmock.h>

#include "core/error.h"

namespace holdfast {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = RecoveryTarget::Kind;
using Stop = RecoveryTarget::Stop;
using Action = RecoveryTarget::Action;

Timestamp utc(std::string_view text) {
  return parse_rfc3339(text).value();
}

const Timestamp kNow = utc("2026-11-22T14:30:00.5Z");

TargetRequest at_time(const std::string& text, const char* zone = "Europe/Berlin") {
  return {.time = text, .now = kNow, .zone = TimeZone::find(zone).value()};
}

Error refused(const TargetRequest& request) {
  try {
    parse_recovery_target(request);
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kUsage));
    return error;
  }
  ADD_FAILURE() << "the target was accepted";
  return {ErrorKind::kBug, "accepted"};
}

struct GoodTime {
  const char* text;
  const char* utc;
  const char* resolved;
};
void PrintTo(const GoodTime& good, std::ostream* out) {
  *out << good.text;
}
class ATargetTime : public testing::TestWithParam<GoodTime> {};

TEST_P(ATargetTime, IsResolvedToAnInstantWithItsOffset) {
  const RecoveryTarget target = parse_recovery_target(at_time(GetParam().text));
  EXPECT_EQ(target.kind, Kind::kTime);
  EXPECT_EQ(to_rfc3339(target.time), GetParam().utc);
  EXPECT_EQ(target.time_text, GetParam().resolved);
}

INSTANTIATE_TEST_SUITE_P(
    Target, ATargetTime,
    testing::Values(
        // RFC 3339.
        GoodTime{"2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z"},
        GoodTime{"2026-11-22T14:00:00+01:00", "2026-11-22T13:00:00Z", "2026-11-22T14:00:00+01:00"},
        GoodTime{"2026-11-22t14:00:00.000001-05:30", "2026-11-22T19:30:00.000001Z",
                 "2026-11-22T14:00:00.000001-05:30"},
        // PostgreSQL's, with a zone.
        GoodTime{"2026-11-22 14:00:00+01", "2026-11-22T13:00:00Z", "2026-11-22T14:00:00+01:00"},
        GoodTime{"2026-11-22 14:00 +0530", "2026-11-22T08:30:00Z", "2026-11-22T14:00:00+05:30"},
        GoodTime{"2026-11-22 14:00:00.5 UTC", "2026-11-22T14:00:00.500000Z",
                 "2026-11-22T14:00:00.500000Z"},
        GoodTime{"2026-11-22 14:00 America/New_York", "2026-11-22T19:00:00Z",
                 "2026-11-22T14:00:00-05:00"},
        // The configured zone, in winter and in summer.
        GoodTime{"2026-11-22 14:00", "2026-11-22T13:00:00Z", "2026-11-22T14:00:00+01:00"},
        GoodTime{"2026-07-01T14:00:59.123456", "2026-07-01T12:00:59.123456Z",
                 "2026-07-01T14:00:59.123456+02:00"},
        GoodTime{"2026-11-22 14:00:00.123456000", "2026-11-22T13:00:00.123456Z",
                 "2026-11-22T14:00:00.123456+01:00"},
        GoodTime{"2028-02-29 00:00", "2028-02-28T23:00:00Z", "2028-02-29T00:00:00+01:00"},
        // One of the two of a doubled hour, told by its offset.
        GoodTime{"2026-10-25 02:30+02", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00+02:00"},
        // Relative to now.
        GoodTime{"now", "2026-11-22T14:30:00.500000Z", "2026-11-22T15:30:00.500000+01:00"},
        GoodTime{"-1h", "2026-11-22T13:30:00.500000Z", "2026-11-22T14:30:00.500000+01:00"},
        GoodTime{"-90min", "2026-11-22T13:00:00.500000Z", "2026-11-22T14:00:00.500000+01:00"},
        GoodTime{"-2d", "2026-11-20T14:30:00.500000Z", "2026-11-20T15:30:00.500000+01:00"},
        GoodTime{"-1h30min", "2026-11-22T13:00:00.500000Z", "2026-11-22T14:00:00.500000+01:00"},
        GoodTime{"-30d", "2026-10-23T14:30:00.500000Z", "2026-10-23T16:30:00.500000+02:00"}));

struct BadTime {
  const char* text;
  const char* message;
  const char* hint;
};
void PrintTo(const BadTime& bad, std::ostream* out) {
  *out << bad.text;
}
class ABadTargetTime : public testing::TestWithParam<BadTime> {};

TEST_P(ABadTargetTime, IsRefusedWithWhatToWriteInstead) {
  const Error error = refused(at_time(GetParam().text));
  EXPECT_EQ(error.object(), "--target-time");
  EXPECT_THAT(error.message(), HasSubstr(GetParam().message));
  EXPECT_THAT(error.hint(), HasSubstr(GetParam().hint));
}

constexpr const char* kNotUnderstood = "is no time that is understood";
INSTANTIATE_TEST_SUITE_P(
    Target, ABadTargetTime,
    testing::Values(
        BadTime{"2026-11-22", "has no time of day", "2026-11-22 00:00"},
        BadTime{"14:00", "has no date", "2026-11-22 14:00"},
        BadTime{"4:00:00", "has no date", "-1h"}, BadTime{"", kNotUnderstood, "-1h"},
        BadTime{"yesterday", kNotUnderstood, ""}, BadTime{"today", kNotUnderstood, ""},
        BadTime{"NOW", kNotUnderstood, ""}, BadTime{"+1h", kNotUnderstood, ""},
        BadTime{"-1", kNotUnderstood, ""}, BadTime{"-", kNotUnderstood, ""},
        BadTime{"-1hour", kNotUnderstood, ""}, BadTime{"--1h", kNotUnderstood, ""},
        BadTime{"-999999y", kNotUnderstood, ""}, BadTime{"1h", kNotUnderstood, ""},
        BadTime{"2026-11-22 14", kNotUnderstood, ""}, BadTime{"2026-11-22 ", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:0", kNotUnderstood, ""},
        BadTime{"2026-11-22  14:00", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00:00.", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00 ", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00:00+1", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00:00+01:00 x", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00:00 PM", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00 CET", kNotUnderstood, ""},
        BadTime{"22.11.2026 14:00", kNotUnderstood, ""},
        BadTime{"26-11-22 14:00", kNotUnderstood, ""},
        BadTime{"2026-11-22 14:00\n", kNotUnderstood, ""},
        BadTime{"2026-13-01 14:00", "13 is too much", ""},
        BadTime{"2026-02-29 14:00", "2026-02-29 is no day of the calendar", ""},
        BadTime{"2026-00-10 14:00", "no day of the calendar", ""},
        BadTime{"2026-11-22 24:00", "24 is too much", ""},
        BadTime{"2026-11-22 23:59:60Z", "60 is too much", ""},
        BadTime{"2026-11-22 14:00:00+16", "16 is too much", ""},
        BadTime{"2026-11-22 14:00:00.1234567", "finer than PostgreSQL's microseconds", "six"},
        BadTime{"2026-11-22 14:00 Europe/Atlantis", "no time zone is called", "Europe/Berlin"},
        BadTime{"2050-07-01 14:00", "2036", "offset"}),
    [](const auto& test_case) { return "Nr" + std::to_string(test_case.index); });

TEST(ATargetTime, ThatTheClockSkippedNamesBothInstants) {
  const Error error = refused(at_time("2026-03-29 02:30"));
  EXPECT_THAT(error.message(),
              AllOf(HasSubstr("was never there in Europe/Berlin"),
                    HasSubstr("2026-03-29T02:30:00+01:00 (2026-03-29T01:30:00Z)"),
                    HasSubstr("2026-03-29T02:30:00+02:00 (2026-03-29T00:30:00Z)")));
  EXPECT_THAT(error.hint(), HasSubstr("with its offset"));
  EXPECT_EQ(parse_recovery_target(at_time("2026-03-29 02:30", "UTC")).time_text,
            "2026-03-29T02:30:00Z");
}

TEST(ATargetTime, ThatTheClockShowedTwiceNamesBothInstants) {
  const Error error = refused(at_time("2026-10-25 02:30:00.5"));
  EXPECT_THAT(error.message(),
              AllOf(HasSubstr("was there twice in Europe/Berlin"),
                    HasSubstr("2026-10-25T02:30:00.500000+02:00 (2026-10-25T00:30:00.500000Z)"),
                    HasSubstr("2026-10-25T02:30:00.500000+01:00 (2026-10-25T01:30:00.500000Z)")));
}

TEST(ATarget, IsTheEndOfTheArchiveWithoutOptions) {
  const RecoveryTarget target = parse_recovery_target({});
  EXPECT_EQ(target, RecoveryTarget{});
  EXPECT_EQ(target.kind, Kind::kLatest);
  EXPECT_EQ(target.action, Action::kPromote);
  EXPECT_EQ(to_string(target), "the end of the archive");
}

TEST(ATarget, CanBeATransaction) {
  const RecoveryTarget target = parse_recovery_target({.xid = "4294967295", .exclusive = true});
  EXPECT_EQ(target.kind, Kind::kXid);
  EXPECT_EQ(target.xid, 4294967295U);
  EXPECT_FALSE(target.xid_epoch);
  EXPECT_EQ(target.stop, Stop::kExclusive);
  EXPECT_EQ(target.action, Action::kPause);
  EXPECT_EQ(to_string(target), "transaction 4294967295, exclusive");
  const RecoveryTarget full = parse_recovery_target({.xid = "12884902661"});  // 3 * 2^32 + 773
  EXPECT_EQ(full.xid, 773U);
  EXPECT_EQ(full.xid_epoch, 3U);
  EXPECT_EQ(to_string(full), "transaction 773 (epoch 3)");
  for (const char* const bad :
       {"", "2", "0", "-5", "+5", "0x300", "12 ", "1e3", "4294967298", "18446744073709551616"}) {
    EXPECT_EQ(refused({.xid = bad}).object(), "--target-xid") << bad;
  }
}

TEST(ATarget, CanBeAPosition) {
  const RecoveryTarget target = parse_recovery_target({.lsn = "16/b374d848"});
  EXPECT_EQ(target.kind, Kind::kLsn);
  EXPECT_EQ(to_string(target), "16/B374D848");
  for (const char* const bad : {"", "0/0", "16", "16/", "/1", "16/B374D848 ", "0/123456789"}) {
    EXPECT_EQ(refused({.lsn = bad}).object(), "--target-lsn") << bad;
  }
}

TEST(ATarget, CanBeARestorePoint) {
  const std::string longest(63, 'x');
  EXPECT_EQ(parse_recovery_target({.name = longest}).name, longest);
  EXPECT_EQ(parse_recovery_target({.name = "it's \\ \"here\""}).name, "it's \\ \"here\"");
  EXPECT_EQ(to_string(parse_recovery_target({.name = "a\"b"})), "restore point \"a\\\"b\"");
  EXPECT_THAT(refused({.name = longest + "x"}).message(), HasSubstr("at most 63 bytes, not 64"));
  EXPECT_EQ(refused({.name = ""}).object(), "--target-name");
  EXPECT_EQ(refused({.name = std::string("a\0b", 3)}).object(), "--target-name");
}

TEST(ATarget, CanBeTheEndOfTheBackup) {
  EXPECT_EQ(parse_recovery_target({.immediate = true}).kind, Kind::kImmediate);
}

TEST(ATarget, IsGivenOnce) {
  const Error error = refused({.time = "now", .lsn = "0/1", .immediate = true});
  EXPECT_THAT(error.message(),
              HasSubstr("two targets at once: --target-time and --target-lsn and --target-immed"));
  EXPECT_THAT(refused({.xid = "5", .name = "a"}).message(), HasSubstr("two targets at once"));
}

TEST(ATarget, IsExclusiveOnlyWhereThatMeansSomething) {
  EXPECT_EQ(parse_recovery_target({.lsn = "0/1", .exclusive = true}).stop, Stop::kExclusive);
  EXPECT_EQ(refused({.exclusive = true}).object(), "--target-exclusive");
  EXPECT_EQ(refused({.name = "a", .exclusive = true}).object(), "--target-exclusive");
  EXPECT_EQ(refused({.immediate = true, .exclusive = true}).object(), "--target-exclusive");
}

TEST(ATarget, IsOnATimeline) {
  using TimelineKind = RecoveryTimeline::Kind;
  EXPECT_EQ(parse_recovery_target({.timeline = "current"}).timeline.kind, TimelineKind::kCurrent);
  EXPECT_EQ(parse_recovery_target({.timeline = "latest"}).timeline.kind, TimelineKind::kLatest);
  const RecoveryTarget third = parse_recovery_target({.immediate = true, .timeline = "3"});
  EXPECT_EQ(third.timeline, (RecoveryTimeline{TimelineKind::kNumber, {3}}));
  EXPECT_EQ(to_string(third), "the end of the backup, timeline 3");
  for (const char* const bad : {"", "0", "0000000A", "010", "0x3", "-1", "4294967296", "Latest"}) {
    EXPECT_EQ(refused({.timeline = bad}).object(), "--target-timeline") << bad;
  }
}

TEST(ATarget, HasAnAction) {
  EXPECT_EQ(parse_recovery_target({.immediate = true}).action, Action::kPause);
  for (const char* const word : {"pause", "promote", "shutdown"}) {
    const auto target = parse_recovery_target({.immediate = true, .action = word});
    EXPECT_EQ(to_string(target.action), word);
  }
  EXPECT_EQ(refused({.immediate = true, .action = "stop"}).object(), "--target-action");
}

// PostgreSQL would promote at the end of the archive, whatever the action says.
TEST(ATarget, AtTheEndOfTheArchiveCannotPause) {
  EXPECT_EQ(parse_recovery_target({.action = "promote"}).action, Action::kPromote);
  for (const char* const word : {"pause", "shutdown"}) {
    const Error error = refused({.action = word});
    EXPECT_THAT(error.message(), HasSubstr("always promotes"));
    EXPECT_THAT(error.hint(), HasSubstr("--standby"));
  }
}

}  // namespace
}  // namespace holdfast
