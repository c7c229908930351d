// A WAL segment: no record that its CRC does not vouch for, an index that is encoded and decoded to
// the same, and borders that put up with anything.

#include <algorithm>

#include "../../support/wal_maker.h"
#include "core/error.h"
#include "fuzz_target.h"
#include "repository/wal_border.h"

namespace holdfast::fuzz {
namespace {

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kNumber = 5;
constexpr Lsn kStart{kNumber << 20U};

void check_records(ByteView segment, SegmentName name) {
  WalReader reader(in_memory(segment), name, kSize);
  Lsn before;
  while (const WalRecord* const record = reader.next()) {
    HF_INVARIANT(record->start > before && record->end > record->start);
    HF_INVARIANT(record->end.value <= kStart.value + kSize.bytes);
    before = record->start;
    const std::uint64_t offset = record->start.value - kStart.value;
    const bool in_one_page = offset % kWalPageBytes + record->length <= kWalPageBytes;
    if (in_one_page && offset + record->length <= segment.size()) {
      HF_INVARIANT(has_valid_wal_crc(segment.subspan(offset, record->length)));
    }
  }
  HF_INVARIANT(reader.end() != WalEnd::kOpen);
  HF_INVARIANT(reader.head().bytes.size() <= kMaxWalPieceBytes);
  HF_INVARIANT(reader.tail().bytes.size() <= kMaxWalPieceBytes);
}

void run(ByteView input) {
  const ByteView segment = input.first(std::min<std::size_t>(input.size(), kSize.bytes));
  const SegmentName name{{2}, kNumber};
  check_records(segment, name);
  const SegmentIndex index = index_segment(in_memory(segment), name, kSize);
  HF_INVARIANT(decode_index(encode_index(index)) == index);
  WalBorders borders;
  borders.add(index);
  SegmentIndex next = index;
  next.summary.segment_start.value += kSize.bytes;
  const WalBorder border = borders.add(next);
  add_border_record(next, border.record);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const int version : {13, 15, 18}) {
    test::WalMaker maker(version, kSize, kStart);
    maker.set_previous({kStart.value - 64});
    for (const std::uint64_t length : {32U, 64U, 280U}) maker.add_filler(length);
    maker.add({.body = test::RecordBody().main(Bytes(20'000)).take()});
    maker.add_filler(40);
    all.push_back(maker.written(kNumber));
    maker.add({.body = test::RecordBody().main(Bytes(20'000)).take()});
    maker.break_last_record_off({(maker.position().value / kWalPageBytes) * kWalPageBytes});
    maker.add_switch();
    all.push_back(maker.written(kNumber));
  }
  // Goes on with a record of the segment before.
  test::WalMaker maker(16, kSize, {kStart.value - kSize.bytes}, {2});
  maker.set_previous({kStart.value - kSize.bytes - 64});
  maker.fill_segment_up_to(64);
  maker.add({.body = test::RecordBody().main(Bytes(9'000)).take()});
  maker.add_filler(64);
  all.push_back(maker.written(kNumber));
  return all;
}

HOLDFAST_FUZZ_TARGET(wal_segment, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
