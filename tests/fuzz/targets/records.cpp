// The JSON of the records about backups and WAL: tombstones, holds, marks, proofs, drops.
// The first byte of the input says which.

#include "core/error.h"
#include "fuzz_target.h"
#include "repository/dropped_wal.h"
#include "repository/proof.h"
#include "repository/record_json.h"
#include "repository/wal_mark.h"

namespace holdfast::fuzz {
namespace {

const BackupName kBackup{"demo", {1, 77}, {"20260101T000000Z-0001"}};
const std::string kMark = names::wal_mark({kBackup.cluster, kBackup.history}, 1);
enum Kind : std::uint8_t { kMarked, kDecided, kHeld, kWalGoing, kProof, kDropped };

void check_ranges(const SegmentRanges& ranges) {
  HF_INVARIANT(joined(ranges) == ranges);
  HF_INVARIANT(!intersects(ranges, {kSegmentNumberMax + 1, kSegmentNumberMax + 1}));
}

void run(ByteView input) {
  if (input.empty()) return;
  const ByteView json = input.subspan(1);
  switch (static_cast<std::uint8_t>(input[0])) {
    case kMarked:
      HF_INVARIANT(parse_tombstone(json, kBackup, 1).state == TombstoneState::kMarked);
      break;
    case kDecided:
      HF_INVARIANT(parse_tombstone(json, kBackup, 2).state != TombstoneState::kMarked);
      break;
    case kHeld: {
      const Hold hold = parse_hold(json, kBackup, 1);
      HF_INVARIANT(hold.held == hold.until.has_value());
      text_of(hold);
      break;
    }
    case kWalGoing:
      check_ranges(parse_wal_mark(json, kMark));
      break;
    case kProof:
      parse_proof_record(json, "proof");
      break;
    case kDropped:
      describe(parse_dropped_wal(json, "dropped"));
      break;
    default:
      break;
  }
}

Bytes seed(Kind kind, std::string_view json) {
  Bytes bytes{static_cast<std::byte>(kind)};
  bytes.insert(bytes.end(), as_bytes(json).begin(), as_bytes(json).end());
  return bytes;
}

std::string about(std::string_view object, std::string_view rest) {
  return fmt::format(R"({{"object":"{}","time":"2026-01-01T00:00:00Z","by":"x",{}}})", object,
                     rest);
}

std::vector<Bytes> seeds() {
  const auto tombstone = [](std::uint32_t number, std::string_view state) {
    return about(names::series_record(kBackup, names::SeriesKind::kTombstone, number),
                 fmt::format(R"("state":"{}","by_policy":true,"reason":"r")", state));
  };
  const auto hold = [](std::string_view rest) {
    return about(names::series_record(kBackup, names::SeriesKind::kHold, 1), rest);
  };
  return {
      seed(kMarked, tombstone(1, "marked")),
      seed(kDecided, tombstone(2, "withdrawn")),
      seed(kDecided, tombstone(2, "deleting")),
      seed(kHeld, hold(R"("held":true,"until":"2027-01-01T00:00:00Z","reason":"audit")")),
      seed(kHeld, hold(R"("held":false,"reason":"released")")),
      seed(kWalGoing, about(kMark, R"("segments":[[1,4],[6,6],[3,9]])")),
      seed(kProof, R"({"object":"proof","number":1,"time":"2026-01-01T00:00:00Z","mode":"full",)"
                   R"("ok":true,"objects":1,"bytes":2,"damaged_objects":1,"damaged":["a"],)"
                   R"("duration_seconds":0.5,"host":"h","holdfast_version":"1"})"),
      seed(kDropped, about("dropped", R"("first":"000000010000000A000000FF","segments":1,)"
                                      R"("last":"000000010000000A000000FF","from":"","to":"",)"
                                      R"("host":"h","reason":"r")")),
  };
}

HOLDFAST_FUZZ_TARGET(records, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
