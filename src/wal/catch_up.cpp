#include "wal/catch_up.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>

#include "core/fault_point.h"
#include "core/parallel.h"
#include "repository/catalogue.h"
#include "repository/wal_mark.h"
#include "repository/wal_object.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

constexpr std::size_t kMissingMax = 1000;

bool is_history(const std::string& object) {
  return object.ends_with("/history");
}

// Not a partial one or a label: the content of those is in their names.
bool is_segment(const std::string& object) {
  constexpr std::size_t kDigits = 24;
  return object.size() - object.rfind('/') - 1 == kDigits;
}

// The objects of one listing in turn, without the parts of large ones: those go with their object.
class Listing {
 public:
  Listing(const Repository& repository, const std::string& prefix, const std::string& after,
          std::stop_token stop)
      : repository_(repository),
        request_{.prefix = prefix, .after = after},
        stop_(std::move(stop)) {}

  const std::string* peek() {
    while (at_ < page_.objects.size() && is_part(page_.objects[at_].name)) ++at_;
    while (at_ == page_.objects.size() && !ended_) {
      page_ = repository_.store().list(request_, stop_);
      at_ = 0;
      ended_ = !page_.next;
      if (page_.next) request_.after = *page_.next;
      while (at_ < page_.objects.size() && is_part(page_.objects[at_].name)) ++at_;
    }
    return at_ < page_.objects.size() ? &page_.objects[at_].name : nullptr;
  }
  void next() { ++at_; }

 private:
  static bool is_part(const std::string& object) {
    return object.find(".part-") != std::string::npos;
  }

  const Repository& repository_;
  ListRequest request_;
  const std::stop_token stop_;
  ListPage page_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

// Which object everything is there up to, less the last ones that were seen.
class CompleteUntil {
 public:
  explicit CompleteUntil(std::string before) : object_(std::move(before)), last_(object_) {}

  void there(const std::string& object) {
    if (missed_ || is_history(object)) return;
    last_ = object;
    recent_.push_back(object);
    if (recent_.size() <= kRelistedObjects) return;
    object_ = std::move(recent_.front());
    recent_.pop_front();
  }
  void lacking() { missed_ = true; }
  const std::string& object() const { return object_; }
  const std::string& last() const { return last_; }

 private:
  std::string object_;
  std::string last_;
  std::deque<std::string> recent_;
  bool missed_ = false;
};

// What retention removes from a history's WAL; asked for when it is first needed.
class GoingWal {
 public:
  GoingWal(Archive& archive, std::size_t index, WalPlace place, std::stop_token stop)
      : archive_(archive), index_(index), place_(std::move(place)), stop_(std::move(stop)) {}

  // Labels and partial segments go with the segment that begins their names.
  bool has(const std::string& object) {
    constexpr std::size_t kSegmentDigits = 24;
    if (!ranges_) ask();
    const auto segment =
        names::parse_wal_segment(object.substr(0, object.rfind('/') + 1 + kSegmentDigits), size_);
    return segment && contains(*ranges_, segment->number);
  }

 private:
  void ask() {
    const Repository& there = archive_.repository(index_, stop_);
    size_ = read_history(there, place_.cluster, place_.history, stop_).wal_segment_size;
    try {
      ranges_ = going_wal(there, place_, stop_);
    } catch (const Error& error) {
      if (!condemns_one_object(error.kind())) throw;
      ranges_.emplace();  // nobody knows: to copy too much does no harm, to stop copying does
    }
  }

  Archive& archive_;
  const std::size_t index_;
  const WalPlace place_;
  const std::stop_token stop_;
  WalSegmentSize size_{};
  std::optional<SegmentRanges> ranges_;
};

[[noreturn]] void refuse_other_content(const std::string& object) {
  throw Error(ErrorKind::kRefused, "it has other content under the same name", {.object = object});
}

std::string one_line(const Error& error) {
  return error.object().empty() ? error.message()
                                : fmt::format("{} ({})", error.message(), error.object());
}

}  // namespace

CatchUp::CatchUp(Archive& archive, std::size_t index, CatchUpOptions options)
    : archive_(archive), index_(index), options_(std::move(options)), lag_(known()) {
  HF_INVARIANT(index > 0 && index < archive.size());
}

RepositoryLag CatchUp::known() const {
  const ArchiveRepository& about = archive_.about(index_);
  auto lag = read_lag(options_.state_directory, about.name);
  const bool same = lag && lag->url == about.url && lag->first_url == archive_.about(0).url;
  if (same) return std::move(*lag);
  return {.repository = about.name, .url = about.url, .first_url = archive_.about(0).url};
}

bool CatchUp::compare_all() const {
  const Timestamp now = options_.clock.now();
  return !lag_.compared || *lag_.compared > now || now - *lag_.compared > kCompareAll;
}

// What was noted of other repositories that were in these places says nothing about these.
void CatchUp::require_same_repositories(const std::stop_token& stop) {
  std::string ids;
  for (const std::size_t index : {std::size_t{0}, index_}) {
    archive_.require_same_repository(index, stop);
    ids += to_hex(archive_.repository(index, stop).keys().repository_id) + " ";
  }
  if (lag_.ids == ids) return;
  const ArchiveRepository& about = archive_.about(index_);
  lag_ = {.repository = about.name,
          .url = about.url,
          .first_url = archive_.about(0).url,
          .ids = ids,
          .behind_since = lag_.behind_since};
}

void CatchUp::compare_timeline(const WalPlace& place, TimelineId timeline, Missing& missing,
                               const std::stop_token& stop) {
  const std::string prefix = names::wal_timeline_prefix(place, timeline);
  const std::string after = lag_.complete_until[prefix];
  GoingWal going(archive_, index_, place, stop);
  Listing ours(archive_.repository(0, stop), prefix, after, stop);
  Listing theirs(archive_.repository(index_, stop), prefix, after, stop);
  CompleteUntil complete(after);
  std::string last = after;
  std::string last_of_both;
  for (; const std::string* object = ours.peek(); ours.next()) {
    const std::string* other = theirs.peek();
    for (; other != nullptr && *other < *object; other = theirs.peek()) theirs.next();
    if (!is_history(*object)) last = *object;
    if (other != nullptr && *other == *object) {
      complete.there(*object);
      if (is_segment(*object)) last_of_both = *object;
      continue;
    }
    if (!is_history(*object) && going.has(*object)) {
      complete.there(*object);
      continue;
    }
    complete.lacking();
    ++missing.count;
    if (missing.objects.size() < kMissingMax) missing.objects.push_back(*object);
  }
  if (!last_of_both.empty()) compare_content(prefix, last_of_both, stop);
  missing.complete_until[prefix] = complete.object();
  missing.there_until[prefix] = complete.last();
  missing.first_until[prefix] = std::move(last);
}

void CatchUp::compare_content(const std::string& prefix, const std::string& object,
                              const std::stop_token& stop) {
  std::string& same_until = same_until_[prefix];
  if (same_until == object) return;
  const auto ours = read_wal_head(archive_.repository(0, stop), object, stop);
  const auto theirs = read_wal_head(archive_.repository(index_, stop), object, stop);
  if (!ours || !theirs) return;  // one has just expired
  if (ours->identity.content != theirs->identity.content) refuse_other_content(object);
  same_until = object;
}

// What the first has behind what was there at last, while the other cannot be asked.
CatchUp::Missing CatchUp::count_without_asking(const std::stop_token& stop) {
  Missing missing;
  const Repository& first = archive_.repository(0, stop);
  for (const HistoryName& history : list_history_names(first, archive_.cluster(), stop)) {
    const WalPlace place{archive_.cluster(), history};
    for (const TimelineId timeline : list_timelines(first, place, stop)) {
      const std::string prefix = names::wal_timeline_prefix(place, timeline);
      const auto there = lag_.there_until.find(prefix);
      Listing ours(first, prefix, there == lag_.there_until.end() ? "" : there->second, stop);
      for (; const std::string* object = ours.peek(); ours.next()) {
        if (is_history(*object)) continue;
        if (missing.count++ == 0) missing.objects.push_back(*object);
      }
    }
  }
  return missing;
}

CatchUp::Missing CatchUp::compare(const std::stop_token& stop) {
  const bool all = compare_all();
  if (all) lag_.complete_until.clear();
  const Repository& first = archive_.repository(0, stop);
  const auto known_there =
      list_history_names(archive_.repository(index_, stop), archive_.cluster(), stop);
  Missing missing;
  for (const HistoryName& history : list_history_names(first, archive_.cluster(), stop)) {
    const WalPlace place{archive_.cluster(), history};
    for (const TimelineId timeline : list_timelines(first, place, stop)) {
      if (std::ranges::find(known_there, history) == known_there.end()) {
        throw Error(ErrorKind::kRefused,
                    fmt::format("it does not know the history {}: run 'holdfast init'",
                                to_string(history)));
      }
      compare_timeline(place, timeline, missing, stop);
    }
  }
  if (all) lag_.compared = options_.clock.now();
  return missing;
}

std::uint64_t CatchUp::copy(const std::vector<std::string>& objects, const std::stop_token& stop) {
  const WalCopyRoute route{.from = archive_.repository(0, stop),
                           .to = archive_.repository(index_, stop)};
  std::atomic<std::uint64_t> copied{0};
  parallel_for(objects.size(), options_.jobs, stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 archive_.require_same_repository_lately(0, inner);
                 archive_.require_same_repository_lately(index_, inner);
                 if (copy_wal(route, objects[i], inner) == WalCopy::kOtherContent) {
                   refuse_other_content(objects[i]);
                 }
                 fault_point("push.copied");
                 ++copied;
                 options_.progressed();
               });
  return copied;
}

void CatchUp::note(const Missing& missing, std::uint64_t copied, std::string failure) {
  lag_.checked = options_.clock.now();
  lag_.failure = std::move(failure);
  lag_.missing = missing.count - std::min(copied, missing.count);
  const std::size_t next = std::min<std::size_t>(copied, missing.objects.size());
  lag_.oldest = next < missing.objects.size() ? missing.objects[next] : "";
  if (lag_.missing == 0 && lag_.failure.empty()) {
    lag_.behind_since.reset();
  } else if (!lag_.behind_since) {
    lag_.behind_since = lag_.checked;
  }
  if (!missing.complete_until.empty()) {
    lag_.complete_until = missing.complete_until;
    const bool all_copied = lag_.missing == 0 && lag_.failure.empty();
    lag_.there_until = all_copied ? missing.first_until : missing.there_until;
  }
  write_lag(options_.state_directory, lag_);
}

bool CatchUp::round(const std::stop_token& stop) {
  std::optional<Missing> missing;
  std::string failure;
  try {
    require_same_repositories(stop);
    missing = compare(stop);
    if (missing->count > 0) note(*missing, 0, "");
    const std::uint64_t copied = copy(missing->objects, stop);
    note(*missing, copied, "");
    return lag_.missing == 0;
  } catch (const Error& error) {
    if (stop.stop_requested()) throw;
    failure = one_line(error);
  }
  try {
    if (!missing) missing = count_without_asking(stop);
  } catch (const Error&) {  // the first cannot be asked either
    if (stop.stop_requested()) throw;
  }
  note(missing.value_or(Missing{.objects = {}, .count = lag_.missing}), 0, failure);
  return false;
}

}  // namespace holdfast
