#include "repository/wal_summaries.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/catalogue.h"
#include "repository/wal_border.h"
#include "repository/wal_object.h"

namespace holdfast {
namespace {

// Fewer heads are read one by one: there may be no roll-up.
constexpr std::uint64_t kWorthARollUp = 8;

// `read()`, or nothing where one object is unusable.
template <class Read>
auto unless_damaged(Read read) -> decltype(read()) {
  try {
    return read();
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind()) && error.kind() != ErrorKind::kNotFound) throw;
    return {};
  }
}

}  // namespace

std::vector<SummaryReader::Part> SummaryReader::parts_of(SegmentRange range) const {
  std::vector<Part> parts;
  for (const WalPath::Source& source : path_.sources) {
    const std::uint64_t last = std::min(source.segments.last, range.last);
    for (std::uint64_t n = std::max(source.segments.first, range.first); n <= last;) {
      const std::uint64_t end = std::min(last, rollup_group(n, path_.segment_size()).last);
      parts.push_back({{n, end},
                       {source.timeline, n},
                       {path_.line.cluster, path_.line.steps[source.step].history}});
      n = end + 1;
    }
  }
  return parts;
}

bool SummaryReader::read_rolled_up(const Part& part, SegmentRange range,
                                   std::vector<SegmentFacts>& facts,
                                   const std::stop_token& stop) const {
  if (part.segments.count() < kWorthARollUp) return false;
  auto rollup = unless_damaged(
      [&] { return read_rollup(repository_, part.place, part.first, path_.segment_size(), stop); });
  if (!rollup) return false;
  for (std::uint64_t n = part.segments.first; n <= part.segments.last; ++n) {
    facts[n - range.first] = std::move(rollup->segments[n - rollup->first].facts);
  }
  return true;
}

std::vector<SegmentFacts> SummaryReader::read(SegmentRange range,
                                              const std::stop_token& stop) const {
  HF_INVARIANT(range.first <= range.last && range.count() <= kSummaryBatch);
  const std::size_t threads = repository_.store().capabilities().parallel_requests;
  std::vector<SegmentFacts> facts(range.count());
  const std::vector<Part> parts = parts_of(range);
  std::vector<char> done(parts.size());
  parallel_for(parts.size(), threads, stop, [&](std::size_t i, const std::stop_token& inner) {
    done[i] = read_rolled_up(parts[i], range, facts, inner) ? 1 : 0;
  });
  std::vector<SegmentName> single;
  std::vector<const WalPlace*> places;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (done[i] != 0) continue;
    for (std::uint64_t n = parts[i].segments.first; n <= parts[i].segments.last; ++n) {
      single.push_back({parts[i].first.timeline, n});
      places.push_back(&parts[i].place);
    }
  }
  parallel_for(single.size(), threads, stop, [&](std::size_t i, const std::stop_token& inner) {
    const std::string object = names::wal_segment(*places[i], single[i], path_.segment_size());
    auto head = unless_damaged([&] { return read_wal_head(repository_, object, inner); });
    if (head) facts[single[i].number - range.first].summary = std::move(head->summary);
  });
  return facts;
}

std::optional<SegmentIndex> SummaryReader::read_index(std::uint64_t number,
                                                      const std::stop_token& stop) const {
  const auto stored = find_segment(path_, number);
  if (!stored) return std::nullopt;
  return unless_damaged([&] { return read_wal_index(repository_, stored->object, stop); });
}

std::optional<JoinedIndex> SummaryReader::read_joined(std::uint64_t number,
                                                      const std::stop_token& stop) const {
  auto index = read_index(number, stop);
  if (!index) return std::nullopt;
  JoinedIndex joined{std::move(*index), false};
  WalBorders borders;
  const bool joinable = number > 0 && find_segment(path_, number - 1).has_value();
  if (joinable) {
    if (const auto before = read_index(number - 1, stop)) borders.add(*before);
  }
  const WalBorder border = borders.add(joined.index);
  const bool crossed = border.record.summary.coverage != WalCoverage::kNoSegment;
  if (crossed) add_border_record(joined.index, border.record);
  const bool proven =
      border.state == WalBorder::State::kProven || border.state == WalBorder::State::kOpen;
  joined.complete = (proven || !joinable) && knows_transactions(joined.index.summary);
  return joined;
}

}  // namespace holdfast
