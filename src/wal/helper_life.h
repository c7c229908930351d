#pragma once
// How long a helper lives, and how it behaves when things fail: what the push and the get helper
// have in common. Threads: any.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>

#include "core/error.h"

namespace holdfast {

class HelperLife {
 public:
  struct Options {
    std::chrono::milliseconds idle{std::chrono::minutes(1)};  // ends when it was of no use so long
    std::function<bool()> wanted = [] { return true; };       // asked every kWantedPoll
  };
  HelperLife(Options options, const std::stop_token& stop);

  bool over() const { return source_.stop_requested(); }
  std::stop_token token() const { return source_.get_token(); }
  void end();
  void was_of_use();
  // Sleeps; cut short by end().
  void pause(std::chrono::milliseconds time);
  // Ends it when it is idle or no longer wanted. By one thread only.
  void look_after_itself();

 private:
  struct End {
    HelperLife* life;
    void operator()() const { life->end(); }
  };
  const Options options_;
  std::stop_source source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::chrono::steady_clock::time_point> last_use_;
  std::chrono::steady_clock::time_point next_question_;
  std::stop_callback<End> chain_;  // last: it may call end() at once
};

// Ends a life at the end of its scope. Declared behind threads that live as long, it lets them end
// before they are waited for, also when an exception ends the scope.
class HelperLifeEnder {
 public:
  explicit HelperLifeEnder(HelperLife& life) : life_(life) {}
  ~HelperLifeEnder() { life_.end(); }
  HelperLifeEnder(const HelperLifeEnder&) = delete;
  HelperLifeEnder& operator=(const HelperLifeEnder&) = delete;

 private:
  HelperLife& life_;
};

inline constexpr std::chrono::milliseconds kBackoffMin{1000}, kBackoffMax{30'000};

// Says how long to wait after a failure, and logs it when it is not the one before.
class HelperFailures {
 public:
  std::chrono::milliseconds note(const Error& error);
  void none();

 private:
  std::mutex mutex_;
  std::string last_;
  std::chrono::milliseconds backoff_{0};
};

}  // namespace holdfast
