#pragma once
// Decorator: keeps the bytes that go to and come from a store to a rate.
//
// Virtual scheduling (a token bucket with its burst expressed in time): every transfer books the
// time that its bytes take at the rate, and starts when what was booked before it is over. So the
// rate holds over any time longer than one request, for all threads together, while single requests
// run at full speed. Unused time is kept for at most kBurst. A get, whose size is not known before,
// is booked behind itself. Requests without content are not held up.
// A stop ends a wait at once with kCancelled. Thread-safe.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>

#include "storage/object_store.h"
#include "storage/pacer.h"

namespace holdfast {

inline constexpr std::chrono::milliseconds kBurst{500};

struct RateLimit {
  std::uint64_t bytes_per_second;  // > 0
};

// The schedule itself, for whoever moves bytes without a store (a backup reading its files).
class RateLimiter {
 public:
  explicit RateLimiter(RateLimit limit, Pacer& pacer = system_pacer());
  // Books the bytes; returns when their transfer may start.
  Pacer::TimePoint book(std::uint64_t bytes);
  void wait_for_turn(std::uint64_t bytes, const std::stop_token& stop);

 private:
  const RateLimit limit_;
  Pacer& pacer_;
  std::mutex mutex_;
  Pacer::TimePoint free_at_;
};

std::unique_ptr<ObjectStore> make_rate_store(std::unique_ptr<ObjectStore> inner, RateLimit limit,
                                             Pacer& pacer = system_pacer());

}  // namespace holdfast
