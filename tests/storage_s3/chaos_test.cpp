// S3 through a network that drops, delays, cuts and refuses, with the retries of every command.
#include <mutex>
#include <random>
#include <thread>

#include "storage/retry_store.h"
#include "suite.h"
#include "support/chaos_proxy.h"
#include "support/surroundings.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class S3Chaos : public S3Test {
 protected:
  void SetUp() override {
    S3Test::SetUp();
    if (IsSkipped()) return;
    proxy_ = std::make_unique<ChaosProxy>(
        server().endpoint(), [this](const TestRequest& request) { return choose(request); });
    S3Options through = options();
    through.endpoint = proxy_->url();
    bare_ = make_s3_store(through);
    store_ = make_retry_store(make_s3_store(through),
                              {.attempts = 10, .first_delay = 5ms, .max_delay = 50ms},
                              {.budget = std::make_shared<RetryBudget>(1e6), .seed = 1});
  }

  // The next request meets `fault`, those behind it none.
  void once(Chaos fault) {
    const std::lock_guard lock(mutex_);
    next_ = fault;
  }

  Chaos choose(const TestRequest&) {
    const std::lock_guard lock(mutex_);
    if (random_) {
      constexpr Chaos kFaults[] = {Chaos::kRefuse,   Chaos::kLoseAnswer,  Chaos::kTruncate,
                                   Chaos::kSlowDown, Chaos::kServerError, Chaos::kErrorInside200};
      if (std::uniform_int_distribution<int>(0, 3)(*random_) != 0) return Chaos::kNone;
      return kFaults[std::uniform_int_distribution<std::size_t>(0, 5)(*random_)];
    }
    return std::exchange(next_, Chaos::kNone);
  }

  std::mutex mutex_;
  Chaos next_ = Chaos::kNone;              // guarded by mutex_
  std::optional<std::mt19937_64> random_;  // guarded by mutex_
  std::unique_ptr<ChaosProxy> proxy_;
  std::unique_ptr<ObjectStore> bare_;   // without retries
  std::unique_ptr<ObjectStore> store_;  // with them
};

TEST_F(S3Chaos, PutWhoseAnswerIsLostIsRepeatedAndSaysExists) {
  once(Chaos::kLoseAnswer);
  EXPECT_EQ(store_->put("x", as_bytes("mine"), {}, kNoStop), PutOutcome::kExists);
  EXPECT_EQ(text_of(store_->get("x", kNoStop)), "mine");
}

TEST_F(S3Chaos, PutThatNeverArrivedIsRepeatedAndCreated) {
  for (const Chaos fault :
       {Chaos::kRefuse, Chaos::kSlowDown, Chaos::kServerError, Chaos::kErrorInside200}) {
    const std::string name = fmt::format("x{}", static_cast<int>(fault));
    once(fault);
    EXPECT_EQ(store_->put(name, as_bytes("mine"), {}, kNoStop), PutOutcome::kCreated);
    EXPECT_EQ(text_of(store_->get(name, kNoStop)), "mine");
  }
}

TEST_F(S3Chaos, EachFaultIsOneRetryableErrorWithoutTheRetries) {
  bare_->put("x", as_bytes(std::string(100'000, 'x')), {}, kNoStop);
  Bytes out(50'000);
  for (const Chaos fault : {Chaos::kTruncate, Chaos::kSlowDown, Chaos::kServerError}) {
    once(fault);
    const Error get = error_of([&] { bare_->get("x", kNoStop); });
    EXPECT_EQ(get.kind(), ErrorKind::kRepository) << static_cast<int>(fault);
    EXPECT_TRUE(get.retryable()) << get.message();
    once(fault);
    const Error range = error_of([&] { bare_->get_range("x", 100, out, kNoStop); });
    EXPECT_EQ(range.kind(), ErrorKind::kRepository) << static_cast<int>(fault);
    EXPECT_TRUE(range.retryable()) << range.message();
  }
}

TEST_F(S3Chaos, TruncatedReadsAreReadAgainWhole) {
  const std::string content(300'000, 'y');
  bare_->put("x", as_bytes(content), {}, kNoStop);
  once(Chaos::kTruncate);
  EXPECT_EQ(text_of(store_->get("x", kNoStop)), content);
  once(Chaos::kTruncate);
  Bytes out(200'000);
  ASSERT_TRUE(store_->get_range("x", 1, out, kNoStop));
  EXPECT_EQ(as_text(out), content.substr(1, out.size()));
  once(Chaos::kTruncate);
  EXPECT_EQ(store_->list({}, kNoStop).objects.size(), 1U);
}

TEST_F(S3Chaos, RemovalWhoseAnswerIsLostIsRepeated) {
  bare_->put("x", as_bytes("x"), {}, kNoStop);
  once(Chaos::kLoseAnswer);
  store_->remove("x", kNoStop);
  bare_->put("y", as_bytes("x"), {}, kNoStop);
  once(Chaos::kLoseAnswer);
  EXPECT_TRUE(store_->remove_many({"y"}, kNoStop).empty());
  EXPECT_TRUE(store_->list({}, kNoStop).objects.empty());
}

TEST_F(S3Chaos, LateAnswersAreWaitedFor) {
  once(Chaos::kDelay);
  EXPECT_EQ(bare_->put("x", as_bytes("x"), {}, kNoStop), PutOutcome::kCreated);
}

TEST_F(S3Chaos, CancelEndsAStalledPutWithinASecond) {
  once(Chaos::kStall);
  std::stop_source source;
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(300ms);
    source.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  const Error error = error_of(
      [&] { store_->put("x", as_bytes(std::string(1 << 20, 'x')), {}, source.get_token()); });
  EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1300ms);
}

// Every fourth request fails in one of six ways. What was written must be there, whole and once.
TEST_F(S3Chaos, RandomFaultsLoseNothing) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  {
    const std::lock_guard lock(mutex_);
    random_.emplace(seed);
  }
  constexpr int kThreads = 4;
  constexpr int kObjects = 40;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kObjects; ++i) {
        const std::string name = fmt::format("{}/{}", thread, i);
        const std::string content(static_cast<std::size_t>(1 + i * 500), 'a');
        store_->put(name, as_bytes(content), {}, kNoStop);
        EXPECT_EQ(text_of(store_->get(name, kNoStop)), content);
        EXPECT_TRUE(store_->head(name, kNoStop));
        EXPECT_FALSE(store_->get(name + "-absent", kNoStop));
      }
    });
  }
  threads.clear();
  {
    const std::lock_guard lock(mutex_);
    random_.reset();
  }
  EXPECT_EQ(store_->list({}, kNoStop).objects.size(), std::size_t{kThreads * kObjects});
}

}  // namespace
}  // namespace holdfast::test
