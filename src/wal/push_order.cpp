#include "wal/push_order.h"

#include <algorithm>
#include <thread>

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTurnPoll{2};
// How long another process's claim is a reason to wait; it is looked at again in the meantime.
constexpr std::chrono::seconds kElsewhereAge{5};

}  // namespace

PushOrder::PushOrder(const fs::path& data_directory, WalSegmentSize segment_size,
                     const WorkQueue& queue)
    : wal_(data_directory / "pg_wal"), segment_size_(segment_size), queue_(queue) {}

void PushOrder::list(const std::vector<std::string>& files) {
  const std::lock_guard lock(mutex_);
  before_.clear();
  std::string before;
  for (const std::string& file : files) {
    before_[file] = std::move(before);
    before = file;
  }
  std::erase_if(stored_, [&](const auto& entry) { return !before_.contains(entry.first); });
  std::erase_if(elsewhere_, [&](const auto& entry) { return !before_.contains(entry.first); });
}

bool PushOrder::is_ready(const std::string& file) const {
  return version_of(wal_ / "archive_status" / (file + ".ready")).has_value();
}

bool PushOrder::is_settled(const std::string& file) const {
  if (file.empty() || !is_ready(file)) return true;
  const auto stored = stored_.find(file);
  return stored != stored_.end() && version_of(wal_ / file) == stored->second;
}

PushOrder::Turn PushOrder::turn_of(const std::string& file) const {
  const std::lock_guard lock(mutex_);
  const auto entry = before_.find(file);
  if (entry == before_.end()) return Turn::kNotYet;
  return std::max(turn_behind(entry->second), turn_behind(segment_before(file)));
}

std::string PushOrder::segment_before(const std::string& file) const {
  const auto segment = parse_segment_name(file, segment_size_);
  if (!segment || segment->number == 0) return "";
  return to_string(SegmentName{segment->timeline, segment->number - 1}, segment_size_);
}

PushOrder::Turn PushOrder::turn_behind(const std::string& before) const {
  if (is_settled(before)) return Turn::kNow;
  if (queue_.is_at_hand(before)) return Turn::kSoon;
  const auto elsewhere = elsewhere_.find(before);
  const bool is_being_pushed =
      elsewhere != elsewhere_.end() && SteadyClock::now() - elsewhere->second < kElsewhereAge;
  return is_being_pushed ? Turn::kSoon : Turn::kNotYet;
}

bool PushOrder::is_near(const std::string& file) const {
  return turn_of(file) != Turn::kNotYet;
}

bool PushOrder::wait_for_turn(const std::string& file, const FileVersion& version,
                              const std::stop_token& stop) const {
  while (!stop.stop_requested()) {
    const Turn turn = turn_of(file);
    if (turn == Turn::kNotYet) return false;
    if (turn == Turn::kNow) {
      // Not .ready: nothing of the rule can be read from the folder, or it is archived already.
      return is_ready(file) && version_of(wal_ / file) == version;
    }
    std::this_thread::sleep_for(kTurnPoll);
  }
  return false;
}

void PushOrder::stored(const std::string& file, const FileVersion& version) {
  const std::lock_guard lock(mutex_);
  stored_.insert_or_assign(file, version);
  if (parse_segment_name(file, segment_size_)) last_segment_ = {file, version};
}

bool PushOrder::follows_stored(const std::string& file) const {
  const std::lock_guard lock(mutex_);
  const std::string before = segment_before(file);
  return !before.empty() && before == last_segment_.first &&
         version_of(wal_ / before) == last_segment_.second;
}

void PushOrder::is_elsewhere(const std::string& file) {
  const std::lock_guard lock(mutex_);
  elsewhere_.insert_or_assign(file, SteadyClock::now());
}

}  // namespace holdfast
