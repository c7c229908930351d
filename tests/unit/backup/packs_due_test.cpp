// Which packs of its parent an incremental backup stores anew.
#include <algorithm>

#include <gtest/gtest.h>

#include "backup/choose_base.h"

namespace holdfast {
namespace {

void add_pack(ManifestRoot& root, PackRegistry& registry, Timestamp written, std::uint32_t bytes) {
  std::string id = to_rfc3339_seconds(written);
  std::erase_if(id, [](char c) { return c == '-' || c == ':'; });
  const auto number = static_cast<std::uint32_t>(root.packs.size() + 1);
  root.packs.push_back(
      {registry.intern({{1, 42}, {id + "-0000"}, names::PackKind::kData, number, {}}), bytes});
}

ManifestRoot root_with_packs_of(PackRegistry& registry, const std::vector<Timestamp>& written,
                                std::uint32_t bytes) {
  ManifestRoot root;
  for (const Timestamp time : written) add_pack(root, registry, time, bytes);
  return root;
}

// By how many days ago the backup of each pack began, and of how many bytes it is.
ManifestRoot root_with_packs(PackRegistry& registry, Timestamp now,
                             const std::vector<std::pair<int, std::uint32_t>>& packs) {
  ManifestRoot root;
  for (const auto& [days, bytes] : packs) {
    add_pack(root, registry, now - std::chrono::days(days), bytes);
  }
  return root;
}

TEST(PacksDue, AreTheOldestSoThatEnoughIsYoungerThanEachPack) {
  const Timestamp now = *parse_rfc3339("2026-11-22T12:00:00Z");
  PackRegistry registry;
  // Of 3000 bytes, 2000 should be younger than 20 days, and 1890 are.
  const ManifestRoot root =
      root_with_packs(registry, now, {{1, 1890}, {29, 60}, {29, 40}, {29, 20}, {20, 990}});
  const PackSet due = packs_due(root, registry, now, std::chrono::days(30));
  const auto has = [&](std::size_t i) { return due.has(root.packs[i].pack); };
  EXPECT_FALSE(has(0));
  EXPECT_TRUE(has(1));
  EXPECT_TRUE(has(2));
  EXPECT_FALSE(has(3)) << "120 bytes are more than are lacking";
  EXPECT_FALSE(has(4));
}

// Found in a review: what was less than a pack was due never, and after thirty days all at once.
TEST(PacksDue, OfASmallClusterAreSpreadOverThePeriod) {
  for (const int hours : {1, 24}) {
    constexpr std::uint32_t kPack = 1000;
    const Timestamp begin = *parse_rfc3339("2026-01-01T00:00:00Z");
    std::vector<Timestamp> written(10, begin);
    for (Timestamp now = begin; now < begin + std::chrono::days(120);) {
      now += std::chrono::hours(hours);
      PackRegistry registry;
      const ManifestRoot root = root_with_packs_of(registry, written, kPack);
      const PackSet due = packs_due(root, registry, now, std::chrono::days(30));
      int due_now = 0;
      for (std::size_t i = 0; i < written.size(); ++i) {
        if (!due.has(root.packs[i].pack)) continue;
        ++due_now;
        written[i] = now;
      }
      ASSERT_LE(due_now, 1) << to_rfc3339_seconds(now);
      const auto oldest = now - *std::ranges::min_element(written);
      ASSERT_LE(oldest, std::chrono::days(30)) << to_rfc3339_seconds(now);
    }
  }
}

TEST(PacksDue, WhatIsOlderThanThePeriodIsDueHoweverMuchItIs) {
  const Timestamp now = *parse_rfc3339("2026-11-22T12:00:00Z");
  PackRegistry registry;
  const ManifestRoot root = root_with_packs(registry, now, {{31, 5000}, {40, 5000}, {2, 10}});
  const PackSet due = packs_due(root, registry, now, std::chrono::days(30));
  EXPECT_TRUE(due.has(root.packs[0].pack));
  EXPECT_TRUE(due.has(root.packs[1].pack));
  EXPECT_FALSE(due.has(root.packs[2].pack)) << "10000 bytes are going to be younger";
  const PackSet never = packs_due(root, registry, now, std::chrono::days(0));
  EXPECT_FALSE(never.has(root.packs[0].pack));
}

}  // namespace
}  // namespace holdfast
