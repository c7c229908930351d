// The conformance suite against folders, and against stores with one planted bug each, which it
// must find.

#include "storage/conformance.h"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/log.h"
#include "storage/fault_store.h"
#include "storage/retry_store.h"
#include "storage/store_decorator.h"
#include "temporary_folder.h"

namespace holdfast {
namespace {

using test::FolderRepository;

const std::stop_token kNoStop;

ConformanceOptions small_options() {
  return {.scratch_prefix = "scratch/run-1/",
          .listed_objects = 150,
          .large_object_bytes = 3U << 20U,
          .parallel = 8};
}

void expect_all_ok(const std::vector<ConformanceCheck>& checks) {
  EXPECT_GE(checks.size(), 18U);
  for (const ConformanceCheck& check : checks) {
    EXPECT_EQ(check.outcome, CheckOutcome::kOk) << check.name << ": " << check.detail;
  }
}

std::vector<std::string> failed(const std::vector<ConformanceCheck>& checks) {
  std::vector<std::string> names;
  for (const ConformanceCheck& check : checks) {
    if (check.outcome == CheckOutcome::kFailed) names.push_back(check.name);
  }
  return names;
}

TEST(Conformance, FolderPassesAtFullSize) {
  const FolderRepository repository(test::Medium::kDisk);
  const auto store = repository.open();
  expect_all_ok(run_conformance(*store, {.scratch_prefix = "scratch/run-1/"}, kNoStop));
  EXPECT_FALSE(std::filesystem::exists(repository.root() / "scratch"));  // it cleans up
}

int no_links(int, const char*, const char*) {
  return EPERM;
}
int no_flags(int, const char*, const char*) {
  return EINVAL;
}

TEST(Conformance, FolderWithoutHardLinksPasses) {
  const FolderRepository repository;
  PublishCalls calls = system_publish_calls();
  calls.link = no_links;
  expect_all_ok(run_conformance(*repository.open(calls), small_options(), kNoStop));
  calls.rename_no_replace = no_flags;
  expect_all_ok(run_conformance(*repository.open(calls), small_options(), kNoStop));
}

TEST(Conformance, TransientFaultsAreNotSeenBehindRetries) {
  configure_log(LogLevel::kOff, LogFormat::kText);
  const FolderRepository repository;
  const std::uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  FaultPlan plan{.seed = seed};
  plan.rules = {{.probability = 0.1, .effect = FaultEffect::kFail}};
  // What has no outcome to lose may also lose its answer.
  for (const StoreOperation operation :
       {StoreOperation::kGet, StoreOperation::kGetRange, StoreOperation::kHead,
        StoreOperation::kList, StoreOperation::kRemove, StoreOperation::kRemoveMany}) {
    plan.rules.push_back(
        {.operation = operation, .probability = 0.1, .effect = FaultEffect::kLost});
  }
  const RetryPolicy policy{.attempts = 30,
                           .first_delay = std::chrono::milliseconds(1),
                           .max_delay = std::chrono::milliseconds(2)};
  const auto store = make_retry_store(make_fault_store(repository.open(), plan), policy,
                                      {.budget = std::make_shared<RetryBudget>(1e9)});
  expect_all_ok(run_conformance(*store, small_options(), kNoStop));
  configure_log(LogLevel::kInfo, LogFormat::kText);
}

TEST(Conformance, FaultsWithoutRetriesAreReported) {
  const FolderRepository repository;
  const auto store = make_fault_store(repository.open(), parse_fault_plan("get_range=fail"));
  const auto checks = run_conformance(*store, small_options(), kNoStop);
  EXPECT_FALSE(conforms(checks));
  EXPECT_TRUE(std::ranges::count(failed(checks), "ranged reads"));
}

TEST(Conformance, DeniedDeletionIsReportedNotFatal) {
  const FolderRepository repository;
  const auto store =
      make_fault_store(repository.open(), parse_fault_plan("remove=deny,remove_many=deny"));
  const auto checks = run_conformance(*store, small_options(), kNoStop);
  EXPECT_TRUE(conforms(checks)) << failed(checks).front();
  const auto& last = checks.back();
  EXPECT_EQ(last.outcome, CheckOutcome::kUnsupported);
  EXPECT_NE(last.detail.find("stay below scratch/run-1/"), std::string::npos) << last.detail;
}

TEST(Conformance, CancellationIsThrown) {
  const FolderRepository repository;
  std::stop_source source;
  source.request_stop();
  try {
    run_conformance(*repository.open(), small_options(), source.get_token());
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
}

// One bug in an otherwise good store.
struct PlantedBug {
  std::string name;
  std::string found_by;
  std::function<std::unique_ptr<ObjectStore>(std::unique_ptr<ObjectStore>)> plant;
};

class Overwrites final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    inner().remove(name, stop);
    return inner().put(name, content, options, stop);
  }
};

class ChecksThenWrites final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    if (inner().head(name, stop)) return PutOutcome::kExists;
    if (name.find("creators/") != std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    inner().remove(name, stop);
    inner().put(name, content, options, stop);
    return PutOutcome::kCreated;
  }
};

class RemembersAbsence final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(name);
    if (known != known_.end()) return known->second;
    return known_[name] = inner().get(name, stop);
  }
  std::mutex mutex_;
  std::map<std::string, std::optional<Bytes>> known_;
};

template <class Change>
class ChangedListing final : public StoreDecorator {
 public:
  ChangedListing(std::unique_ptr<ObjectStore> inner, Change change)
      : StoreDecorator(std::move(inner)), change_(std::move(change)) {}
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    ListPage page = inner().list(request, stop);
    change_(request, page);
    return page;
  }

 private:
  Change change_;
};

template <class Change>
auto listing_bug(Change change) {
  return [change](std::unique_ptr<ObjectStore> inner) -> std::unique_ptr<ObjectStore> {
    return std::make_unique<ChangedListing<Change>>(std::move(inner), change);
  };
}

class ZeroesBehindTheEnd final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    try {
      return inner().get_range(name, offset, out, stop);
    } catch (const Error&) {
      std::ranges::fill(out, std::byte{0});
      return true;
    }
  }
};

class KeepsWhatIsRemoved final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  void remove(const std::string&, const std::stop_token&) override {}
};

class KeepsTheLastOfMany final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    if (names.empty()) return {};
    return inner().remove_many({names.begin(), names.end() - 1}, stop);
  }
};

class WrongClock final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  Timestamp now(const std::stop_token& stop) override {
    return inner().now(stop) - std::chrono::hours(1);
  }
};

class DecodesNames final : public StoreDecorator {
  using StoreDecorator::StoreDecorator;
  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    std::string decoded = name;
    std::ranges::replace(decoded, '+', ' ');
    return inner().put(decoded, content, options, stop);
  }
};

template <class Store>
std::unique_ptr<ObjectStore> wrap(std::unique_ptr<ObjectStore> inner) {
  return std::make_unique<Store>(std::move(inner));
}

auto fault_bug(std::string plan) {
  return [plan](std::unique_ptr<ObjectStore> inner) {
    return make_fault_store(std::move(inner), parse_fault_plan(plan));
  };
}

std::vector<PlantedBug> planted_bugs() {
  return {
      {"Overwrites", "create only", wrap<Overwrites>},
      {"ChecksThenWrites", "concurrent creators", wrap<ChecksThenWrites>},
      {"RemembersAbsence", "read and list after write", wrap<RemembersAbsence>},
      {"ZeroesBehindTheEnd", "ranged reads", wrap<ZeroesBehindTheEnd>},
      {"KeepsWhatIsRemoved", "delete", wrap<KeepsWhatIsRemoved>},
      {"KeepsTheLastOfMany", "delete many", wrap<KeepsTheLastOfMany>},
      {"WrongClock", "clock", wrap<WrongClock>},
      {"DecodesNames", "unusual names", wrap<DecodesNames>},
      {"FlipsABit", "large object", fault_bug("get@large=flip")},
      {"Truncates", "large object", fault_bug("get@large=truncate")},
      {"ListsBackwards", "order of listings",
       listing_bug([](const auto&, ListPage& page) { std::ranges::reverse(page.objects); })},
      {"ForgetsTheNextPage", "paging of listings",
       listing_bug([](const auto&, ListPage& page) { page.next.reset(); })},
      {"RepeatsTheStart", "paging of listings",
       listing_bug([](const ListRequest& request, ListPage& page) {
         if (!request.after.empty()) page.objects.insert(page.objects.begin(), {request.after});
       })},
      {"LosesAFolder", "folders in listings", listing_bug([](const auto&, ListPage& page) {
         if (page.folders.size() > 1) page.folders.pop_back();
       })},
      {"LosesNamesOfLongListings", "long listing",
       listing_bug([](const ListRequest& request, ListPage& page) {
         if (request.prefix.ends_with("long/") && page.objects.size() > 100) {
           page.objects.erase(page.objects.begin() + 99);
         }
       })},
  };
}

class ConformancePlanted : public testing::TestWithParam<PlantedBug> {};

TEST_P(ConformancePlanted, BugIsFound) {
  const FolderRepository repository;
  const auto store = GetParam().plant(repository.open());
  const auto names = failed(run_conformance(*store, small_options(), kNoStop));
  EXPECT_TRUE(std::ranges::count(names, GetParam().found_by))
      << "found by: " << testing::PrintToString(names);
}

INSTANTIATE_TEST_SUITE_P(Bugs, ConformancePlanted, testing::ValuesIn(planted_bugs()),
                         [](const auto& bug) { return bug.param.name; });

}  // namespace
}  // namespace holdfast
