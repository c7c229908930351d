#include "restore/recovery_search.h"

#include <algorithm>
#include <functional>

#include "core/parallel.h"
#include "core/text.h"
#include "repository/catalogue.h"
#include "repository/wal_object.h"
#include "repository/wal_summaries.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxNearest = 5;
// Transactions take a while: their ids lie near those that finish beside them.
constexpr std::int64_t kNearXids = 65'536;

// Distance in the circle of transaction ids.
std::int64_t distance(std::uint32_t from, std::uint32_t to) {
  return static_cast<std::int32_t>(to - from);
}

// Calls `visit(number, facts, joinable)` for every segment in turn; joinable: the one before it is
// part of the range.
template <class Visit>
void for_each_summary(const SearchSpace& space, const std::stop_token& stop, Visit visit) {
  const SummaryReader reader(space.repository, space.path);
  for (const SegmentRange& range : space.ranges) {
    for (std::uint64_t first = range.first; first <= range.last; first += kSummaryBatch) {
      const SegmentRange batch{first, std::min(range.last, first + kSummaryBatch - 1)};
      const auto facts = reader.read(batch, stop);
      for (std::uint64_t i = 0; i < facts.size(); ++i) {
        visit(first + i, facts[i], first + i > range.first);
      }
    }
  }
}

void note_unchecked(TargetSearch& search, std::uint64_t number) {
  if (search.unchecked == 0 || number < search.first_unchecked) search.first_unchecked = number;
  ++search.unchecked;
}

void add_found(TargetSearch& search, const TargetOccurrence& occurrence) {
  const auto same = std::ranges::find(search.found, occurrence.start, &TargetOccurrence::start);
  if (same == search.found.end() && search.found.size() < kMaxOccurrences) {
    search.found.push_back(occurrence);
  }
}

using IndexVisit = std::function<void(std::uint64_t, const std::optional<JoinedIndex>&)>;

// Reads the indexes of `wanted` in parallel, some at a time, and hands them on in order. What lies
// in front of segment `alone` is not looked at.
void for_each_index(const SearchSpace& space, const std::vector<std::uint64_t>& wanted,
                    const std::stop_token& stop, const IndexVisit& visit,
                    std::optional<std::uint64_t> alone = {}) {
  const SummaryReader reader(space.repository, space.path);
  const std::size_t threads = space.repository.store().capabilities().parallel_requests;
  for (std::size_t first = 0; first < wanted.size(); first += threads) {
    std::vector<std::optional<JoinedIndex>> read(std::min(threads, wanted.size() - first));
    parallel_for(read.size(), threads, stop, [&](std::size_t i, const std::stop_token& inner) {
      const std::uint64_t number = wanted[first + i];
      if (number != alone) {
        read[i] = reader.read_joined(number, inner);
      } else if (auto index = reader.read_index(number, inner)) {
        read[i] = JoinedIndex{std::move(*index), false};
      }
    });
    for (std::size_t i = 0; i < read.size(); ++i) visit(wanted[first + i], read[i]);
  }
}

// Whether not everything in the segment, or across the border before it, is known from `facts`.
bool is_doubtful(const SegmentFacts& facts, bool joinable) {
  return !facts.summary || !knows_transactions(*facts.summary) || (joinable && !facts.joined);
}

class TransactionSearch {
 public:
  TransactionSearch(const SearchSpace& space, std::uint32_t xid, const std::stop_token& stop)
      : space_(space), xid_(xid), stop_(stop) {}

  TargetSearch run() {
    for_each_summary(space_, stop_, [&](std::uint64_t n, const SegmentFacts& facts, bool joinable) {
      look_at(n, facts, joinable);
    });
    read(likely_);
    if (!result_.found.empty()) return std::move(result_);
    const bool all = doubtful_.size() <= kMaxJoinedSegments;
    if (!all) {
      for (const std::uint64_t number : doubtful_) {
        if (!std::ranges::binary_search(near_, number)) note_unchecked(result_, number);
      }
    }
    read(all ? doubtful_ : near_);
    if (result_.found.empty()) name_nearest();
    return std::move(result_);
  }

 private:
  struct Neighbour {
    std::int64_t distance = 0;
    FinishedTransaction transaction;
  };

  void look_at(std::uint64_t number, const SegmentFacts& facts, bool joinable) {
    if (facts.summary && may_have_finished(*facts.summary, xid_)) {
      likely_.push_back(number);
      return;
    }
    if (facts.summary && facts.summary->finished_count > 0) remember_end(number, *facts.summary);
    if (!is_doubtful(facts, joinable)) return;
    doubtful_.push_back(number);
    const bool may_be_near = !facts.summary || facts.summary->oldest_xid == 0 ||
                             (distance(facts.summary->oldest_xid, xid_) > -kNearXids &&
                              distance(xid_, facts.summary->newest_xid) > -kNearXids);
    if (may_be_near && near_.size() < kMaxJoinedSegments) near_.push_back(number);
  }

  // The segments whose ids end nearest to the one that is looked for.
  void remember_end(std::uint64_t number, const SegmentSummary& summary) {
    const std::int64_t below = distance(summary.newest_xid, xid_);
    const std::int64_t above = distance(xid_, summary.oldest_xid);
    if (below > 0 && (!segment_below_ || below < distance_below_)) {
      segment_below_ = number;
      distance_below_ = below;
    }
    if (above > 0 && (!segment_above_ || above < distance_above_)) {
      segment_above_ = number;
      distance_above_ = above;
    }
  }

  void read(std::vector<std::uint64_t> wanted) {
    if (wanted.size() > kMaxJoinedSegments) {
      for (std::size_t i = kMaxJoinedSegments; i < wanted.size(); ++i) {
        note_unchecked(result_, wanted[i]);
      }
      wanted.resize(kMaxJoinedSegments);
    }
    for_each_index(space_, wanted, stop_,
                   [&](std::uint64_t number, const std::optional<JoinedIndex>& joined) {
                     if (!joined || !joined->complete) note_unchecked(result_, number);
                     if (joined) take(joined->index);
                   });
  }

  void take(const SegmentIndex& index) {
    for (const FinishedTransaction& finished : index.transactions) {
      const std::int64_t away = distance(xid_, finished.xid);
      if (away == 0) {
        add_found(result_, {finished.start, finished.end, finished.time, finished.outcome});
      } else {
        auto& side = away < 0 ? below_ : above_;
        const std::int64_t length = away < 0 ? -away : away;
        if (!side || length < side->distance) side = {length, finished};
      }
    }
  }

  void name_nearest() {
    std::vector<std::uint64_t> ends;
    if (!below_ && segment_below_) ends.push_back(*segment_below_);
    if (!above_ && segment_above_) ends.push_back(*segment_above_);
    const TargetSearch before = result_;  // these segments are not doubted
    read(ends);
    result_ = before;
    for (const auto& side : {below_, above_}) {
      if (!side) continue;
      const FinishedTransaction& finished = side->transaction;
      const bool committed = finished.outcome == FinishedTransaction::Outcome::kCommitted;
      result_.nearest.push_back(fmt::format("{} ({} {}, {})", finished.xid,
                                            committed ? "committed" : "rolled back",
                                            to_rfc3339(finished.time), to_string(finished.start)));
    }
  }

  const SearchSpace& space_;
  const std::uint32_t xid_;
  const std::stop_token stop_;
  TargetSearch result_;
  std::vector<std::uint64_t> likely_, doubtful_, near_;
  std::optional<std::uint64_t> segment_below_, segment_above_;
  std::int64_t distance_below_ = 0, distance_above_ = 0;
  std::optional<Neighbour> below_, above_;
};

class RestorePointSearch {
 public:
  RestorePointSearch(const SearchSpace& space, const std::string& name, const std::stop_token& stop)
      : space_(space), name_(name), stop_(stop) {}

  TargetSearch run() {
    std::vector<std::uint64_t> doubtful;
    for_each_summary(space_, stop_, [&](std::uint64_t n, const SegmentFacts& facts, bool joinable) {
      if (facts.summary) take(*facts.summary);
      if (is_doubtful(facts, joinable)) doubtful.push_back(n);
    });
    if (result_.found.empty()) look_closer(doubtful);
    if (result_.found.empty()) name_nearest();
    return std::move(result_);
  }

 private:
  void take(const SegmentSummary& summary) {
    for (const RestorePoint& point : summary.restore_points) {
      if (point.name == name_) {
        add_found(result_, {point.start, point.end, point.time});
        continue;
      }
      if (seen_.size() == kMaxNearest) seen_.erase(seen_.begin());
      seen_.push_back(point);
    }
  }

  // A name that was mistyped says more than the last ones.
  void name_nearest() {
    std::vector<std::string> names;
    for (const RestorePoint& point : seen_) names.push_back(point.name);
    const auto meant = nearest(name_, names);
    for (const RestorePoint& point : seen_) {
      if (meant && point.name != *meant) continue;
      result_.nearest.push_back(fmt::format("{} ({}, {})", json_quoted(point.name),
                                            to_rfc3339(point.time), to_string(point.end)));
    }
  }

  void look_closer(const std::vector<std::uint64_t>& doubtful) {
    if (doubtful.size() > kMaxJoinedSegments) {
      for (const std::uint64_t number : doubtful) note_unchecked(result_, number);
      return;
    }
    for_each_index(space_, doubtful, stop_,
                   [&](std::uint64_t number, const std::optional<JoinedIndex>& joined) {
                     if (!joined || !joined->complete) note_unchecked(result_, number);
                     if (!joined) return;
                     for (const RestorePoint& point : joined->index.summary.restore_points) {
                       if (point.name == name_) {
                         add_found(result_, {point.start, point.end, point.time});
                       }
                     }
                   });
  }

  const SearchSpace& space_;
  const std::string& name_;
  const std::stop_token stop_;
  TargetSearch result_;
  std::vector<RestorePoint> seen_;  // the last ones of other names
};

// Segments whose index has to be looked at: not those of which a summary says that they make none.
// Where replay ends in a segment, nothing behind it is wanted.
std::vector<std::uint64_t> may_make_tablespaces(const SearchSpace& space,
                                                const ReplayRange& replayed,
                                                const std::stop_token& stop) {
  std::vector<std::uint64_t> wanted;
  bool ended = false;
  for_each_summary(space, stop, [&](std::uint64_t n, const SegmentFacts& facts, bool joinable) {
    if (ended) return;
    const bool doubtful = is_doubtful(facts, joinable);
    const bool makes_one = facts.summary && !facts.summary->tablespaces.empty();
    ended = replayed.time && facts.summary && facts.summary->finished_count > 0 &&
            facts.summary->latest > *replayed.time;
    if (doubtful || makes_one || ended) wanted.push_back(n);
  });
  return wanted;
}

// `end` becomes the end of replay when it is in this segment.
void take_tablespaces(const SegmentIndex& index, const ReplayRange& replayed, Lsn& end,
                      TablespaceSearch& search) {
  if (replayed.time) {
    const auto last = std::ranges::find_if(
        index.transactions, [&](const auto& finished) { return finished.time > *replayed.time; });
    if (last != index.transactions.end()) end = std::min(end, last->end);
  }
  for (const WalFileEvent& event : index.file_events) {
    if (event.kind != WalFileEvent::Kind::kTablespaceCreated || event.path.empty()) continue;
    if (event.start < replayed.begin || event.start >= end) continue;
    if (std::ranges::count(search.locations, event.path) > 0) continue;
    search.locations.push_back(event.path);
  }
}

void sort_found(TargetSearch& search) {
  std::ranges::sort(search.found, {}, &TargetOccurrence::start);
}

std::optional<Error> damage_of(const SearchSpace& space, std::uint64_t number,
                               const std::stop_token& stop) {
  const auto stored = find_segment(space.path, number);
  if (!stored) return std::nullopt;
  try {
    read_wal_index(space.repository, stored->object, stop);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return error;
  }
  return std::nullopt;
}

}  // namespace

TablespaceSearch find_new_tablespaces(const SearchSpace& space, const ReplayRange& replayed,
                                      Progress& progress, const std::stop_token& stop) {
  TablespaceSearch search;
  const auto wanted = may_make_tablespaces(space, replayed, stop);
  // What lies across the border in front of the first one began before the replay.
  const auto alone =
      space.ranges.empty() ? std::nullopt : std::optional(space.ranges.front().first);
  Lsn end = replayed.end;
  const std::uint64_t size = space.path.segment_size().bytes;
  progress.phase("looking for tablespaces in WAL", wanted.size() * size);
  for_each_index(
      space, wanted, stop,
      [&](std::uint64_t number, const std::optional<JoinedIndex>& joined) {
        progress.advance(size);
        if (Lsn{number * size} >= end) return;
        const bool known =
            joined &&
            (joined->complete || (number == alone && knows_transactions(joined->index.summary)));
        if (!known && search.unchecked++ == 0) search.damage = damage_of(space, number, stop);
        if (joined) take_tablespaces(joined->index, replayed, end, search);
      },
      alone);
  return search;
}

TargetSearch find_transaction(const SearchSpace& space, std::uint32_t xid,
                              const std::stop_token& stop) {
  TargetSearch search = TransactionSearch(space, xid, stop).run();
  sort_found(search);
  return search;
}

TargetSearch find_restore_point(const SearchSpace& space, const std::string& name,
                                const std::stop_token& stop) {
  TargetSearch search = RestorePointSearch(space, name, stop).run();
  sort_found(search);
  return search;
}

}  // namespace holdfast
