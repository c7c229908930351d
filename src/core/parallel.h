#pragma once
// Runs a function for 0 … count-1 on several threads. The first exception stops the rest (the calls
// under way see the stop token) and is thrown here once all threads have ended.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/cancellation.h"

namespace holdfast {

template <class Function>
void parallel_for(std::size_t count, std::size_t threads, const std::stop_token& stop,
                  Function&& function) {
  std::stop_source inner;
  const std::stop_callback chain(stop, [&] { inner.request_stop(); });
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count && !inner.stop_requested(); i = next++) {
        function(i, inner.get_token());
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      inner.request_stop();
    }
  };
  {
    std::vector<std::jthread> pool;
    for (std::size_t i = 1; i < std::min(threads, count); ++i) pool.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  check_cancelled(stop);
}

}  // namespace holdfast
