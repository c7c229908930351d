// Retry, rate, metrics and faults, each around a folder.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/log.h"
#include "storage/fault_store.h"
#include "storage/metrics_store.h"
#include "storage/rate_store.h"
#include "storage/retry_store.h"
#include "temporary_folder.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using test::FolderRepository;

const std::stop_token kNoStop;

// Time passes only by sleeping.
class ManualPacer final : public Pacer {
 public:
  TimePoint now() override { return now_; }
  void sleep(Duration duration, const std::stop_token& stop) override {
    if (stop.stop_requested()) throw Error(ErrorKind::kCancelled, "interrupted");
    sleeps.push_back(duration);
    now_ += duration;
  }
  void pass(Duration duration) { now_ += duration; }
  Duration slept() const {
    Duration sum{};
    for (const Duration& one : sleeps) sum += one;
    return sum;
  }
  std::vector<Duration> sleeps;

 private:
  TimePoint now_ = TimePoint(std::chrono::hours(1));
};

std::optional<Error> failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

struct Stack {
  explicit Stack(FaultPlan plan, const RetryPolicy& policy = {}, double tokens = 1000) {
    budget = std::make_shared<RetryBudget>(tokens);
    auto counted = make_metrics_store(make_fault_store(repository.open(), std::move(plan)), inner);
    store =
        make_retry_store(std::move(counted), policy, {.pacer = pacer, .budget = budget, .seed = 7});
  }
  PutOutcome put(const std::string& name, std::string_view content = "x") {
    return store->put(name, as_bytes(content), {}, kNoStop);
  }
  std::uint64_t requests(StoreOperation operation) const {
    return inner->snapshot().of(operation).requests;
  }

  FolderRepository repository;
  ManualPacer pacer;
  std::shared_ptr<StoreMetrics> inner = std::make_shared<StoreMetrics>();  // what passes the retry
  std::shared_ptr<RetryBudget> budget;
  std::unique_ptr<ObjectStore> store;
};

FaultPlan plan_of(std::string_view text) {
  return parse_fault_plan(text);
}

class RetryStore : public testing::Test {
 protected:
  RetryStore() { configure_log(LogLevel::kOff, LogFormat::kText); }
  ~RetryStore() override { configure_log(LogLevel::kInfo, LogFormat::kText); }
};

TEST_F(RetryStore, RepeatsEveryOperationUntilItSucceeds) {
  Stack stack(
      plan_of("put#1x2=fail,get#1x2=fail,get_range#1x2=fail,head#1x2=fail,list#1x2=fail,"
              "remove#1x2=fail,remove_many#1x2=fail,now#1x2=fail"));
  EXPECT_EQ(stack.put("a"), PutOutcome::kCreated);
  EXPECT_TRUE(stack.store->get("a", kNoStop));
  std::byte byte{};
  EXPECT_TRUE(stack.store->get_range("a", 0, {&byte, 1}, kNoStop));
  EXPECT_TRUE(stack.store->head("a", kNoStop));
  EXPECT_EQ(stack.store->list({}, kNoStop).objects.size(), 1U);
  stack.store->remove("a", kNoStop);
  EXPECT_TRUE(stack.store->remove_many({"a"}, kNoStop).empty());
  stack.store->now(kNoStop);
  EXPECT_EQ(stack.pacer.sleeps.size(), 16U);
  for (std::size_t i = 0; i < kStoreOperationNames.size(); ++i) {
    EXPECT_EQ(stack.requests(static_cast<StoreOperation>(i)), 3U) << kStoreOperationNames[i];
  }
}

TEST_F(RetryStore, LeavesAloneWhatNoRetryMends) {
  Stack stack(plan_of("put=deny"));
  const auto error = failure_of([&] { stack.put("a"); });
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->retryable());
  EXPECT_EQ(stack.requests(StoreOperation::kPut), 1U);
  EXPECT_TRUE(stack.pacer.sleeps.empty());
}

TEST_F(RetryStore, WaitsGrowWithFullJitterUpToTheirLimit) {
  const RetryPolicy policy{.attempts = 400,
                           .first_delay = milliseconds(100),
                           .max_delay = milliseconds(800),
                           .total_time = std::chrono::hours(10)};
  Stack stack(plan_of("get=fail"), policy);
  EXPECT_TRUE(failure_of([&] { stack.store->get("a", kNoStop); }));
  ASSERT_EQ(stack.pacer.sleeps.size(), 399U);
  EXPECT_LE(stack.pacer.sleeps[0], milliseconds(100));
  EXPECT_LE(stack.pacer.sleeps[1], milliseconds(200));
  EXPECT_LE(stack.pacer.sleeps[2], milliseconds(400));
  const auto [least, most] = std::ranges::minmax(stack.pacer.sleeps);
  EXPECT_LE(most, milliseconds(800));
  EXPECT_GT(most, milliseconds(700));  // 396 draws from 0 to 800
  EXPECT_LT(least, milliseconds(50));
}

TEST_F(RetryStore, GivesUpAfterTheAttemptsAndSaysSo) {
  Stack stack(plan_of("get=fail"), {.attempts = 4});
  const auto error = failure_of([&] { stack.store->get("a", kNoStop); });
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->retryable());
  EXPECT_NE(error->message().find("4 attempts"), std::string::npos) << error->message();
  EXPECT_EQ(stack.requests(StoreOperation::kGet), 4U);
}

TEST_F(RetryStore, GivesUpWhenTheTimeIsSpent) {
  const RetryPolicy policy{.attempts = 1'000'000,
                           .first_delay = milliseconds(1000),
                           .max_delay = milliseconds(1000),
                           .total_time = milliseconds(10'000)};
  Stack stack(plan_of("get=fail"), policy, 1e9);
  EXPECT_TRUE(failure_of([&] { stack.store->get("a", kNoStop); }));
  EXPECT_LE(stack.pacer.slept(), milliseconds(10'000));
  EXPECT_GT(stack.pacer.slept(), milliseconds(8'000));
}

TEST_F(RetryStore, BudgetLimitsTheRetriesOfAllCallsTogether) {
  Stack stack(plan_of("get=fail"), {.attempts = 8}, 10);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(failure_of([&] { stack.store->get("a", kNoStop); }));
  EXPECT_EQ(stack.requests(StoreOperation::kGet), 30U);         // 20 first attempts and 10 retries
  for (int i = 0; i < 5; ++i) stack.store->head("a", kNoStop);  // each success earns 0.2
  EXPECT_TRUE(failure_of([&] { stack.store->get("a", kNoStop); }));
  EXPECT_EQ(stack.requests(StoreOperation::kGet), 32U);
}

TEST_F(RetryStore, LostAnswerOfAPutIsSettledByTheCaller) {
  Stack stack(plan_of("put#1=lost"));
  EXPECT_EQ(stack.put("a", "mine"), PutOutcome::kExists);
  EXPECT_EQ(as_text(*stack.store->get("a", kNoStop)), "mine");
}

TEST_F(RetryStore, ConcurrentStopEndsAWaitAtOnce) {
  const FolderRepository repository;
  const RetryPolicy policy{.first_delay = std::chrono::hours(1),
                           .max_delay = std::chrono::hours(1),
                           .total_time = std::chrono::hours(9)};
  const auto store = make_retry_store(make_fault_store(repository.open(), plan_of("get=fail")),
                                      policy, {.budget = std::make_shared<RetryBudget>(10)});
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    source.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  const auto error = failure_of([&] { store->get("a", source.get_token()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(RateStore, HoldsTheRateInBothDirections) {
  const FolderRepository repository;
  ManualPacer pacer;
  const auto store = make_rate_store(repository.open(), {.bytes_per_second = 1000}, pacer);
  const auto start = pacer.now();
  const std::string content(1000, 'x');
  for (int i = 0; i < 5; ++i) {
    store->put("o" + std::to_string(i), as_bytes(content), {}, kNoStop);
    EXPECT_EQ(store->get("o" + std::to_string(i), kNoStop)->size(), 1000U);
  }
  Bytes part(500);
  store->get_range("o0", 0, part, kNoStop);
  // 10,000 bytes were booked before the last request may start.
  EXPECT_NEAR(Seconds(pacer.now() - start).count(), 10.0 - Seconds(kBurst).count(), 0.51);
  const auto before = pacer.sleeps.size();
  store->head("o0", kNoStop);
  store->list({}, kNoStop);
  EXPECT_EQ(pacer.sleeps.size(), before);
}

TEST(RateStore, UnusedTimeIsKeptOnlyForTheBurst) {
  const FolderRepository repository;
  ManualPacer pacer;
  const auto store = make_rate_store(repository.open(), {.bytes_per_second = 1000}, pacer);
  pacer.pass(std::chrono::hours(1));
  for (int i = 0; i < 11; ++i) {
    store->put(std::to_string(i), as_bytes(std::string(100, 'x')), {}, kNoStop);
  }
  EXPECT_NEAR(Seconds(pacer.slept()).count(), 0.5, 0.01);
}

TEST(MetricsStore, CountsRequestsBytesErrorsAndTime) {
  const FolderRepository repository;
  const auto metrics = std::make_shared<StoreMetrics>();
  const auto store = make_metrics_store(
      make_fault_store(repository.open(), plan_of("head#2=fail,now=delay:20")), metrics);
  store->put("a", as_bytes("12345"), {}, kNoStop);
  store->put("a", as_bytes("12345"), {}, kNoStop);
  store->get("a", kNoStop);
  store->get("none", kNoStop);
  Bytes part(2);
  store->get_range("a", 1, part, kNoStop);
  store->get_range("none", 1, part, kNoStop);
  store->head("a", kNoStop);
  EXPECT_TRUE(failure_of([&] { store->head("a", kNoStop); }));
  store->now(kNoStop);
  const MetricsSnapshot snapshot = metrics->snapshot();
  EXPECT_EQ(snapshot.of(StoreOperation::kPut).requests, 2U);
  EXPECT_EQ(snapshot.of(StoreOperation::kPut).bytes_out, 10U);
  EXPECT_EQ(snapshot.of(StoreOperation::kGet).bytes_in, 5U);
  EXPECT_EQ(snapshot.of(StoreOperation::kGetRange).bytes_in, 2U);
  EXPECT_EQ(snapshot.of(StoreOperation::kHead).requests, 2U);
  EXPECT_EQ(snapshot.of(StoreOperation::kHead).errors, 1U);
  const OperationMetrics& now = snapshot.of(StoreOperation::kNow);
  EXPECT_GE(now.longest.count(), 0.02);
  EXPECT_GE(now.time.count(), 0.02);
  EXPECT_EQ(now.latencies[0] + now.latencies[1] + now.latencies[2] + now.latencies[3], 0U);
  const OperationMetrics total = snapshot.total();
  EXPECT_EQ(total.requests, 9U);
  EXPECT_EQ(total.errors, 1U);
  std::uint64_t in_buckets = 0;
  for (const std::uint64_t count : total.latencies) in_buckets += count;
  EXPECT_EQ(in_buckets, 9U);
}

TEST(FaultStore, EffectsDoWhatTheySay) {
  const FolderRepository repository;
  const auto with = [&](std::string_view plan) {
    return make_fault_store(repository.open(), plan_of(plan));
  };
  EXPECT_TRUE(failure_of([&] { with("put=fail")->put("a", as_bytes("1234"), {}, kNoStop); }));
  EXPECT_FALSE(repository.open()->head("a", kNoStop));
  EXPECT_TRUE(failure_of([&] { with("put=lost")->put("a", as_bytes("1234"), {}, kNoStop); }));
  EXPECT_TRUE(repository.open()->head("a", kNoStop));
  EXPECT_EQ(as_text(*with("get=truncate")->get("a", kNoStop)), "12");
  EXPECT_NE(as_text(*with("get=flip")->get("a", kNoStop)), "1234");
  Bytes part(4);
  EXPECT_EQ(failure_of([&] { with("any=truncate")->get_range("a", 0, part, kNoStop); })->kind(),
            ErrorKind::kDamage);
  EXPECT_TRUE(with("any=flip")->get_range("a", 0, part, kNoStop));
  EXPECT_NE(as_text(part), "1234");
  const auto full = failure_of([&] { with("put=full")->put("b", as_bytes("x"), {}, kNoStop); });
  EXPECT_FALSE(full->retryable());
  EXPECT_NE(full->message().find("No space left"), std::string::npos);
}

TEST(FaultStore, RulesCountTheirOwnMatchesAndChanceIsSeeded) {
  const FolderRepository repository;
  const auto failures = [&](std::string_view plan) {
    const auto store = make_fault_store(repository.open(), plan_of(plan));
    std::string pattern;
    for (int i = 0; i < 64; ++i) {
      const std::string name = i % 2 == 0 ? "even" : "odd";
      pattern += failure_of([&] { store->head(name, kNoStop); }) ? 'x' : '.';
    }
    return pattern;
  };
  EXPECT_EQ(failures("head#2x2@odd=fail").substr(0, 8), "...x.x..");
  EXPECT_EQ(failures("get=fail"), std::string(64, '.'));
  const std::string chance = failures("seed=3,head%50=fail");
  EXPECT_EQ(chance, failures("seed=3,head%50=fail"));
  EXPECT_NE(chance, failures("seed=4,head%50=fail"));
  EXPECT_NEAR(double(std::ranges::count(chance, 'x')), 32, 20);
}

TEST(FaultStore, ScriptIsAskedFirst) {
  const FolderRepository repository;
  FaultPlan plan;
  plan.script = [](const FaultCall& call) -> std::optional<FaultEffect> {
    if (call.operation == StoreOperation::kHead && call.number == 2) return FaultEffect::kDeny;
    return std::nullopt;
  };
  const auto store = make_fault_store(repository.open(), plan);
  store->head("a", kNoStop);
  EXPECT_TRUE(failure_of([&] { store->head("a", kNoStop); }));
  store->head("a", kNoStop);
}

TEST(FaultStore, BadPlansAreRefused) {
  for (const std::string_view bad : {"put", "put=explode", "pot=fail", "put#x=fail", "put=delay",
                                     "put=fail:3", "put%=fail", "seed=", ",", "put#1x=fail"}) {
    const auto error = failure_of([&] { parse_fault_plan(bad); });
    ASSERT_TRUE(error) << bad;
    EXPECT_EQ(error->kind(), ErrorKind::kUsage) << bad;
  }
}

}  // namespace
}  // namespace holdfast
