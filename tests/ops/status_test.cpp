// `status` on a real server: healthy, without its repository, and as Nagios wants it.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "ops/suite.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(Status, TellsHowEverythingIsAndWhatIsMissing) {
  Observed observed;
  const Answer empty = observed.run({"status"});
  EXPECT_EQ(empty.outcome.exit_code, 1);
  EXPECT_EQ(Observed::codes(empty, "problems"), Codes{"no_backup"}) << empty.text();

  observed.holdfast().backup();
  observed.archived().archive();
  const Answer good = observed.run({"status"});
  EXPECT_EQ(good.outcome.exit_code, 0) << good.text();
  const Json& result = good.result();
  EXPECT_EQ(result.at("health"), "ok") << good.text();
  EXPECT_EQ(result.at("postgres").at("role"), "primary");
  EXPECT_EQ(result.at("archiving").at("on"), true);
  EXPECT_EQ(result.at("archiving").at("failing"), false);
  const Json& repository = result.at("repositories").at(0);
  EXPECT_EQ(repository.at("backups"), 1);
  EXPECT_EQ(repository.at("last_good").at("type"), "full");
  EXPECT_TRUE(repository.at("window").at("to").is_string()) << good.text();

  const Outcome nagios = observed.plain({"status", "--nagios"});
  EXPECT_EQ(nagios.exit_code, 0) << nagios.out;
  EXPECT_THAT(nagios.out, StartsWith("HOLDFAST OK - demo: "));
  EXPECT_THAT(nagios.out, HasSubstr(" | 'backup_age_first'="));
  EXPECT_EQ(std::ranges::count(nagios.out, '\n'), 1);
  EXPECT_THAT(observed.plain({"status"}).out, HasSubstr("recoverable"));
}

TEST(Status, OneRepositoryThatIsAwayDoesNotHideTheRest) {
  Observed observed;
  observed.add_second();
  observed.holdfast().backup();
  observed.move_away(observed.second());
  const Answer warned = observed.run({"status"});
  EXPECT_EQ(warned.outcome.exit_code, 0) << warned.text();
  EXPECT_EQ(warned.result().at("health"), "warning") << warned.text();
  EXPECT_EQ(Observed::codes(warned, "problems"), Codes{"storage_missing"}) << warned.text();
  EXPECT_EQ(warned.result().at("repositories").at(0).at("backups"), 1);
  EXPECT_EQ(warned.result().at("repositories").at(1).at("reachable"), false);
  EXPECT_EQ(observed.plain({"status", "--nagios"}).exit_code, 1);

  // PostgreSQL too: what is left is told.
  observed.archived().server().stop();
  const Answer without = observed.run({"status"});
  EXPECT_EQ(without.outcome.exit_code, 1);
  EXPECT_EQ(without.result().at("postgres").at("reachable"), false);
  EXPECT_EQ(without.result().at("repositories").at(0).at("backups"), 1) << without.text();
  EXPECT_EQ(observed.plain({"status", "--nagios"}).exit_code, 2);
}

TEST(Status, WhatCannotBeFoundOutIsUnknownToNagios) {
  Observed observed;
  write_text(observed.holdfast().configuration(), "cluster: [\n");
  const Outcome unknown = observed.plain({"status", "--nagios"});
  EXPECT_EQ(unknown.exit_code, 3) << unknown.out;
  EXPECT_THAT(unknown.out, StartsWith("HOLDFAST UNKNOWN - "));
}

}  // namespace
}  // namespace holdfast::test
