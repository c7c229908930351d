// The findings of `check` without a server: what is looked at goes on whatever was wrong before.
#include "app/check.h"

#include <gtest/gtest.h>

#include "app/check_parts.h"
#include "app/clock.h"
#include "app/init.h"
#include "app/open.h"
#include "storage/folder_store.h"
#include "storage/store_decorator.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
const std::stop_token kNoStop;

class SkewedStore final : public StoreDecorator {
 public:
  SkewedStore(std::unique_ptr<ObjectStore> inner, std::chrono::microseconds ahead)
      : StoreDecorator(std::move(inner)), ahead_(ahead) {}
  Timestamp now(const std::stop_token& stop) override { return inner().now(stop) + ahead_; }

 private:
  std::chrono::microseconds ahead_;
};

// Overwrites like a server that ignores If-None-Match.
class OverwritingStore final : public StoreDecorator {
 public:
  using StoreDecorator::StoreDecorator;
  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    inner().remove(name, stop);
    return inner().put(name, content, options, stop);
  }
};

class LockedStore final : public StoreDecorator {
 public:
  using StoreDecorator::StoreDecorator;
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token&) override {
    std::vector<RemoveFailure> failures;
    for (const std::string& name : names) failures.push_back({name, "locked"});
    return failures;
  }
};

TEST(Clock, GapsAreBetweenTheTwoThatAreFurthestApart) {
  const std::vector<ClockReading> readings{{"PostgreSQL", -minutes(4)},
                                           {"the repository", minutes(2)}};
  const ClockGap gap = widest_gap(readings);
  EXPECT_EQ(gap.ahead, "the repository");
  EXPECT_EQ(gap.behind, "PostgreSQL");
  EXPECT_EQ(gap.gap, minutes(6));
  EXPECT_TRUE(clock_warning(readings));
}

TEST(Clock, ThisMachineIsAmongThoseCompared) {
  EXPECT_FALSE(clock_warning({{"PostgreSQL", minutes(5)}}));
  const auto warning = clock_warning({{"PostgreSQL", minutes(5) + std::chrono::seconds(1)}});
  ASSERT_TRUE(warning);
  EXPECT_NE(warning->find("PostgreSQL"), std::string::npos);
  EXPECT_NE(warning->find("this machine"), std::string::npos);
  EXPECT_FALSE(clock_warning({}));
}

TEST(Clock, AReadingCountsForTheMiddleOfTheCall) {
  // The clock goes ten seconds further with each look.
  struct Stepping final : Clock {
    Timestamp now() const override { return Timestamp{std::chrono::seconds(10 * ++looks)}; }
    mutable int looks = 0;
  } here;
  struct Fixed final : StoreDecorator {
    Fixed() : StoreDecorator(nullptr) {}
    Timestamp now(const std::stop_token&) override { return Timestamp{std::chrono::seconds(115)}; }
  } there;
  EXPECT_EQ(read_clock(there, kNoStop, here).ahead, std::chrono::seconds(100));
}

TEST(CheckFindings, AnErrorIsAFindingAndACancelIsNot) {
  CheckFindings findings;
  findings.attempt("one", [] {
    throw Error(ErrorKind::kHost, "no room", {.object = "/srv", .hint = "make some"});
  });
  EXPECT_THROW(findings.attempt("two", [] { throw Error(ErrorKind::kCancelled, "stopped"); }),
               Error);
  const auto list = findings.take();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].level, FindingLevel::kFailed);
  EXPECT_EQ(list[0].detail, "no room (/srv)");
  EXPECT_EQ(list[0].hint, "make some");
}

class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    Config& config = loaded_.config;
    config.cluster = "demo";
    config.state_directory = folder_ / "state";
    config.postgres.data_directory = (folder_ / "data").string();
    config.postgres.connection = "host=/nowhere port=1 connect_timeout=1";
    config.repositories = {{.name = "first", .url = "file://" + (folder_ / "store").string()}};
    create_store(store_options(repository()));
    Repository::create(*open_store(store_options(repository())), {.holdfast_version = "test"},
                       kNoStop);
  }

  RepositoryConfig& repository() { return loaded_.config.repositories.front(); }
  template <class Store, class... Arguments>
  void check_with(Arguments... arguments) {
    check({.wrap_store = [=](std::unique_ptr<ObjectStore> inner) {
      return std::make_unique<Store>(std::move(inner), arguments...);
    }});
  }
  void check(const CheckOptions& options = {}) {
    findings_ = check_setup(loaded_, only_, options, kNoStop);
  }
  // "ok", "warning", "failed", or "none"; of a finding that is about a repository, if one is named.
  std::string level(const std::string& name, const std::string& repository = "") const {
    for (const CheckFinding& finding : findings_) {
      if (finding.name != name) continue;
      if (!repository.empty() && finding.repository != repository) continue;
      if (finding.level == FindingLevel::kOk) return "ok";
      return finding.level == FindingLevel::kWarning ? "warning" : "failed";
    }
    return "none";
  }

  test::TempFolder folder_;
  LoadedConfig loaded_;
  std::string only_;
  std::vector<CheckFinding> findings_;
};

TEST_F(CheckTest, WithoutServerTheRepositoryIsStillChecked) {
  check();
  EXPECT_EQ(level("connection"), "failed");
  EXPECT_EQ(level("privileges"), "none");  // nothing is claimed about what was not seen
  EXPECT_EQ(level("registration"), "none");
  EXPECT_EQ(level("state directory"), "ok");
  EXPECT_EQ(level("repository"), "ok");
  EXPECT_EQ(level("repository rights"), "ok");
  EXPECT_EQ(level("create only"), "ok");
  EXPECT_EQ(level("clock"), "ok");
  EXPECT_EQ(level("configuration"), "warning");  // not encrypted
  EXPECT_EQ(count_of(findings_, FindingLevel::kFailed), 1U);
}

TEST_F(CheckTest, LeavesNothingInTheRepository) {
  check();
  std::vector<std::string> names;
  for_each_object(*open_store(store_options(repository())), "", kNoStop,
                  [&](const ObjectInfo& object) { names.push_back(object.name); });
  EXPECT_EQ(names, std::vector<std::string>{"repository"});
}

TEST_F(CheckTest, AClockThatIsOffByAnHourFails) {
  check_with<SkewedStore>(hours(1));
  EXPECT_EQ(level("clock"), "failed");
  check_with<SkewedStore>(-hours(1));
  EXPECT_EQ(level("clock"), "failed");
  check_with<SkewedStore>(minutes(4));
  EXPECT_EQ(level("clock"), "ok");
}

TEST_F(CheckTest, AStoreThatOverwritesFailsUnlessNobodyElseWrites) {
  check_with<OverwritingStore>();
  EXPECT_EQ(level("create only"), "failed");
  repository().exclusive_writer = true;
  check_with<OverwritingStore>();
  EXPECT_EQ(level("create only"), "warning");
}

TEST_F(CheckTest, AStoreThatDoesNotDeleteIsAWarning) {
  check_with<LockedStore>();
  EXPECT_EQ(level("repository rights"), "warning");
  EXPECT_EQ(level("create only"), "ok");
}

TEST_F(CheckTest, AMissingRepositoryIsAFinding) {
  std::filesystem::remove_all(folder_ / "store");
  check();
  EXPECT_EQ(level("repository"), "failed");
  EXPECT_EQ(level("repository rights"), "none");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "store"));  // check makes no repository
}

TEST_F(CheckTest, EveryRepositoryIsLookedAt) {
  loaded_.config.repositories.push_back(
      {.name = "second", .url = "file://" + (folder_ / "second").string()});
  check();
  EXPECT_EQ(level("repository rights", "first"), "ok");
  EXPECT_EQ(level("repository", "second"), "failed");  // there is none
  create_store(store_options(loaded_.config.repositories[1]));
  Repository::create(*open_store(store_options(loaded_.config.repositories[1])),
                     {.holdfast_version = "test"}, kNoStop);
  check();
  EXPECT_EQ(level("repository", "second"), "ok");
  EXPECT_EQ(level("repository rights", "second"), "ok");
  EXPECT_EQ(level("repositories"), "none");
  only_ = "first";
  check();
  EXPECT_EQ(level("repository", "first"), "ok");
  EXPECT_EQ(level("repository", "second"), "none");
}

TEST_F(CheckTest, OneRepositoryUnderTwoNamesFails) {
  loaded_.config.repositories.push_back(repository());
  loaded_.config.repositories.back().name = "second";
  check();
  EXPECT_EQ(level("repositories"), "failed");
}

TEST_F(CheckTest, AStateDirectoryThatOthersMayEnterFails) {
  std::filesystem::create_directory(folder_ / "state");
  std::filesystem::permissions(folder_ / "state", std::filesystem::perms::all);
  check();
  EXPECT_EQ(level("state directory"), "failed");
}

TEST_F(CheckTest, TheStoreAloneIsCheckedBeforeARepositoryExists) {
  RepositoryConfig fresh{.name = "fresh", .url = "file://" + (folder_ / "fresh").string()};
  const auto checks = check_store(fresh, kNoStop);
  EXPECT_TRUE(conforms(checks));
  EXPECT_GT(checks.size(), 10U);
  for (const ConformanceCheck& one : checks) EXPECT_GT(one.time.count(), 0) << one.name;
  const auto left = open_store(store_options(fresh))->list({}, kNoStop);
  EXPECT_TRUE(left.objects.empty());
}

TEST(ScratchPrefix, IsNewEachTimeAndNoClusterCanHaveIt) {
  const std::string first = scratch_prefix();
  EXPECT_NE(first, scratch_prefix());
  EXPECT_TRUE(first.ends_with('/'));
  EXPECT_FALSE(is_valid_cluster_name(first.substr(0, first.find('/'))));
}

}  // namespace
}  // namespace holdfast
