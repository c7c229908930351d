#pragma once
// Time that passes, as the retry and rate decorators see it; tests replace it. Thread-safe.

#include <chrono>
#include <stop_token>

namespace holdfast {

class Pacer {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  virtual ~Pacer() = default;
  virtual TimePoint now() = 0;
  // Throws kCancelled as soon as a stop is requested.
  virtual void sleep(Duration duration, const std::stop_token& stop) = 0;
};

// The machine's steady clock. Lives as long as the program.
Pacer& system_pacer();

}  // namespace holdfast
