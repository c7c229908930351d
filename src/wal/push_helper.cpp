#include "wal/push_helper.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "core/fault_point.h"
#include "core/log.h"
#include "wal/catch_up.h"
#include "wal/push_order.h"
#include "wal/ready_list.h"
#include "wal/work_queue.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPollMin{10}, kPollMax{250};
// A folder with many waiting files takes long to read: not more than this share of the time.
constexpr int kListingShare = 10;

// Pushes what waits, ahead of PostgreSQL.
class Ahead {
 public:
  Ahead(Archive& archive, const PushHelperOptions& options, HelperLife& life)
      : archive_(archive),
        options_(options),
        life_(life),
        spool_(options.push.state_directory),
        order_(options.push.data_directory,
               read_control_file(options.push.data_directory).parsed.wal_segment_size, queue_) {}

  void run() {
    std::vector<std::jthread> threads;
    threads.reserve(options_.jobs);
    const QueueCloser closer(queue_);  // before the threads are waited for, whatever is thrown
    for (std::size_t i = 0; i < options_.jobs; ++i) {
      threads.emplace_back([this] { work(); });
    }
    milliseconds poll = kPollMin;
    while (!life_.over()) {
      const auto began = SteadyClock::now();
      poll = queue_.offer(wanted()) ? kPollMin : std::min(poll * 2, kPollMax);
      const auto took = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - began);
      life_.pause(std::max(poll, took * kListingShare));
      forget_histories();
    }
  }

 private:
  // What PostgreSQL asks for next and is not remembered yet.
  std::vector<std::string> wanted() {
    try {
      auto files = files_waiting(options_.push.data_directory, kAheadMax);
      order_.list(files);
      if (SteadyClock::now() < rest_until_.load()) return {};
      std::erase_if(files, [&](const std::string& file) { return spool_.has(file); });
      return files;
    } catch (const Error& error) {
      failures_.note(error);  // no longer pause: it must soon see that nobody needs it any more
      return {};
    }
  }

  void work() {
    while (const auto file = queue_.take()) {
      const milliseconds rest = push(*file);
      queue_.done(*file);  // first: what comes behind it waits for it only while it is at hand
      life_.pause(rest);
    }
  }

  // How long to wait afterwards.
  milliseconds push(const std::string& file) {
    constexpr milliseconds kNotNear{20};
    const fs::path path = options_.push.data_directory / "pg_wal" / file;
    const auto version = version_of(path);
    if (!version || !order_.is_near(file)) return kNotNear;
    try {
      Pusher pusher(archive_, options_.push);
      fault_point("push.helper_begins");
      const PushTurn turn{
          .wait = [&] { return order_.wait_for_turn(file, *version, life_.token()); },
          .follows_stored = [&] { return order_.follows_stored(file); }};
      const AheadOutcome outcome = pusher.push_ahead(path, turn, life_.token());
      if (outcome == AheadOutcome::kElsewhere) order_.is_elsewhere(file);
      if (outcome != AheadOutcome::kStored) return milliseconds{0};
      order_.stored(file, *version);
      life_.was_of_use();
      failures_.none();
      return milliseconds{0};
    } catch (const Error& error) {
      if (life_.over()) return milliseconds{0};
      const milliseconds rest = failures_.note(error);
      if (error.kind() == ErrorKind::kRefused) life_.end();
      rest_until_ = SteadyClock::now() + rest;
      return rest;
    }
  }

  void forget_histories() {
    if (SteadyClock::now() < histories_until_) return;
    histories_until_ = SteadyClock::now() + kHistoriesAge;
    archive_.forget_histories();
  }

  Archive& archive_;
  const PushHelperOptions& options_;
  HelperLife& life_;
  PushSpool spool_;
  HelperFailures failures_;
  WorkQueue queue_;
  PushOrder order_;
  std::atomic<SteadyClock::time_point> rest_until_ = SteadyClock::time_point{};
  SteadyClock::time_point histories_until_ = SteadyClock::now() + kHistoriesAge;
};

// The other repositories, in turn, whenever PostgreSQL was told that something is archived.
class Others {
 public:
  Others(Archive& archive, const PushHelperOptions& options, HelperLife& life)
      : archive_(archive),
        push_(options.push),
        status_folder_(options.push.data_directory / "pg_wal" / "archive_status"),
        life_(life) {
    for (std::size_t i = 1; i < archive.size(); ++i) {
      const CatchUpOptions how{.state_directory = options.push.state_directory,
                               .jobs = options.jobs,
                               .progressed = [&life] { life.was_of_use(); }};
      others_.push_back({.index = i, .copy = std::make_unique<CatchUp>(archive, i, how)});
    }
  }

  void run() {
    constexpr milliseconds kBetweenRounds{1000};
    while (!life_.over() && !others_.empty()) {
      // PostgreSQL renames a file there when it was told that the file is archived.
      std::error_code error;
      const auto changed = fs::last_write_time(status_folder_, error);
      for (Other& other : others_) {
        if (other.complete_at != changed) round(other, changed);
      }
      life_.pause(kBetweenRounds);
    }
  }

 private:
  struct Other {
    std::size_t index = 0;
    std::unique_ptr<CatchUp> copy;
    std::optional<fs::file_time_type> complete_at = {};
    SteadyClock::time_point next = {};
    milliseconds backoff{0};
  };

  void round(Other& other, fs::file_time_type changed) {
    if (life_.over() || SteadyClock::now() < other.next) return;
    try {
      if (other.copy->round(life_.token())) other.complete_at = changed;
      const RepositoryLag& lag = other.copy->lag();
      if (!lag.failure.empty() && is_replaced(other.index)) life_.end();
      if (lag.failure.empty()) {
        record_dropped_wal(archive_, other.index, push_, life_.token());
        other.backoff = {};
        return;
      }
      other.backoff = std::min(std::max(other.backoff * 2, kBackoffMin), kBackoffMax);
      other.next = SteadyClock::now() + other.backoff;
      if (lag.failure != logged_) log_warning("archive helper: " + describe(lag));
      logged_ = lag.failure;
    } catch (const Error& error) {
      if (!life_.over()) log_warning("archive helper: " + error.message());
      other.next = SteadyClock::now() + kBackoffMax;
    }
  }

  // The next helper opens what is there now.
  bool is_replaced(std::size_t index) {
    try {
      archive_.require_same_repository(0, life_.token());
      archive_.require_same_repository(index, life_.token());
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kRefused;
    }
  }

  Archive& archive_;
  const PushOptions& push_;
  const fs::path status_folder_;
  HelperLife& life_;
  std::vector<Other> others_;
  std::string logged_;
};

}  // namespace

fs::path push_helper_lock(const fs::path& state_directory) {
  return state_directory / "wal" / "push.lock";
}

void run_push_helper(Archive& archive, const PushHelperOptions& options,
                     const std::stop_token& stop) {
  HelperLife life(options.life, stop);
  PushSpool(options.push.state_directory).remove_outdated();
  Others others(archive, options, life);
  Ahead ahead(archive, options, life);
  const std::jthread copying([&] { others.run(); });
  const HelperLifeEnder ender(life);
  ahead.run();
}

}  // namespace holdfast
