#include "repository/thaw.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/counted.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"
#include "postgres/wal_segment.h"
#include "repository/wal_listing.h"
#include "storage/storage_class.h"

namespace holdfast {
namespace {

constexpr std::size_t kStatesAtOnce = 256;  // of awaited objects, looked at in one round
constexpr std::size_t kThawSegmentDigits = 24;

[[noreturn]] void throw_gone(const std::string& name) {
  throw Error(ErrorKind::kDamage, "missing: an object that the backup needs",
              {.object = name, .hint = "'holdfast verify' says what is lost with it."});
}

bool takes_longer(std::string_view a, std::string_view b) {
  return !thaw_time(a, ThawSpeed::kExpedited) && thaw_time(b, ThawSpeed::kExpedited);
}

void count(ColdObjects& cold) {
  cold.bytes = cold.requested = 0;
  for (const ColdObject& object : cold.objects) {
    cold.bytes += object.bytes;
    if (object.state == ThawState::kThawing) ++cold.requested;
  }
}

// Objects in a frozen class, while their states are not known yet.
class Finder {
 public:
  explicit Finder(const Repository& repository) : repository_(repository) {}

  void add(const ObjectInfo& object) {
    if (!is_frozen_class(object.storage_class)) return;
    if (class_.empty() || takes_longer(object.storage_class, class_)) class_ = object.storage_class;
    found_.push_back({.name = object.name, .bytes = object.size});
  }

  ColdObjects finish(const std::stop_token& stop) {
    ObjectStore& store = repository_.store();
    parallel_for(found_.size(), store.capabilities().parallel_requests, stop,
                 [&](std::size_t i, const std::stop_token& inner) {
                   const auto state = thaw_state(store, found_[i].name, inner);
                   if (!state) throw_gone(found_[i].name);
                   found_[i].state = *state;
                 });
    std::erase_if(found_, [](const ColdObject& one) { return one.state == ThawState::kReadable; });
    ColdObjects cold{.objects = std::move(found_)};
    if (!cold.empty()) cold.storage_class = class_;
    count(cold);
    return cold;
  }

 private:
  const Repository& repository_;
  std::string class_;
  std::vector<ColdObject> found_;
};

std::string folder_of(const std::string& object) {
  return object.substr(0, object.rfind('/') + 1);
}

// Whether an object of a timeline is, or belongs to, what ends behind the segment's begin.
bool reaches(const std::string& object, std::uint64_t first_segment, WalSegmentSize size) {
  const std::string file = object.substr(object.rfind('/') + 1);
  if (file.size() < kThawSegmentDigits) return true;  // the timeline's history
  const auto segment = parse_segment_name(file.substr(0, kThawSegmentDigits), size);
  return segment && segment->number >= first_segment;
}

// Waits until objects that were asked for can be read.
class Awaiting {
 public:
  Awaiting(ObjectStore& store, ColdObjects cold, const ThawRequest& request, Progress& progress,
           const std::stop_token& stop)
      : store_(store),
        request_(request),
        progress_(progress),
        stop_(stop),
        total_(cold.objects.size()),
        awaited_(std::make_move_iterator(cold.objects.begin()),
                 std::make_move_iterator(cold.objects.end())) {}

  void ask() {
    progress_.note("asking for " + counted(total_, "object"));
    parallel_for(awaited_.size(), store_.capabilities().parallel_requests, stop_,
                 [&](std::size_t i, const std::stop_token& inner) { ask_for(awaited_[i], inner); });
    drop_readable(awaited_.size());
  }

  void wait(Pacer& pacer) {
    std::chrono::seconds pause{1};
    while (!awaited_.empty()) {
      progress_.note(
          fmt::format("{} of {} back", total_ - awaited_.size(), counted(total_, "object")));
      if (look() > 0) continue;
      pacer.sleep(pause, stop_);
      pause = std::min(2 * pause, kLongestThawPause);
    }
  }

 private:
  void ask_for(ColdObject& object, const std::stop_token& stop) {
    if (object.state == ThawState::kFrozen) {
      object.state = request_thaw(store_, object.name, request_, stop);
    }
  }

  // Of the first ones that are awaited; how many of them are back.
  std::size_t look() {
    const std::size_t count = std::min(awaited_.size(), kStatesAtOnce);
    parallel_for(count, store_.capabilities().parallel_requests, stop_,
                 [&](std::size_t i, const std::stop_token& inner) {
                   const auto state = thaw_state(store_, awaited_[i].name, inner);
                   if (!state) throw_gone(awaited_[i].name);
                   awaited_[i].state = *state;
                   ask_for(awaited_[i], inner);  // a request that came to nothing
                 });
    return drop_readable(count);
  }

  std::size_t drop_readable(std::size_t first) {
    const auto end = awaited_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto kept = std::remove_if(awaited_.begin(), end, [&](const ColdObject& object) {
      if (object.state != ThawState::kReadable) return false;
      progress_.advance(object.bytes);
      return true;
    });
    const auto dropped = static_cast<std::size_t>(end - kept);
    awaited_.erase(kept, end);
    return dropped;
  }

  ObjectStore& store_;
  const ThawRequest request_;
  Progress& progress_;
  const std::stop_token& stop_;
  const std::size_t total_;
  std::deque<ColdObject> awaited_;
};

}  // namespace

bool is_about_frozen(const Repository& repository, const Error& error,
                     const std::stop_token& stop) {
  if (error.kind() != ErrorKind::kRepository || error.object().empty()) return false;
  if (!repository.store().capabilities().storage_classes) return false;
  const auto state = thaw_state(repository.store(), error.object(), stop);
  return state && *state != ThawState::kReadable;
}

ColdObjects cold_packs(const Repository& repository, const ManifestRoot& root,
                       const PackRegistry& registry, const std::stop_token& stop) {
  if (!repository.store().capabilities().storage_classes) return {};
  std::map<std::string, std::set<std::string>> folders;
  for (const CitedPack& cited : root.packs) {
    const PackRef& pack = registry.at(cited.pack);
    const std::string name =
        names::pack({root.info.name.cluster, pack.history, pack.backup}, pack.kind, pack.number);
    folders[folder_of(name)].insert(name);
  }
  Finder finder(repository);
  for (const auto& [folder, wanted] : folders) {
    for_each_object(repository.store(), folder, stop, [&](const ObjectInfo& object) {
      if (wanted.contains(object.name)) finder.add(object);
    });
  }
  return finder.finish(stop);
}

ColdObjects cold_wal(const Repository& repository, const WalLine& line, const BackupInfo& backup,
                     const std::stop_token& stop) {
  if (!repository.store().capabilities().storage_classes) return {};
  const std::uint64_t first = backup.start_lsn.value / backup.wal_segment_size.bytes;
  Finder finder(repository);
  for (const LineStep& step : line.steps) {
    const WalPlace place{line.cluster, step.history};
    for (const TimelineId timeline : list_timelines(repository, place, stop)) {
      if (timeline < backup.timeline) continue;
      for_each_object(repository.store(), names::wal_timeline_prefix(place, timeline), stop,
                      [&](const ObjectInfo& object) {
                        if (reaches(object.name, first, backup.wal_segment_size)) {
                          finder.add(object);
                        }
                      });
    }
  }
  return finder.finish(stop);
}

void append(ColdObjects& cold, ColdObjects more) {
  if (more.empty()) return;
  if (cold.empty() || takes_longer(more.storage_class, cold.storage_class)) {
    cold.storage_class = more.storage_class;
  }
  std::ranges::move(more.objects, std::back_inserter(cold.objects));
  std::ranges::sort(cold.objects, {}, &ColdObject::name);
  const auto twice = std::ranges::unique(cold.objects, {}, &ColdObject::name);
  cold.objects.erase(twice.begin(), twice.end());
  count(cold);
}

void thaw(const Repository& repository, ColdObjects cold, const ThawRequest& request,
          Progress& progress, const std::stop_token& stop, Pacer& pacer) {
  if (cold.empty()) return;
  if (!thaw_time(cold.storage_class, request.speed)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} knows no {} thaw", cold.storage_class, to_string(request.speed)),
                {.object = cold.objects.front().name,
                 .hint = fmt::format("It takes {}.", describe_thaw_times(cold.storage_class))});
  }
  progress.phase("thaw", cold.bytes);
  Awaiting awaiting(repository.store(), std::move(cold), request, progress, stop);
  awaiting.ask();
  awaiting.wait(pacer);
}

std::string describe(const ColdObjects& cold) {
  std::string text = fmt::format("{} ({}) in {}", counted(cold.objects.size(), "object"),
                                 human_bytes(cold.bytes), cold.storage_class);
  if (cold.requested > 0) text += fmt::format(", {} of them asked for already,", cold.requested);
  return text;
}

std::string describe_thaw_times(std::string_view storage_class) {
  std::string text;
  for (const ThawSpeed speed : {ThawSpeed::kBulk, ThawSpeed::kStandard, ThawSpeed::kExpedited}) {
    if (const auto time = thaw_time(storage_class, speed)) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", to_string(speed), *time);
    }
  }
  return text;
}

}  // namespace holdfast
