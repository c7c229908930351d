#pragma once
// The files that a helper has to do next, for its threads: always the wanted order, never one file
// twice at once. Threads: any.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast {

class WorkQueue {
 public:
  // Replaces what waits. Files at hand are left out. True when anything waits or is at hand.
  bool offer(std::vector<std::string> files) {
    const std::lock_guard lock(mutex_);
    std::erase_if(files, [&](const std::string& file) { return at_hand_.contains(file); });
    waiting_.assign(files.rbegin(), files.rend());
    if (!waiting_.empty()) changed_.notify_all();
    return !waiting_.empty() || !at_hand_.empty();
  }

  // Waits for a file; nullopt after close(). Each is given back with done().
  std::optional<std::string> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    if (closed_) return std::nullopt;
    std::string file = std::move(waiting_.back());
    waiting_.pop_back();
    at_hand_.insert(file);
    return file;
  }
  void done(const std::string& file) {
    const std::lock_guard lock(mutex_);
    at_hand_.erase(file);
  }

  bool is_at_hand(const std::string& file) const {
    const std::lock_guard lock(mutex_);
    return at_hand_.contains(file);
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> waiting_;  // the next one last
  std::set<std::string> at_hand_;
  bool closed_ = false;
};

// Closes the queue at the end of its scope. Declared behind the threads that take from it, it lets
// them end before they are waited for, also when an exception ends the scope.
class QueueCloser {
 public:
  explicit QueueCloser(WorkQueue& queue) : queue_(queue) {}
  ~QueueCloser() { queue_.close(); }
  QueueCloser(const QueueCloser&) = delete;
  QueueCloser& operator=(const QueueCloser&) = delete;

 private:
  WorkQueue& queue_;
};

}  // namespace holdfast
