#include "repository/wal_listing.h"

#include <algorithm>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/wal_object.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

// Somewhat less than a page of a listing, because other objects lie between the segments.
constexpr std::uint64_t kNamesPerRange = 960;
constexpr std::size_t kLogNameDigits = 8, kSegmentNameDigits = 24;

struct SegmentSpan {
  std::uint64_t begin = 0, end = 0;  // numbers; `end` is not included
};

// The names behind `after` and before `end` (empty: to the end of the timeline).
struct NameRange {
  std::size_t timeline = 0;  // index
  std::string prefix, after, end;
  std::vector<WalRun> runs = {};
};

void add(std::vector<WalRun>& runs, const WalRun& next) {
  if (!runs.empty() && runs.back().last + 1 == next.first) {
    runs.back().last = next.last;
    runs.back().last_bytes = next.last_bytes;
    return;
  }
  if (runs.size() == kMaxWalRuns) {
    throw Error(ErrorKind::kRefused, fmt::format("the archive has more than {} gaps", kMaxWalRuns),
                {.hint = "Is this folder or bucket really an archive of Holdfast?"});
  }
  runs.push_back(next);
}

// "<prefix><log>/<segment>" and nothing else.
std::optional<SegmentName> segment_at(const NameRange& range, const std::string& name,
                                      TimelineId timeline, WalSegmentSize size) {
  if (name.size() != range.prefix.size() + kLogNameDigits + 1 + kSegmentNameDigits)
    return std::nullopt;
  const auto segment = names::parse_wal_segment(name, size);
  if (!segment || segment->timeline != timeline) return std::nullopt;
  if (name.compare(range.prefix.size(), kLogNameDigits, name, name.size() - 16, kLogNameDigits) !=
      0) {
    return std::nullopt;
  }
  return segment;
}

void list_range(const Repository& repository, NameRange& range, TimelineId timeline,
                WalSegmentSize size, const std::stop_token& stop) {
  ListRequest request{.prefix = range.prefix, .after = range.after};
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const ObjectInfo& object : page.objects) {
      if (!range.end.empty() && object.name > range.end) return;
      if (object.name <= range.after) continue;
      if (const auto segment = segment_at(range, object.name, timeline, size)) {
        add(range.runs, {segment->number, segment->number, object.size, object.size});
      }
    }
    if (!page.next) return;
    request.after = *page.next;
  }
}

struct Folders {
  std::vector<std::string> logs;  // "0000000A", ascending
  bool has_history_file = false;
};

Folders list_folders(const Repository& repository, const WalPlace& place, TimelineId timeline,
                     const std::stop_token& stop) {
  Folders found;
  ListRequest request{.prefix = names::wal_timeline_prefix(place, timeline), .group_folders = true};
  const std::string history = names::timeline_history(place, timeline);
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const std::string& folder : page.folders) {
      const std::string log = folder.substr(request.prefix.size(), kLogNameDigits);
      // A log is spelled as a timeline is, but may be zero.
      const bool hex = log.find_first_not_of("0123456789ABCDEF") == std::string::npos;
      if (hex && folder.size() == request.prefix.size() + kLogNameDigits + 1)
        found.logs.push_back(log);
    }
    found.has_history_file |= std::ranges::any_of(
        page.objects, [&](const auto& object) { return object.name == history; });
    if (!page.next) return found;
    request.after = *page.next;
  }
}

// Logs that follow each other, as segment numbers.
std::vector<SegmentSpan> spans_of(const std::vector<std::string>& logs, WalSegmentSize size) {
  const std::uint64_t per_log = (std::uint64_t{1} << 32U) / size.bytes;
  std::vector<SegmentSpan> spans;
  for (const std::string& log : logs) {
    const std::uint64_t first = std::stoull(log, nullptr, 16) * per_log;
    if (spans.empty() || spans.back().end != first) spans.push_back({first, first});
    spans.back().end += per_log;
  }
  return spans;
}

// The name behind which the names of a segment, and of all later ones, lie.
std::string name_before(const WalPlace& place, SegmentName segment, WalSegmentSize size) {
  const std::string name = names::wal_segment(place, segment, size);
  const std::uint64_t per_log = (std::uint64_t{1} << 32U) / size.bytes;
  if (segment.number % per_log == 0) return name.substr(0, name.rfind('/') + 1);
  // '~' is behind everything that a segment's name goes on with.
  return names::wal_segment(place, {segment.timeline, segment.number - 1}, size) + "~";
}

// Cuts a timeline's names into ranges of about a page.
std::vector<NameRange> cut(const WalPlace& place, TimelineId timeline, WalSegmentSize size,
                           const std::vector<std::string>& logs) {
  const std::uint64_t names_each = 1 + wal_part_count(size.bytes);
  const std::uint64_t segments = kNamesPerRange / names_each;
  std::vector<NameRange> ranges;
  for (const SegmentSpan& span : spans_of(logs, size)) {
    for (std::uint64_t n = span.begin; n < span.end; n += segments) {
      std::string after = name_before(place, {timeline, n}, size);
      if (!ranges.empty()) ranges.back().end = after;
      ranges.push_back({.prefix = names::wal_timeline_prefix(place, timeline),
                        .after = std::move(after),
                        .end = {}});
    }
  }
  return ranges;
}

}  // namespace

std::uint64_t TimelineListing::segments() const {
  std::uint64_t count = 0;
  for (const WalRun& run : runs) count += run.last - run.first + 1;
  return count;
}

WalListing list_wal(const Repository& repository, const WalPlace& place,
                    WalSegmentSize segment_size, const std::stop_token& stop) {
  WalListing listing{.place = place, .segment_size = segment_size, .timelines = {}};
  for (const TimelineId timeline : list_timelines(repository, place, stop)) {
    listing.timelines.push_back({.timeline = timeline, .runs = {}});
  }
  const std::size_t threads = repository.store().capabilities().parallel_requests;
  std::vector<std::vector<NameRange>> of_timeline(listing.timelines.size());
  parallel_for(of_timeline.size(), threads, stop, [&](std::size_t i, const std::stop_token& inner) {
    const TimelineId timeline = listing.timelines[i].timeline;
    const Folders folders = list_folders(repository, place, timeline, inner);
    listing.timelines[i].has_history_file = folders.has_history_file;
    of_timeline[i] = cut(place, timeline, segment_size, folders.logs);
    for (NameRange& range : of_timeline[i]) range.timeline = i;
  });
  std::vector<NameRange> ranges;
  for (auto& some : of_timeline) std::ranges::move(some, std::back_inserter(ranges));
  parallel_for(ranges.size(), threads, stop, [&](std::size_t i, const std::stop_token& inner) {
    list_range(repository, ranges[i], listing.timelines[ranges[i].timeline].timeline, segment_size,
               inner);
  });
  for (NameRange& range : ranges) {
    for (const WalRun& run : range.runs) add(listing.timelines[range.timeline].runs, run);
    range.runs = {};
  }
  return listing;
}

const TimelineListing* find_timeline(const WalListing& listing, TimelineId timeline) {
  const auto found = std::ranges::find(listing.timelines, timeline, &TimelineListing::timeline);
  return found == listing.timelines.end() ? nullptr : &*found;
}

}  // namespace holdfast
