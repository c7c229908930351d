// Bringing back what is frozen: which objects, in which order, and what is not asked for twice.
#include "repository/thaw.h"

#include <algorithm>

#include <fmt/format.h>

#include "repository_testing.h"
#include "storage/store_decorator.h"

namespace holdfast::test {
namespace {

// Every pack of data is frozen; what was asked for is there at the n-th look at it.
class FrozenStore final : public StoreDecorator {
 public:
  struct Facts {
    std::mutex mutex;
    std::map<std::string, int> asked, looks;
    int looks_needed = 3;
    std::set<std::string> forgets;  // whose first request comes to nothing
  };
  FrozenStore(std::unique_ptr<ObjectStore> inner, std::shared_ptr<Facts> facts)
      : StoreDecorator(std::move(inner)), facts_(std::move(facts)) {
    capabilities_.storage_classes = true;
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    ListPage page = StoreDecorator::list(request, stop);
    for (ObjectInfo& object : page.objects) {
      if (object.name.find("/pack/") != std::string::npos) object.storage_class = "DEEP_ARCHIVE";
    }
    return page;
  }
  std::optional<ThawState> thaw_state(const std::string& name,
                                      const std::stop_token& stop) override {
    if (!head(name, stop)) return std::nullopt;
    const std::lock_guard lock(facts_->mutex);
    if (facts_->asked[name] == 0) return ThawState::kFrozen;
    if (facts_->forgets.erase(name) > 0) return ThawState::kFrozen;
    return ++facts_->looks[name] >= facts_->looks_needed ? ThawState::kReadable
                                                         : ThawState::kThawing;
  }
  ThawState request_thaw(const std::string& name, const ThawRequest&,
                         const std::stop_token&) override {
    const std::lock_guard lock(facts_->mutex);
    ++facts_->asked[name];
    return ThawState::kThawing;
  }
  const Capabilities& capabilities() const override { return capabilities_; }

 private:
  std::shared_ptr<Facts> facts_;
  Capabilities capabilities_;
};

class CountingPacer final : public Pacer {
 public:
  TimePoint now() override { return {}; }
  void sleep(Duration duration, const std::stop_token&) override { slept.push_back(duration); }
  std::vector<Duration> slept;
};

class CountingProgress final : public Progress {
 public:
  void phase(std::string_view name, std::uint64_t bytes) override {
    phase_name = name;
    total = bytes;
  }
  void advance(std::uint64_t bytes) override { done += bytes; }
  void note(std::string_view) override {}
  std::string phase_name;
  std::uint64_t total = 0, done = 0;
};

class ThawTest : public testing::Test {
 protected:
  ThawTest() {
    write_backup(*repository_,
                 {{"base/1/big", std::uint64_t{72} << 20U, numbered_content},
                  {"base/1/small", 3000, numbered_content}},
                 {.name = name_});
    for (const CatalogueEntry& entry : list_backups(*repository_, "demo", kNoStop)) {
      root_ = read_manifest(*repository_, entry.outcome, registry_, kNoStop);
    }
  }
  ColdObjects cold() { return cold_packs(*repository_, root_, registry_, kNoStop); }

  const BackupName name_ = backup_name("20260101T000000Z-0001");
  TestRepository memory_;
  std::shared_ptr<FrozenStore::Facts> facts_ = std::make_shared<FrozenStore::Facts>();
  std::unique_ptr<Repository> repository_ =
      memory_.open_on(std::make_unique<FrozenStore>(memory_.store(), facts_));
  PackRegistry registry_;
  ManifestRoot root_;
  CountingPacer pacer_;
  CountingProgress progress_;
};

TEST_F(ThawTest, FindsThePacksOfDataAndNothingElse) {
  const ColdObjects found = cold();
  std::size_t data = 0;
  std::uint64_t bytes = 0;
  for (const CitedPack& cited : root_.packs) {
    if (registry_.at(cited.pack).kind != names::PackKind::kData) continue;
    ++data;
    bytes += cited.bytes;
  }
  EXPECT_GT(data, 1U);
  EXPECT_LT(data, root_.packs.size());
  EXPECT_EQ(found.objects.size(), data);
  EXPECT_EQ(found.bytes, bytes);
  EXPECT_EQ(found.requested, 0U);
  EXPECT_EQ(found.storage_class, "DEEP_ARCHIVE");
}

TEST_F(ThawTest, AnotherBackupsPackInTheSameFolderIsNone) {
  root_.packs.erase(root_.packs.begin());
  const auto all = root_.packs.size();
  EXPECT_LT(cold().objects.size(), all + 1);
  for (const ColdObject& object : cold().objects) {
    EXPECT_TRUE(std::ranges::any_of(root_.packs, [&](const CitedPack& cited) {
      const PackRef& pack = registry_.at(cited.pack);
      return object.name == names::pack(name_, pack.kind, pack.number);
    })) << object.name;
  }
}

TEST_F(ThawTest, AsksOnceAndWaitsForAll) {
  ColdObjects found = cold();
  const std::uint64_t bytes = found.bytes;
  thaw(*repository_, std::move(found), {}, progress_, kNoStop, pacer_);
  for (const auto& [name, times] : facts_->asked) EXPECT_EQ(times, 1) << name;
  EXPECT_TRUE(cold().empty());
  EXPECT_EQ(progress_.phase_name, "thaw");
  EXPECT_EQ(progress_.total, bytes);
  EXPECT_EQ(progress_.done, bytes);
  EXPECT_EQ(pacer_.slept,
            (std::vector<Pacer::Duration>{std::chrono::seconds(1), std::chrono::seconds(2)}));
}

TEST_F(ThawTest, PausesGrowAndEnd) {
  facts_->looks_needed = 12;
  thaw(*repository_, cold(), {}, progress_, kNoStop, pacer_);
  ASSERT_FALSE(pacer_.slept.empty());
  EXPECT_EQ(pacer_.slept.back(), kLongestThawPause);
}

TEST_F(ThawTest, WhatWasAskedForBeforeIsOnlyAwaited) {
  const std::string first = cold().objects.at(0).name;
  request_thaw(repository_->store(), first, {}, kNoStop);
  ColdObjects found = cold();
  EXPECT_EQ(found.requested, 1U);
  thaw(*repository_, std::move(found), {}, progress_, kNoStop, pacer_);
  for (const auto& [name, times] : facts_->asked) EXPECT_EQ(times, 1) << name;
}

TEST_F(ThawTest, ARequestThatCameToNothingIsRepeated) {
  const std::string first = cold().objects.at(0).name;
  facts_->forgets = {first};
  thaw(*repository_, cold(), {}, progress_, kNoStop, pacer_);
  EXPECT_EQ(facts_->asked[first], 2);
  EXPECT_TRUE(cold().empty());
}

TEST_F(ThawTest, ASpeedThatTheClassLacksIsRefusedBeforeAnythingIsAsked) {
  facts_->asked.clear();
  EXPECT_EQ(kind_of([&] {
              thaw(*repository_, cold(), {.speed = ThawSpeed::kExpedited}, progress_, kNoStop,
                   pacer_);
            }),
            ErrorKind::kUsage);
  for (const auto& [name, times] : facts_->asked) EXPECT_EQ(times, 0) << name;
}

TEST_F(ThawTest, AnObjectThatIsGoneIsDamage) {
  ColdObjects found = cold();
  memory_.objects->objects.erase(found.objects.at(0).name);
  EXPECT_EQ(kind_of([&] { thaw(*repository_, std::move(found), {}, progress_, kNoStop, pacer_); }),
            ErrorKind::kDamage);
}

TEST_F(ThawTest, WhatSeveralBackupsNeedIsCountedOnce) {
  ColdObjects both = cold();
  const std::uint64_t bytes = both.bytes;
  const std::size_t objects = both.objects.size();
  append(both, cold());
  EXPECT_EQ(both.objects.size(), objects);
  EXPECT_EQ(both.bytes, bytes);
}

}  // namespace
}  // namespace holdfast::test
