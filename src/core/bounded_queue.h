#pragma once
// A queue between threads that holds at most `capacity` items. Producers wait while it is full,
// consumers while it is empty. After close() nothing more is taken in and consumers drain the rest.
// Waiting ends early when the stop token is triggered: push then throws kCancelled and pop returns
// nothing.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>

#include "core/cancellation.h"

namespace holdfast {

template <class Item>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  void push(Item item, const std::stop_token& stop) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return closed_ || items_.size() < capacity_; });
      check_cancelled(stop);
      HF_INVARIANT(!closed_);
      items_.push_back(std::move(item));
    }
    changed_.notify_all();
  }

  std::optional<Item> pop(const std::stop_token& stop) {
    std::optional<Item> item;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return closed_ || !items_.empty(); });
      if (stop.stop_requested() || items_.empty()) return std::nullopt;
      item = std::move(items_.front());
      items_.pop_front();
    }
    changed_.notify_all();
    return item;
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

}  // namespace holdfast
