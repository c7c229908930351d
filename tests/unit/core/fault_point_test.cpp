#include "core/fault_point.h"

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

// The plan is read once per process, so each case runs in a process of its own.
[[noreturn]] void pass_points(const char* plan) {
  ::setenv("HOLDFAST_FAULT_POINT", plan, 1);
  try {
    fault_point("backup.locked");
    fault_point("backup.pack_stored");
    fault_point("backup.pack_stored");
  } catch (const Error& error) {
    std::_Exit(exit_code(error.kind()));
  }
  std::_Exit(0);
}

TEST(FaultPointDeathTest, KillsAtTheNamedPass) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(pass_points("backup.locked:kill"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_points("backup.pack_stored#2:kill"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(pass_points("backup.pack_stored#3:kill"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(pass_points("backup.committed:kill"), testing::ExitedWithCode(0), "");
}

TEST(FaultPointDeathTest, ABadPlanIsAUsageErrorAndNotANoOp) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const char* bad :
       {"", "backup.locked", "backup.locked:burn", "no.such.point:kill", "backup.locked#x:kill",
        "backup.locked#2x:kill", "backup.locked#0:kill"}) {
    EXPECT_EXIT(pass_points(bad), testing::ExitedWithCode(2), "") << bad;
  }
}

}  // namespace
}  // namespace holdfast
