#include "wal/helper_life.h"

#include <algorithm>

#include "core/log.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kWantedPoll{1000};

}  // namespace

HelperLife::HelperLife(Options options, const std::stop_token& stop)
    : options_(std::move(options)),
      last_use_(SteadyClock::now()),
      chain_(stop, End{this}),
      watcher_([this] { watch(); }) {}

HelperLife::~HelperLife() {
  end();
}

void HelperLife::end() {
  source_.request_stop();
  {
    const std::lock_guard lock(mutex_);
  }  // so that nobody is about to wait
  changed_.notify_all();
}

void HelperLife::was_of_use() {
  last_use_ = SteadyClock::now();
}

void HelperLife::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return over(); });
}

void HelperLife::watch() {
  while (!over()) {
    const bool idle = SteadyClock::now() - last_use_.load() > options_.idle;
    if (idle || !options_.wanted()) return end();
    pause(std::min(kWantedPoll, options_.idle));
  }
}

std::chrono::milliseconds HelperFailures::note(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (error.message() != last_) {
    log_warning("archive helper: " + error.message(), {{"object", error.object()}});
  }
  last_ = error.message();
  backoff_ = std::min(std::max(backoff_ * 2, kBackoffMin), kBackoffMax);
  return backoff_;
}

void HelperFailures::none() {
  const std::lock_guard lock(mutex_);
  backoff_ = {};
}

}  // namespace holdfast
