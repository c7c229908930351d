#pragma once
// Sets of WAL segment numbers as ascending, disjoint ranges with at least one number between two of
// them, so that a million segments cost as much as their gaps.
// Guarantees: pure functions; every result is normal in this sense. Threads: any.

#include <cstdint>
#include <limits>
#include <vector>

#include "repository/wal_path.h"

namespace holdfast {

using SegmentRanges = std::vector<SegmentRange>;

// Larger than any segment number that exists.
inline constexpr std::uint64_t kSegmentNumberMax = std::uint64_t{1} << 62U;
inline constexpr SegmentRange kAllSegments{0, kSegmentNumberMax};

// From ranges in any order that may overlap; those with last < first are empty.
SegmentRanges joined(SegmentRanges ranges);
SegmentRanges united(const SegmentRanges& a, const SegmentRanges& b);
SegmentRanges intersected(const SegmentRanges& a, const SegmentRanges& b);
// Of kAllSegments, what is not in `ranges`.
SegmentRanges complement(const SegmentRanges& ranges);
bool contains(const SegmentRanges& ranges, std::uint64_t number);
bool intersects(const SegmentRanges& ranges, SegmentRange range);

}  // namespace holdfast
