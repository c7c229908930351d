// Records with a right CRC and any content, which is where the parsers behind the CRC begin. The
// input: a version, then records of resource manager, info, length of the body, body.

#include "../../support/wal_maker.h"
#include "core/error.h"
#include "fuzz_target.h"
#include "repository/wal_index.h"

namespace holdfast::fuzz {
namespace {

constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kNumber = 5;
constexpr std::size_t kMaxRecords = 64;
constexpr std::size_t kMaxBodyBytes = 12'000;

void run(ByteView input) {
  Decoder in(input);
  test::WalMaker maker(13 + in.u8() % 6, kSize, {kNumber << 20U});
  maker.set_previous({(kNumber << 20U) - 64});
  std::size_t records = 0;
  for (; !in.done() && records < kMaxRecords; ++records) {
    test::MadeRecord record;
    record.manager = in.u8();
    record.info = in.u8();
    record.xid = in.u8();
    const std::size_t length = in.u16();
    record.body = to_bytes(in.raw(std::min({length, in.left(), kMaxBodyBytes})));
    maker.add(record);
  }
  maker.add_switch();
  const SegmentIndex index =
      index_segment(in_memory(maker.written(kNumber)), maker.name(kNumber), kSize);
  HF_INVARIANT(index.summary.coverage < WalCoverage::kEndsEarly);  // the framing is always right
  HF_INVARIANT(decode_index(encode_index(index)) == index);
}

void put(Encoder& out, std::uint8_t manager, std::uint8_t info, const Bytes& body) {
  out.u8(manager);
  out.u8(info);
  out.u8(70);
  out.u16(static_cast<std::uint16_t>(body.size()));
  out.raw(body);
}

Bytes main_of(std::initializer_list<std::uint32_t> numbers) {
  Encoder data;
  for (const std::uint32_t number : numbers) data.u32(number);
  return test::RecordBody().main(data.view()).take();
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (std::uint8_t version = 0; version < 6; ++version) {
    Encoder out;
    out.u8(version);
    put(out, 10, 0,
        test::RecordBody().block(0, 1663, 5, 16'384, 0, 7).block(1, 1, 2, 3, 2, 4).take());
    put(out, 1, 0x00, main_of({1, 2}));
    put(out, 1, 0x80, main_of({1, 2, 6, 2, 71, 72, 1, 1663, 5, 16'384}));
    put(out, 1, 0xB0, main_of({1, 2, 0x1D, 5, 1663, 1, 1663, 5, 16'384, 1, 0, 0, 0, 0, 69}));
    put(out, 2, 0x11, main_of({1663, 5, 16'384, 0}));
    put(out, 2, 0x21, main_of({9, 1663, 5, 16'384, 7}));
    put(out, 4, 0x01, main_of({5, 1663, 4, 1663}));
    put(out, 4, version < 2 ? 0x11 : 0x21, main_of({5, 2, 1663, 1700}));
    put(out, 5, 0x00, main_of({1700, 0x7072732F, 0}));
    put(out, 7, 0x00, main_of({5, 1663, 0}));
    put(out, 0, 0x00, main_of({0, 0, 1, 1, 1, 1, 0, 0}));
    put(out, 0, 0x60, main_of({1, 2, 3, 4, 5, 0, 0}));
    put(out, 0, 0x70, main_of({1, 2, 0x7072732F, 0}));
    put(out, 0, 0x90, main_of({1, 2, 2, 1, 1}));
    all.push_back(out.take());
  }
  return all;
}

HOLDFAST_FUZZ_TARGET(wal_records, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
