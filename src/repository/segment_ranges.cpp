#include "repository/segment_ranges.h"

#include <algorithm>

namespace holdfast {

SegmentRanges joined(SegmentRanges ranges) {
  std::erase_if(ranges, [](const SegmentRange& range) { return range.last < range.first; });
  std::ranges::sort(ranges, {}, &SegmentRange::first);
  SegmentRanges result;
  for (const SegmentRange& range : ranges) {
    if (!result.empty() && range.first <= result.back().last + 1) {
      result.back().last = std::max(result.back().last, range.last);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

SegmentRanges united(const SegmentRanges& a, const SegmentRanges& b) {
  SegmentRanges both = a;
  both.insert(both.end(), b.begin(), b.end());
  return joined(std::move(both));
}

SegmentRanges complement(const SegmentRanges& ranges) {
  SegmentRanges result;
  std::uint64_t next = kAllSegments.first;
  for (const SegmentRange& range : ranges) {
    if (range.first > next) result.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kAllSegments.last) result.push_back({next, kAllSegments.last});
  return result;
}

SegmentRanges intersected(const SegmentRanges& a, const SegmentRanges& b) {
  SegmentRanges result;
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() && right != b.end()) {
    const SegmentRange both{std::max(left->first, right->first), std::min(left->last, right->last)};
    if (both.first <= both.last) result.push_back(both);
    if (left->last < right->last) {
      ++left;
    } else {
      ++right;
    }
  }
  return result;
}

bool contains(const SegmentRanges& ranges, std::uint64_t number) {
  return intersects(ranges, {number, number});
}

bool intersects(const SegmentRanges& ranges, SegmentRange range) {
  const auto found = std::ranges::lower_bound(ranges, range.first, {}, &SegmentRange::last);
  return found != ranges.end() && found->first <= range.last;
}

}  // namespace holdfast
