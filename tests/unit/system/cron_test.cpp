// Schedules: what is taken, what is refused, and what systemd is told.
#include "system/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> calendar(const std::string& cron, const std::string& zone = "UTC") {
  return on_calendar(parse_cron(cron), zone);
}

std::string refusal(const std::string& cron) {
  try {
    parse_cron(cron);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.message();
  }
  return "taken";
}

TEST(Cron, IsSaidInSystemdsWords) {
  EXPECT_THAT(calendar("0 2 * * *"), ElementsAre("*-*-* 02:00:00 UTC"));
  EXPECT_THAT(calendar("0 2 * * *", "Europe/Berlin"), ElementsAre("*-*-* 02:00:00 Europe/Berlin"));
  EXPECT_THAT(calendar("0 6 1 * *"), ElementsAre("*-*-01 06:00:00 UTC"));
  EXPECT_THAT(calendar("*/15 * * * *"), ElementsAre("*-*-* *:00,15,30,45:00 UTC"));
  EXPECT_THAT(calendar("5,10 8-10 * * mon-fri"),
              ElementsAre("Mon,Tue,Wed,Thu,Fri *-*-* 08,09,10:05,10:00 UTC"));
  EXPECT_THAT(calendar("0 0 * JAN,jul 7"), ElementsAre("Sun *-01,07-* 00:00:00 UTC"));
  EXPECT_THAT(calendar("0 3 * * 5-7"), ElementsAre("Sun,Fri,Sat *-*-* 03:00:00 UTC"));
  EXPECT_THAT(calendar(" 30\t4  1-20/10 * * "), ElementsAre("*-*-01,11 04:30:00 UTC"));
  EXPECT_THAT(calendar("@weekly"), ElementsAre("Sun *-*-* 00:00:00 UTC"));
  EXPECT_THAT(calendar("@yearly"), ElementsAre("*-01-01 00:00:00 UTC"));
}

// The day of the month *or* the day of the week, where both are restricted.
TEST(Cron, TwoKindsOfDaysAreTwoLines) {
  EXPECT_THAT(calendar("0 2 13 * fri"),
              ElementsAre("*-*-13 02:00:00 UTC", "Fri *-*-* 02:00:00 UTC"));
  EXPECT_THAT(calendar("0 2 */2 * fri"), testing::SizeIs(1));  // cron's own exception
}

TEST(Cron, WhatIsNotSupportedIsRefusedInWords) {
  EXPECT_THAT(refusal("@reboot"), HasSubstr("not supported"));
  EXPECT_THAT(refusal("0 2 * *"), HasSubstr("five fields, not 4"));
  EXPECT_THAT(refusal("0 0 2 * * *"), HasSubstr("five fields, not 6"));
  EXPECT_THAT(refusal(""), HasSubstr("five fields, not 0"));
  EXPECT_THAT(refusal("60 2 * * *"), HasSubstr("'60' is no minute: it is not from 0 to 59"));
  EXPECT_THAT(refusal("0 24 * * *"), HasSubstr("no hour"));
  EXPECT_THAT(refusal("0 2 0 * *"), HasSubstr("from 1 to 31"));
  EXPECT_THAT(refusal("0 2 L * *"), HasSubstr("'L'"));
  EXPECT_THAT(refusal("0 2 * * sun#1"), HasSubstr("not supported"));
  EXPECT_THAT(refusal("0 2 ? * *"), HasSubstr("not supported"));
  EXPECT_THAT(refusal("0 2 * * sunday"), HasSubstr("neither a number nor a name"));
  EXPECT_THAT(refusal("0 5-2 * * *"), HasSubstr("ends before it begins"));
  EXPECT_THAT(refusal("*/0 2 * * *"), HasSubstr("above 0"));
  EXPECT_THAT(refusal("5/10 2 * * *"), HasSubstr("needs '*' or a range"));
  EXPECT_THAT(refusal("1,,2 2 * * *"), HasSubstr("''"));
  EXPECT_THAT(refusal("-1 2 * * *"), HasSubstr("no minute"));
  EXPECT_THAT(refusal("0 2 31 2,4 *"), HasSubstr("no such day"));
  EXPECT_EQ(refusal("0 2 29 2 *"), "taken");
  EXPECT_THAT(refusal(std::string(1000, '*')), HasSubstr("not that long"));
}

std::chrono::minutes around(const std::string& cron, std::chrono::year_month_day day,
                            std::chrono::minutes time) {
  return interval_around(parse_cron(cron), std::chrono::local_days(day) + time);
}

TEST(Cron, KnowsHowLongItIsFromOneTimeToTheNext) {
  using namespace std::chrono;
  using namespace std::chrono_literals;
  const year_month_day friday{2026y / 3 / 13}, saturday{2026y / 3 / 14}, monday{2026y / 3 / 16};
  EXPECT_EQ(around("0 2 * * *", friday, 1h), 24h);
  EXPECT_EQ(around("0 2 * * *", friday, 2h), 24h);
  EXPECT_EQ(around("*/15 * * * *", friday, 23h + 59min), 15min);
  EXPECT_EQ(around("0 2,22 * * *", friday, 3h), 20h);
  EXPECT_EQ(around("0 2,22 * * *", friday, 23h), 4h);
  // On working days: the weekend is no gap, and Friday's backup has to last.
  EXPECT_EQ(around("0 2 * * mon-fri", friday, 1h + 59min), 24h);
  EXPECT_EQ(around("0 2 * * mon-fri", friday, 2h), 72h);
  EXPECT_EQ(around("0 2 * * mon-fri", saturday, 12h), 72h);
  EXPECT_EQ(around("0 2 * * mon-fri", monday, 1h), 72h);
  EXPECT_EQ(around("@weekly", saturday, 12h), 7 * 24h);
  EXPECT_EQ(around("@monthly", friday, 12h), 31 * 24h);
  EXPECT_EQ(around("0 2 13 * sat", friday, 12h), 24h);  // either kind of day
  EXPECT_EQ(around("0 2 29 2 *", friday, 12h), 1461 * 24h);
  EXPECT_EQ(around("0 0 29 2 */7", friday, 12h), 28 * 365 * 24h + 7 * 24h);  // on a Sunday
}

}  // namespace
}  // namespace holdfast
