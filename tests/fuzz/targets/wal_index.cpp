// Encoded indexes of WAL segments: what decodes is encoded again to what decodes to the same.

#include "repository/wal_index.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  const SegmentIndex index = decode_index(input);
  HF_INVARIANT(decode_index(encode_index(index)) == index);
  may_have_finished(index.summary, 7);
}

std::vector<Bytes> seeds() {
  SegmentIndex index;
  SegmentSummary& summary = index.summary;
  summary.segment_start = {5U << 20U};
  summary.first_record = {(5U << 20U) + 40};
  summary.finished_count = 2;
  summary.first_finished = summary.last_finished = CommitPoint{Timestamp{}, {100}, {200}};
  summary.restore_points.push_back({"point", Timestamp{}, {300}, {400}});
  summary.checkpoints.push_back({{1}, {2}, {3}, {4}, {5}, WalCheckpoint::Kind::kShutdown, true});
  summary.recovery_ends.push_back({{1}, {2}, Timestamp{}, {4}, {5}});
  summary.minimal_wal.push_back({7});
  summary.tablespaces.push_back({8});
  index.borders.head = to_bytes(as_bytes("head"));
  index.borders.head_size = 4;
  index.transactions = {{.xid = 7, .start = {5}, .end = {9}},
                        {.xid = 8, .start = {9}, .end = {12}}};
  index.blocks = {{{1663, 5, 16'384}, 0, {{0, 3}, {9, 1}}}, {{1663, 5, 16'385}, 2, {{1, 1}}}};
  index.file_events.resize(2);
  index.file_events[1].kind = WalFileEvent::Kind::kTablespaceCreated;
  index.file_events[1].path = "/srv";
  return {encode_index(index), encode_index({})};
}

HOLDFAST_FUZZ_TARGET(wal_index, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
