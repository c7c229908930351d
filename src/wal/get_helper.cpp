#include "wal/get_helper.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "core/fault_point.h"
#include "repository/wal_search.h"
#include "wal/get.h"
#include "wal/timeline_route.h"
#include "wal/work_queue.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kGetPollMin{5}, kGetPollMax{50};
constexpr std::chrono::seconds kRouteAge{5};
constexpr milliseconds kPlanAge{500};  // where nothing happens; entries get too old
// So long after this recovery's last request, one of another recovery ends this helper.
constexpr std::chrono::seconds kYieldAfter{2};
constexpr std::size_t kTimelinesMax = 64;  // the newest of the archive

class Prefetcher {
 public:
  Prefetcher(Archive& archive, const GetHelperOptions& options, HelperLife& life)
      : archive_(archive),
        options_(options),
        life_(life),
        spool_(options.state_directory, options.binding) {}

  void run() {
    spool_.make_folder();
    spool_.remove_others();
    std::vector<std::jthread> threads;
    threads.reserve(options_.jobs);
    const QueueCloser closer(queue_);  // before the threads are waited for, whatever is thrown
    for (std::size_t i = 0; i < options_.jobs; ++i) {
      threads.emplace_back([this] { work(); });
    }
    milliseconds poll = kGetPollMin;
    while (!life_.over()) {
      poll = step() ? kGetPollMin : std::min(poll + kGetPollMin, kGetPollMax);
      life_.pause(poll);
    }
  }

  void clean_up() { spool_.remove_all(); }

 private:
  // Whether recovery asked for anything new or something is being fetched.
  bool step() {
    try {
      const bool asked = take_request();
      const bool due = ended_one_.exchange(false) || SteadyClock::now() > plan_until_;
      const auto position = position_;
      if (!position || !(asked || due)) return asked;
      plan_until_ = SteadyClock::now() + kPlanAge;
      if (spool_.others_ask_after(last_request_at_ + kYieldAfter)) life_.end();
      return queue_.offer(lacking(*position, route_from(position->timeline))) || asked;
    } catch (const Error& error) {
      // Not for longer: it must soon see that nobody needs it any more.
      if (!life_.over()) life_.pause(std::min(failures_.note(error), kBackoffMin));
      return false;
    }
  }

  bool take_request() {
    const auto request = spool_.last_request();
    if (!request || request->number == last_request_) return false;
    const bool first = last_request_ == 0;
    last_request_ = request->number;
    last_request_at_ = request->at;
    // What was noted before this helper began does not keep it alive.
    if (!first || std::chrono::system_clock::now() - request->at < std::chrono::seconds(10)) {
      life_.was_of_use();
    }
    const auto segment = parse_segment_name(request->file, segment_size());
    if (!segment) return true;
    if (!position_ || position_->timeline != segment->timeline) route_.reset();
    position_ = segment;
    return true;
  }

  HistoryName history() {
    if (!history_) {
      history_ = options_.history
                     ? *options_.history
                     : history_to_read(archive_, options_.binding.data_directory, life_.token());
    }
    return *history_;
  }

  WalLine line(std::size_t repository) {
    return wal_line(archive_.cluster(), archive_.histories(repository, life_.token()), history());
  }

  WalSegmentSize segment_size() {
    if (!segment_size_) segment_size_ = line(0).segment_size;
    return *segment_size_;
  }

  // From the first repository: a guess does not need more.
  const TimelineRoute& route_from(TimelineId oldest) {
    if (route_ && SteadyClock::now() <= route_until_) return *route_;
    const Repository& repository = archive_.repository(0, life_.token());
    const WalLine along = line(0);
    std::set<TimelineId> timelines;
    for (const LineStep& step : along.steps) {
      const WalPlace place{along.cluster, step.history};
      for (const TimelineId timeline : list_timelines(repository, place, life_.token())) {
        if (step.has_timeline(timeline) && timeline >= oldest) {
          timelines.insert(timeline);
        }
      }
    }
    while (timelines.size() > kTimelinesMax) timelines.erase(timelines.begin());
    std::vector<TimelineHistory> histories;
    for (const TimelineId timeline : timelines) {
      if (!histories_.contains(timeline)) {
        const auto text = read_timeline_history(repository, along, timeline, life_.token());
        if (!text && timeline.value > 1) continue;
        histories_[timeline] =
            text ? parse_timeline_history(timeline, *text, history_file_of(timeline).text)
                 : TimelineHistory{.timeline = timeline};
      }
      histories.push_back(histories_[timeline]);
    }
    route_until_ = SteadyClock::now() + kRouteAge;
    return route_.emplace(std::move(histories), segment_size());
  }

  // What comes next and is not in the spool, up to the end of the archive. What does not come next
  // any more is removed.
  std::vector<std::string> lacking(const SegmentName& position, const TimelineRoute& route) {
    const std::size_t count =
        std::min<std::size_t>(options_.bytes_max / segment_size().bytes, kPrefetchMax);
    std::vector<std::string> files;
    // What was asked for last may be on its way out of the spool.
    std::set<std::string> planned{to_string(position, segment_size())};
    for (const SegmentName& segment : route.following(position, count)) {
      std::string file = to_string(segment, segment_size());
      planned.insert(file);
      files.push_back(std::move(file));
    }
    for (const std::string& file : spool_.files()) {
      if (!planned.contains(file)) spool_.remove(file);
    }
    const std::lock_guard lock(mutex_);
    if (const auto end = std::ranges::find(files, end_); end != files.end()) {
      const bool again = SteadyClock::now() >= end_until_;
      files.erase(again ? end + 1 : end, files.end());
    } else {
      end_.clear();
    }
    std::erase_if(files, [&](const std::string& file) { return spool_.has(file); });
    if (!files.empty() &&
        free_bytes(spool_.folder()) < kFreeSegments * std::uint64_t{segment_size().bytes}) {
      files.clear();
    }
    return files;
  }

  void work() {
    while (const auto file = queue_.take()) {
      try {
        fetch(*file);
        failures_.none();
      } catch (const Error& error) {
        if (!life_.over()) life_.pause(failures_.note(error));
      }
      queue_.done(*file);
      ended_one_ = true;
    }
  }

  void fetch(const std::string& name) {
    const auto file = parse_wal_file_name(name);
    const auto fetching = spool_.begin_fetching(name);
    if (!file || !fetching || spool_.has(name)) return;
    std::exception_ptr failure;
    for (std::size_t i = 0; i < archive_.size(); ++i) {
      try {
        const auto identity = fetch_wal(archive_.repository(i, life_.token()), line(i), *file,
                                        spool_.content_path(name), life_.token());
        if (!identity) continue;
        fault_point("get.prefetched");
        spool_.publish({.file = name, .content = identity->content, .bytes = identity->bytes});
        found(name);
        return;
      } catch (const Error&) {
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
    const std::lock_guard lock(mutex_);
    // The first that is lacking is the end; others may be asked for at the same time.
    if (end_.empty() || name <= end_) end_ = name;
    end_until_ = SteadyClock::now() + kEndPoll;
  }

  void found(const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (name >= end_) end_.clear();
  }

  Archive& archive_;
  const GetHelperOptions& options_;
  HelperLife& life_;
  GetSpool spool_;
  HelperFailures failures_;
  WorkQueue queue_;
  // Of the thread that plans.
  std::optional<SegmentName> position_;
  std::uint64_t last_request_ = 0;
  std::chrono::system_clock::time_point last_request_at_ = {};
  std::optional<TimelineRoute> route_;
  SteadyClock::time_point route_until_ = {}, plan_until_ = {};
  std::map<TimelineId, TimelineHistory> histories_;
  std::optional<WalSegmentSize> segment_size_;
  // Written by that thread before it offers the first file, read by all.
  std::optional<HistoryName> history_;
  // Shared.
  std::atomic<bool> ended_one_ = false;
  std::mutex mutex_;  // guards the two below
  std::string end_;   // absent when it was asked for
  SteadyClock::time_point end_until_ = {};
};

}  // namespace

void run_get_helper(Archive& archive, const GetHelperOptions& options,
                    const std::stop_token& stop) {
  HelperLife life(options.life, stop);
  Prefetcher prefetcher(archive, options, life);
  prefetcher.run();
  prefetcher.clean_up();
}

}  // namespace holdfast
