// Decoder: a program of reads (first bytes) over data (the rest).

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void read_varint(Decoder& decoder) {
  const std::size_t before = decoder.left();
  const std::uint64_t value = decoder.varint();
  Encoder encoder;
  encoder.varint(value);
  HF_INVARIANT(encoder.size() <= before - decoder.left());  // the input may be longer than need be
  HF_INVARIANT(Decoder(encoder.view()).varint() == value);
}

void read_signed(Decoder& decoder) {
  const std::int64_t value = decoder.signed_varint();
  Encoder encoder;
  encoder.signed_varint(value);
  HF_INVARIANT(Decoder(encoder.view()).signed_varint() == value);
}

void read_count(Decoder& decoder, std::size_t bytes_each) {
  const std::size_t count = decoder.count(bytes_each);
  HF_INVARIANT(count <= decoder.left() / bytes_each);
}

void read(Decoder& decoder, unsigned operation) {
  switch (operation % 9) {
    case 0:
      decoder.u8();
      break;
    case 1:
      decoder.u16();
      break;
    case 2:
      decoder.u32();
      break;
    case 3:
      decoder.u64();
      break;
    case 4:
      read_varint(decoder);
      break;
    case 5:
      read_signed(decoder);
      break;
    case 6:
      HF_INVARIANT(decoder.raw(operation / 9).size() == operation / 9);
      break;
    case 7:
      HF_INVARIANT(to_hex(as_bytes(decoder.text())).size() % 2 == 0);  // touches every byte
      break;
    default:
      read_count(decoder, 1 + operation / 9);
  }
}

void run(ByteView input) {
  if (input.empty()) return;
  const std::size_t operations =
      std::min<std::size_t>(std::to_integer<std::size_t>(input[0]) % 32, input.size() - 1);
  Decoder decoder(input.subspan(1 + operations));
  for (const std::byte operation : input.subspan(1, operations)) {
    const std::size_t before = decoder.left();
    read(decoder, std::to_integer<unsigned>(operation));
    HF_INVARIANT(decoder.left() <= before);
    HF_INVARIANT(decoder.done() == (decoder.left() == 0));
  }
}

std::vector<Bytes> seeds() {
  Encoder encoder;
  encoder.u8(9);
  for (std::uint8_t operation = 0; operation < 9; ++operation) encoder.u8(operation);
  encoder.u8(1);
  encoder.u16(2);
  encoder.u32(3);
  encoder.u64(4);
  encoder.varint(~std::uint64_t{0});
  encoder.signed_varint(-5);
  encoder.text("text");
  encoder.varint(2);
  encoder.u16(0);
  return {encoder.take()};
}

HOLDFAST_FUZZ_TARGET(decoder, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
