#pragma once
// Decorator: repeats requests that failed for a reason that may pass (Error::retryable).
//
// Waits between attempts grow exponentially with full jitter: a uniform share of first_delay × 2ⁿ,
// at most max_delay. A call gives up after `attempts` attempts, or when the next wait would take it
// over `total_time`, or when the retry budget is spent: every retry costs a token of it, every
// success earns a part of one, so that a store that fails everything is not met with a multiple of
// the load by a hundred parallel requests.
// What is given up on is thrown as it came, with the number of attempts in its message.
// A put that is answered kExists after a failed attempt of the same call stays kExists: the failed
// attempt may have got through, and the caller settles that by reading back.
// A stop ends a wait at once with kCancelled. Thread-safe.
// Source of the jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>

#include "storage/object_store.h"
#include "storage/pacer.h"

namespace holdfast {

struct RetryPolicy {
  unsigned attempts = 8;  // of one call, the first included; 1: no retry
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds max_delay{20'000};
  std::chrono::milliseconds total_time{180'000};
};

// Tokens for retries, shared by all stores of a process. Thread-safe.
class RetryBudget {
 public:
  static constexpr double kRefund = 0.2;  // tokens that a success earns
  explicit RetryBudget(double tokens) : capacity_(tokens), tokens_(tokens) {}
  bool take();
  void succeeded();

 private:
  std::mutex mutex_;
  const double capacity_;
  double tokens_;
};

// What tests replace.
struct RetryEnvironment {
  Pacer& pacer = system_pacer();
  std::shared_ptr<RetryBudget> budget = nullptr;  // nullptr: the one of this process
  std::uint64_t seed = std::random_device{}();
};

std::unique_ptr<ObjectStore> make_retry_store(std::unique_ptr<ObjectStore> inner,
                                              const RetryPolicy& policy,
                                              const RetryEnvironment& environment = {});

}  // namespace holdfast
