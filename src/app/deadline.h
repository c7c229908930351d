#pragma once
// A time after which a command is stopped, whatever it waits for.
// Threads: owns one; token() and passed() from any.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace holdfast {

class Deadline {
 public:
  Deadline(const std::stop_token& outer, std::chrono::milliseconds after)
      : chain_(outer, [this] { source_.request_stop(); }),
        timer_([this, after](const std::stop_token& ended) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any changed;
          if (!changed.wait_for(lock, ended, after, [&] { return ended.stop_requested(); })) {
            passed_ = true;
            source_.request_stop();
          }
        }) {}

  std::stop_token token() const { return source_.get_token(); }
  bool passed() const { return passed_; }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> chain_;
  std::atomic<bool> passed_ = false;
  std::jthread timer_;
};

}  // namespace holdfast
