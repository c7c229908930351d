#pragma once
// How long a helper lives, and how it behaves when things fail: what the push and the get helper
// have in common. Threads: any; HelperLife has one of its own, so that a helper ends in time also
// while all that it does waits for a storage that does not answer.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "core/error.h"

namespace holdfast {

class HelperLife {
 public:
  struct Options {
    std::chrono::milliseconds idle{std::chrono::minutes(1)};  // ends when it was of no use so long
    // Asked every kWantedPoll, by the thread of HelperLife: ends when it says no. Throws nothing.
    std::function<bool()> wanted = [] { return true; };
  };
  HelperLife(Options options, const std::stop_token& stop);
  ~HelperLife();
  HelperLife(const HelperLife&) = delete;
  HelperLife& operator=(const HelperLife&) = delete;

  bool over() const { return source_.stop_requested(); }
  std::stop_token token() const { return source_.get_token(); }
  void end();
  void was_of_use();
  // Sleeps; cut short by end().
  void pause(std::chrono::milliseconds time);

 private:
  void watch();

  struct End {
    HelperLife* life;
    void operator()() const { life->end(); }
  };
  const Options options_;
  std::stop_source source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::chrono::steady_clock::time_point> last_use_;
  std::stop_callback<End> chain_;  // behind what end() needs: it may call that at once
  std::jthread watcher_;           // last: it uses all of this
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
