// Roll-ups of WAL segments: what decodes is encoded again to what decodes to the same.

#include "repository/wal_rollup.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

constexpr WalSegmentSize kSize{1U << 30U};  // three segments in the first group
const std::string kObject = "demo/0001-77/rollup/00000001/00000000-0001";

void run(ByteView input) {
  const WalRollUp rollup = decode_rollup(input, kObject, kSize);
  const WalRollUp again = decode_rollup(encode_rollup(kObject, kSize, rollup), kObject, kSize);
  HF_INVARIANT(again.first == rollup.first && again.segments.size() == rollup.segments.size());
  for (std::size_t i = 0; i < rollup.segments.size(); ++i) {
    HF_INVARIANT(again.segments[i].content == rollup.segments[i].content);
    HF_INVARIANT(again.segments[i].facts.joined == rollup.segments[i].facts.joined);
    HF_INVARIANT(again.segments[i].facts.summary == rollup.segments[i].facts.summary);
  }
}

std::vector<Bytes> seeds() {
  WalRollUp rollup{.first = 1, .segments = {}};
  for (std::uint64_t number = 1; number <= 3; ++number) {
    SegmentSummary summary;
    summary.segment_start = {number * kSize.bytes};
    summary.segment_size = kSize;
    summary.restore_points.push_back({"point", Timestamp{}, {300}, {400}});
    rollup.segments.push_back({{}, {summary, number != 1}});
  }
  rollup.segments[1].facts = {};
  return {encode_rollup(kObject, kSize, rollup)};
}

HOLDFAST_FUZZ_TARGET(wal_rollup, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
