#include "cli/progress_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/terminal.h"
#include "core/log.h"
#include "core/time.h"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kBarPeriod = 200ms;
constexpr auto kLogPeriod = 5s;
constexpr double kRateMemory = 0.85;  // weight of the rate so far against that of one period

}  // namespace

void ProgressDisplay::phase(std::string_view name, std::uint64_t total_bytes) {
  if (form_ == ProgressForm::kHidden) return;
  const std::lock_guard lock(mutex_);
  done_ = 0;
  last_done_ = 0;
  last_time_ = Clock::now();
  shown_ = {.phase = std::string(name), .note = {}, .total_bytes = total_bytes};
  if (form_ == ProgressForm::kLogLines) log_info(shown_.phase);
  if (form_ == ProgressForm::kBar) set_last_line(LastLine::kProgressBar);
  if (!thread_.joinable()) {
    thread_ = std::jthread([this](const std::stop_token& stop) { draw_until_stopped(stop); });
  }
}

void ProgressDisplay::note(std::string_view text) {
  if (form_ == ProgressForm::kHidden) return;
  const std::lock_guard lock(mutex_);
  shown_.note = text;
}

void ProgressDisplay::finish() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  thread_ = {};
  if (form_ != ProgressForm::kBar) return;
  set_last_line(LastLine::kFree);
  write_to_stderr("\r\x1b[K");
}

ProgressSnapshot ProgressDisplay::snapshot_locked(Clock::time_point now) {
  const std::uint64_t done = done_.load(std::memory_order_relaxed);
  const double seconds = Seconds(now - last_time_).count();
  if (seconds > 0 && done >= last_done_) {
    const double rate = static_cast<double>(done - last_done_) / seconds;
    const bool first = shown_.bytes_per_second < 1;
    shown_.bytes_per_second =
        first ? rate : kRateMemory * shown_.bytes_per_second + (1 - kRateMemory) * rate;
  }
  last_time_ = now;
  last_done_ = done;
  shown_.done_bytes = done;
  return shown_;
}

void ProgressDisplay::draw(const ProgressSnapshot& snapshot) const {
  if (form_ == ProgressForm::kBar) {
    const std::size_t columns = terminal_width(STDERR_FILENO) - 1;
    write_to_stderr(fmt::format("\r{}\x1b[K", progress_line(snapshot, columns)));
    return;
  }
  log_info(snapshot.phase, {{"done", progress_numbers(snapshot)}, {"note", snapshot.note}});
}

void ProgressDisplay::draw_until_stopped(const std::stop_token& stop) {
  const auto period =
      form_ == ProgressForm::kBar ? Clock::duration(kBarPeriod) : Clock::duration(kLogPeriod);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, period, [] { return false; });
    if (stop.stop_requested()) return;
    const ProgressSnapshot snapshot = snapshot_locked(Clock::now());
    lock.unlock();
    draw(snapshot);
    lock.lock();
  }
}

}  // namespace holdfast::cli
