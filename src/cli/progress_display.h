#pragma once
// Shows an operation's progress on stderr: a bar on a terminal, log lines (-v) elsewhere.
// Threads: as Progress demands; drawing happens in a thread of its own, which starts with the first
// phase. finish() ends the drawing and clears the bar; call it before anything else is printed.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cli/progress_line.h"
#include "core/progress.h"

namespace holdfast::cli {

enum class ProgressForm { kHidden, kBar, kLogLines };

class ProgressDisplay final : public Progress {
 public:
  explicit ProgressDisplay(ProgressForm form) : form_(form) {}
  ~ProgressDisplay() override { finish(); }

  void phase(std::string_view name, std::uint64_t total_bytes) override;
  void advance(std::uint64_t bytes) override { done_.fetch_add(bytes, std::memory_order_relaxed); }
  void note(std::string_view text) override;
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void draw_until_stopped(const std::stop_token& stop);
  void draw(const ProgressSnapshot& snapshot) const;
  ProgressSnapshot snapshot_locked(Clock::time_point now);

  const ProgressForm form_;
  std::atomic<std::uint64_t> done_ = 0;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any wake_;
  ProgressSnapshot shown_;
  Clock::time_point last_time_;
  std::uint64_t last_done_ = 0;
  std::jthread thread_;
};

}  // namespace holdfast::cli
