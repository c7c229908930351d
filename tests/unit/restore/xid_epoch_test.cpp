#include "restore/xid_epoch.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr std::uint64_t kEpoch = std::uint64_t{1} << 32U;

TEST(XidEpoch, IsThatOfTheNearestId) {
  EXPECT_EQ(nearest_full_xid(1000, 999), 999U);
  EXPECT_EQ(nearest_full_xid(1000, 1001), 1001U);
  EXPECT_EQ(nearest_full_xid(7 * kEpoch + 1000, 5), 7 * kEpoch + 5);
  // Across the border of two epochs, in both directions.
  EXPECT_EQ(nearest_full_xid(7 * kEpoch + 5, 0xFFFFFFF0U), 6 * kEpoch + 0xFFFFFFF0U);
  EXPECT_EQ(nearest_full_xid(7 * kEpoch - 5, 100), 7 * kEpoch + 100);
}

}  // namespace
}  // namespace holdfast
