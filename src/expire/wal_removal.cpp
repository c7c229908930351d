#include "expire/wal_removal.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/fault_point.h"
#include "repository/wal_object.h"
#include "repository/wal_rollup.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

constexpr std::size_t kHexDigits = 8, kNameOfSegmentDigits = 24;

std::uint64_t count_stored(const WalListing& listing, const SegmentRanges& ranges) {
  std::uint64_t count = 0;
  for (const TimelineListing& timeline : listing.timelines) {
    SegmentRanges stored;
    for (const WalRun& run : timeline.runs) stored.push_back({run.first, run.last});
    for (const SegmentRange& range : intersected(stored, ranges)) count += range.count();
  }
  return count;
}

std::optional<std::uint64_t> last_stored(const WalListing& listing) {
  std::optional<std::uint64_t> last;
  for (const TimelineListing& timeline : listing.timelines) {
    if (!timeline.runs.empty()) last = std::max(last.value_or(0), timeline.runs.back().last);
  }
  return last;
}

std::optional<std::uint64_t> parse_hex(std::string_view digits) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != kHexDigits || parsed.ptr != digits.data() + digits.size()) return {};
  return value;
}

bool is_part(const std::string& object) {
  return object.find(".part-") != std::string::npos;
}

// The WAL of one history.
class HistoryWalRemoval {
 public:
  HistoryWalRemoval(const Repository& repository, const WalListing& listing,
                    const HistoryMarks& marks, const std::stop_token& stop)
      : repository_(repository), listing_(listing), marks_(marks), stop_(stop) {}

  // What nothing needs, up to the newest stored segment.
  SegmentRanges unused(const SegmentRanges& needed) const {
    const auto last = last_stored(listing_);
    if (!last) return {};
    return intersected(complement(needed), {{0, *last}});
  }
  void remove(const SegmentRanges& going, Timestamp marked, RemovedObjects& counts);
  SegmentRanges going(const SegmentRanges& unused, const WalMarkName& due) const {
    return intersected(unused, read_wal_mark(repository_, listing_.place, due.number, stop_));
  }
  bool mark(const SegmentRanges& unused);
  void forget_marks_before(const WalMarkName& due, RemovedObjects& counts);

 private:
  std::vector<std::string> log_folders(TimelineId timeline, const SegmentRanges& going) const;
  void remove_log(TimelineId timeline, const std::string& prefix, ObjectRemover& remover);
  void remove_rollups(ObjectRemover& remover);
  std::optional<SegmentRange> group_of(const std::string& object, std::size_t prefix) const;

  const Repository& repository_;
  const WalListing& listing_;
  const HistoryMarks& marks_;
  const std::stop_token& stop_;
  SegmentRanges going_;
  Timestamp not_after_;
};

std::vector<std::string> HistoryWalRemoval::log_folders(TimelineId timeline,
                                                        const SegmentRanges& going) const {
  const std::uint64_t per_log = (std::uint64_t{1} << 32U) / listing_.segment_size.bytes;
  std::vector<std::string> folders;
  ListRequest request{.prefix = names::wal_timeline_prefix(listing_.place, timeline),
                      .group_folders = true};
  for (;;) {
    const ListPage page = repository_.store().list(request, stop_);
    for (const std::string& folder : page.folders) {
      const auto log = parse_hex(std::string_view(folder).substr(
          request.prefix.size(), folder.size() - request.prefix.size() - 1));
      if (log && intersects(going, {*log * per_log, (*log + 1) * per_log - 1})) {
        folders.push_back(folder);
      }
    }
    if (!page.next) return folders;
    request.after = *page.next;
  }
}

// First the objects that name parts, then the parts.
void HistoryWalRemoval::remove_log(TimelineId timeline, const std::string& prefix,
                                   ObjectRemover& remover) {
  bool any_part = false;
  const auto pass = [&](bool parts) {
    for_each_object(repository_.store(), prefix, stop_, [&](const ObjectInfo& object) {
      const auto segment = names::parse_wal_segment(
          object.name.substr(0, prefix.size() + kNameOfSegmentDigits), listing_.segment_size);
      if (!segment || segment->timeline != timeline) {
        if (!parts) remover.note_foreign(object);
        return;
      }
      any_part = any_part || is_part(object.name);
      if (is_part(object.name) != parts || object.modified > not_after_) return;
      if (contains(going_, segment->number)) remover.add(object);
    });
    remover.flush();
  };
  pass(false);
  if (any_part) pass(true);
  fault_point("expire.wal_removed");
}

// "…/rollup/<timeline>/<log>-<NNNN>": its group of segments.
std::optional<SegmentRange> HistoryWalRemoval::group_of(const std::string& object,
                                                        std::size_t prefix) const {
  constexpr std::size_t kNameDigits = 2 * kHexDigits + 2;
  if (object.size() < prefix + kNameDigits) return std::nullopt;
  const std::string_view name = std::string_view(object).substr(prefix);
  const auto timeline = parse_hex(name.substr(0, kHexDigits));
  const auto log = parse_hex(name.substr(kHexDigits + 1, kHexDigits));
  if (!timeline || !log) return std::nullopt;
  const std::uint64_t per_log = (std::uint64_t{1} << 32U) / listing_.segment_size.bytes;
  // Segment 0 does not exist, so a group is looked for by its last segment.
  for (std::uint64_t n = 0; n < per_log; n += kRollUpSegments) {
    const std::uint64_t last = *log * per_log + std::min(n + kRollUpSegments, per_log) - 1;
    const SegmentName segment{TimelineId{static_cast<std::uint32_t>(*timeline)}, last};
    if (names::rollup(listing_.place, segment, listing_.segment_size) == object) {
      return rollup_group(last, listing_.segment_size);
    }
  }
  return std::nullopt;
}

void HistoryWalRemoval::remove_rollups(ObjectRemover& remover) {
  const std::string prefix =
      names::history_prefix(listing_.place.cluster, listing_.place.history) + "rollup/";
  for_each_object(repository_.store(), prefix, stop_, [&](const ObjectInfo& object) {
    const auto group = group_of(object.name, prefix.size());
    if (!group || object.modified > not_after_) return;
    if (intersected(going_, {*group}) == SegmentRanges{*group}) remover.add(object);
  });
  remover.flush();
}

void HistoryWalRemoval::remove(const SegmentRanges& going, Timestamp marked,
                               RemovedObjects& counts) {
  going_ = going;
  not_after_ = marked;
  if (going_.empty()) return;
  ObjectRemover remover(repository_.store(), counts, stop_);
  for (const TimelineListing& timeline : listing_.timelines) {
    for (const std::string& folder : log_folders(timeline.timeline, going_)) {
      remove_log(timeline.timeline, folder, remover);
    }
  }
  remove_rollups(remover);
}

// True when a mark was written: there is stored WAL that no mark names yet.
bool HistoryWalRemoval::mark(const SegmentRanges& unused) {
  SegmentRanges marked;
  for (const WalMarkName& name : marks_.marks) {
    try {
      marked = united(marked, read_wal_mark(repository_, listing_.place, name.number, stop_));
    } catch (const Error& error) {
      if (!condemns_one_object(error.kind())) throw;
    }
  }
  if (count_stored(listing_, intersected(unused, complement(marked))) == 0) return false;
  const std::uint32_t next = marks_.marks.empty() ? 1 : marks_.marks.back().number + 1;
  const bool written =
      write_wal_mark(repository_, listing_.place, next, united(marked, unused), stop_);
  fault_point("expire.wal_marked");
  return written;
}

// A later mark has everything that an earlier one has.
void HistoryWalRemoval::forget_marks_before(const WalMarkName& due, RemovedObjects& counts) {
  ObjectRemover remover(repository_.store(), counts, stop_);
  for (const WalMarkName& mark : marks_.marks) {
    if (mark.number < due.number) {
      remover.add({.name = names::wal_mark(listing_.place, mark.number)});
    }
  }
  remover.flush();
}

// The newest mark that may be acted on.
std::optional<WalMarkName> due_mark(const Repository& repository, const WalRemovalInput& input,
                                    const HistoryMarks& marks, const std::stop_token& stop) {
  std::optional<Timestamp> oldest_begin;
  for (const BackupFolder& folder : input.survey.folders) {
    if (folder.state != FolderState::kUnfinished) continue;
    if (std::ranges::find(input.lost, folder.name) != input.lost.end()) continue;
    const auto begin = repository.store().head(names::begin(folder.name), stop);
    const Timestamp began = begin ? begin->modified : Timestamp{};
    oldest_begin = std::min(oldest_begin.value_or(began), began);
  }
  for (auto mark = marks.marks.rbegin(); mark != marks.marks.rend(); ++mark) {
    if (mark->written + input.grace > input.survey.now) continue;
    if (oldest_begin && *oldest_begin <= mark->written) continue;
    return *mark;
  }
  return std::nullopt;
}

void work_on(const Repository& repository, const WalRemovalInput& input, const WalListing& listing,
             const SegmentRanges& needed, ActOnWal act, WalPlanned& planned, RemovedObjects& counts,
             const std::stop_token& stop) {
  const auto marks = std::ranges::find_if(input.marks, [&](const HistoryMarks& of) {
    return of.place.history == listing.place.history;
  });
  if (marks == input.marks.end()) return;  // a history that was opened meanwhile
  HistoryWalRemoval removal(repository, listing, *marks, stop);
  const SegmentRanges unused = removal.unused(needed);
  const auto due = due_mark(repository, input, *marks, stop);
  std::optional<SegmentRanges> going;
  try {
    if (due) going = removal.going(unused, *due);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    planned.kept_because = error.message();
  }
  const std::uint64_t removed = going ? count_stored(listing, *going) : 0;
  planned.removed_segments += removed;
  planned.marked_segments += count_stored(listing, unused) - removed;
  if (act == ActOnWal::kNo) return;
  if (going) removal.remove(*going, due->written, counts);
  removal.mark(unused);
  if (going) removal.forget_marks_before(*due, counts);
}

}  // namespace

std::vector<HistoryMarks> list_marks(const Repository& repository, const ExpireSurvey& survey,
                                     const std::stop_token& stop) {
  std::vector<HistoryMarks> all;
  for (const HistoryName& history : survey.histories) {
    const WalPlace place{survey.cluster, history};
    all.push_back({place, list_wal_marks(repository, place, stop)});
  }
  return all;
}

WalPlanned remove_wal(const Repository& repository, const WalRemovalInput& input, ActOnWal act,
                      RemovedObjects& counts, const std::stop_token& stop) {
  WalPlanned planned{.kept_because = input.plan.wal_kept_because};
  if (!planned.kept_because.empty()) return planned;
  const auto needs = wal_need(input.archive.histories, input.kept, input.plan.reaches);
  for (const WalListing& listing : input.archive.listings) {
    const auto need = std::ranges::find(needs, listing.place.history, &HistoryNeed::history);
    const bool whole = std::ranges::find(input.plan.needed_whole, listing.place.history) !=
                       input.plan.needed_whole.end();
    if (need == needs.end() || whole) continue;
    try {
      work_on(repository, input, listing, need->needed, act, planned, counts, stop);
    } catch (const Error& error) {
      if (!condemns_one_object(error.kind())) throw;
      planned.kept_because =
          fmt::format("history {}: {}", to_string(listing.place.history), error.message());
    }
  }
  return planned;
}

}  // namespace holdfast
