#include "repository/wal_path.h"

#include <algorithm>
#include <limits>

namespace holdfast {
namespace {

using Source = WalPath::Source;
constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max();

struct Piece {
  TimelineId timeline;
  SegmentRange segments;
};

std::uint64_t number_of(Lsn lsn, WalSegmentSize size) {
  return lsn.value / size.bytes;
}

// Which timeline's segments the path takes, by number.
std::vector<Piece> pieces_of(const TimelineHistory& timelines, WalSegmentSize size) {
  std::vector<Piece> pieces;
  for (const TimelineRange& range : ancestry(timelines)) {
    if (range.empty()) continue;
    const std::uint64_t first = number_of(range.begin, size);
    // The newer timeline has the segment in which it begins.
    while (!pieces.empty() && pieces.back().segments.first >= first) pieces.pop_back();
    if (!pieces.empty()) pieces.back().segments.last = first - 1;
    pieces.push_back({range.timeline, {first, kNoEnd}});
  }
  return pieces;
}

// Numbers of segments that begin before the fork at which a history left this one.
std::uint64_t last_of_step(const LineStep& step, WalSegmentSize size) {
  if (!step.until) return kNoEnd;
  const std::uint64_t begun = (step.until->lsn.value + size.bytes - 1) / size.bytes;
  return begun == 0 ? 0 : begun - 1;
}

bool begins_before(const Source& a, const Source& b) {
  return a.segments.first < b.segments.first;
}

// Appends the parts of `next` that no source before `taken` in `sources` has.
void add_uncovered(std::vector<Source>& sources, std::size_t taken, Source next) {
  const auto end = sources.begin() + static_cast<std::ptrdiff_t>(taken);
  auto at = std::ranges::lower_bound(sources.begin(), end, next.segments.first, {},
                                     [](const Source& source) { return source.segments.last; });
  std::vector<Source> parts;
  std::uint64_t from = next.segments.first;
  for (; at != end && at->segments.first <= next.segments.last; ++at) {
    if (at->segments.first > from) {
      parts.push_back({{from, at->segments.first - 1}, next.timeline, next.step});
    }
    from = at->segments.last + 1;
  }
  if (from <= next.segments.last) {
    parts.push_back({{from, next.segments.last}, next.timeline, next.step});
  }
  sources.insert(sources.end(), parts.begin(), parts.end());
}

std::vector<Source> sources_of(const WalLine& line, const std::vector<Piece>& pieces,
                               const std::vector<const WalListing*>& listings) {
  std::vector<Source> sources;
  for (std::size_t step = 0; step < listings.size(); ++step) {
    const std::size_t taken = sources.size();
    const std::uint64_t end = last_of_step(line.steps[step], line.segment_size);
    for (const Piece& piece : pieces) {
      const TimelineListing* stored = find_timeline(*listings[step], piece.timeline);
      if (stored == nullptr || !line.steps[step].has_timeline(piece.timeline)) continue;
      for (const WalRun& run : stored->runs) {
        const SegmentRange part{std::max(run.first, piece.segments.first),
                                std::min({run.last, piece.segments.last, end})};
        if (part.first <= part.last) add_uncovered(sources, taken, {part, piece.timeline, step});
      }
    }
    const auto middle = sources.begin() + static_cast<std::ptrdiff_t>(taken);
    std::sort(middle, sources.end(), begins_before);
    std::inplace_merge(sources.begin(), middle, sources.end(), begins_before);
  }
  return sources;
}

}  // namespace

WalPath make_wal_path(WalLine line, TimelineHistory timelines,
                      const std::vector<const WalListing*>& listings) {
  WalPath path{
      .line = std::move(line), .timelines = std::move(timelines), .sources = {}, .runs = {}};
  path.sources = sources_of(path.line, pieces_of(path.timelines, path.segment_size()), listings);
  for (const Source& source : path.sources) {
    if (!path.runs.empty() && path.runs.back().last + 1 == source.segments.first) {
      path.runs.back().last = source.segments.last;
    } else {
      path.runs.push_back(source.segments);
    }
  }
  return path;
}

const SegmentRange* find_run(const WalPath& path, std::uint64_t number) {
  const auto found = std::ranges::lower_bound(path.runs, number, {}, &SegmentRange::last);
  return found != path.runs.end() && found->has(number) ? &*found : nullptr;
}

std::optional<StoredSegment> find_segment(const WalPath& path, std::uint64_t number) {
  const auto found = std::ranges::lower_bound(
      path.sources, number, {}, [](const Source& source) { return source.segments.last; });
  if (found == path.sources.end() || !found->segments.has(number)) return std::nullopt;
  const WalPlace place{path.line.cluster, path.line.steps[found->step].history};
  const SegmentName segment{found->timeline, number};
  return StoredSegment{place, segment, names::wal_segment(place, segment, path.segment_size())};
}

TimelineId timeline_of_segment(const WalPath& path, std::uint64_t number) {
  const auto pieces = pieces_of(path.timelines, path.segment_size());
  for (const Piece& piece : pieces) {
    if (piece.segments.has(number)) return piece.timeline;
  }
  return path.timelines.timeline;
}

std::vector<SegmentRange> missing_segments(const WalPath& path, SegmentRange within,
                                           std::size_t limit) {
  std::vector<SegmentRange> missing;
  std::uint64_t from = within.first;
  auto run = std::ranges::lower_bound(path.runs, within.first, {}, &SegmentRange::last);
  for (; run != path.runs.end() && run->first <= within.last; ++run) {
    if (missing.size() == limit) return missing;
    if (run->first > from) missing.push_back({from, run->first - 1});
    from = run->last + 1;
  }
  if (from <= within.last && missing.size() < limit) missing.push_back({from, within.last});
  return missing;
}

std::uint64_t count_missing(const WalPath& path, SegmentRange within) {
  if (within.first > within.last) return 0;
  std::uint64_t stored = 0;
  auto run = std::ranges::lower_bound(path.runs, within.first, {}, &SegmentRange::last);
  for (; run != path.runs.end() && run->first <= within.last; ++run) {
    stored += std::min(run->last, within.last) - std::max(run->first, within.first) + 1;
  }
  return within.count() - stored;
}

}  // namespace holdfast
