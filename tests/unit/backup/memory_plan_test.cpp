// plan_memory: a table, and that no plan ever exceeds its budget.
#include "backup/memory_plan.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

// What the plan's parts take, as the header counts them: packs, and a worker's chunk and context.
std::uint64_t bytes_of(const MemoryPlan& plan) {
  return plan.data_pack_bytes * (plan.data_uploads + 1) +
         plan.map_pack_bytes * (plan.map_uploads + 1) + plan.workers * kMiB;
}

TEST(MemoryPlan, NeverExceedsItsBudgetAndAlwaysWorks) {
  for (const std::uint64_t mib : {0, 1, 64, 65, 100, 128, 200, 256, 300, 512, 1024, 4096, 65536}) {
    for (const std::size_t jobs : {0, 1, 2, 3, 8, 64, 1000}) {
      for (const std::size_t requests : {0, 1, 2, 8, 32, 500}) {
        const MemoryPlan plan = plan_memory(mib * kMiB, jobs, requests);
        SCOPED_TRACE(testing::Message() << mib << " MiB, " << jobs << " jobs, " << requests);
        EXPECT_LE(bytes_of(plan), std::max(mib * kMiB, kMinMemoryBytes));
        EXPECT_GE(plan.workers, 1U);
        EXPECT_LE(plan.workers, std::max<std::size_t>(jobs, 1));
        EXPECT_GE(plan.data_uploads, 2U) << "one fills while two are on their way";
        EXPECT_LE(plan.data_uploads, std::max<std::size_t>(requests, 2));
        EXPECT_GE(plan.data_pack_bytes, 4 * kMiB) << "a chunk must fit with room";
        EXPECT_LE(plan.data_pack_bytes, 64 * kMiB) << "no object is larger";
        EXPECT_GE(plan.map_pack_bytes, 1 * kMiB);
        EXPECT_GE(plan.map_uploads, 1U);
      }
    }
  }
}

TEST(MemoryPlan, MoreMemoryNeverPlansLess) {
  MemoryPlan before = plan_memory(64 * kMiB, 8, 8);
  for (std::uint64_t mib = 65; mib < 2048; ++mib) {
    const MemoryPlan plan = plan_memory(mib * kMiB, 8, 8);
    EXPECT_GE(plan.data_pack_bytes, before.data_pack_bytes) << mib;
    EXPECT_GE(plan.map_pack_bytes, before.map_pack_bytes) << mib;
    before = plan;
  }
}

TEST(MemoryPlan, TheDefaultFeedsTwoCoresAndFourUploads) {
  const MemoryPlan plan = plan_memory(256 * kMiB, 2, 8);
  EXPECT_EQ(plan.data_pack_bytes, 32 * kMiB);
  EXPECT_GE(plan.data_uploads, 4U);
  EXPECT_EQ(plan.workers, 2U);
}

TEST(MemoryPlan, TheLeastHasAWorkerForEachOfTwoJobs) {
  EXPECT_EQ(plan_memory(kMinMemoryBytes, 2, 8).workers, 2U);
}

}  // namespace
}  // namespace holdfast
