#include "core/bytes.h"

#include <limits>

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

template <class Action>
bool is_damage(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kDamage;
  }
  return false;
}

TEST(Encoder, WritesLittleEndian) {
  Encoder encoder;
  encoder.u8(0x01);
  encoder.u16(0x0203);
  encoder.u32(0x04050607);
  encoder.u64(0x08090a0b0c0d0e0f);
  encoder.text("hi");
  encoder.raw(as_bytes("!"));
  EXPECT_EQ(to_hex(encoder.view()), "010302070605040f0e0d0c0b0a090802686921");
  EXPECT_EQ(encoder.size(), 19U);
  Decoder decoder(encoder.view());
  EXPECT_EQ(decoder.u8(), 0x01);
  EXPECT_EQ(decoder.u16(), 0x0203);
  EXPECT_EQ(decoder.u32(), 0x04050607U);
  EXPECT_EQ(decoder.u64(), 0x08090a0b0c0d0e0fU);
  EXPECT_EQ(decoder.text(), "hi");
  EXPECT_EQ(as_text(decoder.raw(1)), "!");
  EXPECT_TRUE(decoder.done());
}

struct VarintCase {
  std::uint64_t value;
  const char* hex;
};

TEST(Varint, HasKnownForms) {
  for (const auto& [value, hex] :
       {VarintCase{0, "00"}, VarintCase{127, "7f"}, VarintCase{128, "8001"},
        VarintCase{300, "ac02"}, VarintCase{0xffffffff, "ffffffff0f"},
        VarintCase{std::numeric_limits<std::uint64_t>::max(), "ffffffffffffffffff01"}}) {
    Encoder encoder;
    encoder.varint(value);
    EXPECT_EQ(to_hex(encoder.view()), hex);
    Decoder decoder(encoder.view());
    EXPECT_EQ(decoder.varint(), value);
    EXPECT_TRUE(decoder.done());
  }
}

TEST(Varint, TooLargeTooLongOrCutShortIsDamage) {
  for (const char* hex : {"", "80", "ffffffffffffffffff", "ffffffffffffffffff02",
                          "ffffffffffffffffffff01", "80808080808080808080"}) {
    const Bytes bytes = from_hex(hex);
    EXPECT_TRUE(is_damage([&] { Decoder(bytes).varint(); })) << hex;
  }
}

TEST(SignedVarint, IsZigzag) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1},
                                   std::int64_t{-64}, std::int64_t{64}, kLeast, kMost}) {
    Encoder encoder;
    encoder.signed_varint(value);
    EXPECT_EQ(Decoder(encoder.view()).signed_varint(), value);
  }
  Encoder encoder;
  encoder.signed_varint(-1);
  encoder.signed_varint(1);
  EXPECT_EQ(to_hex(encoder.view()), "0102");
}

TEST(DecoderTest, NeverReadsPastTheEnd) {
  const Bytes three(3);
  EXPECT_TRUE(is_damage([&] { Decoder(three).u32(); }));
  EXPECT_TRUE(is_damage([&] { Decoder(three).u64(); }));
  EXPECT_TRUE(is_damage([&] { Decoder(three).raw(4); }));
  EXPECT_TRUE(is_damage([&] { Decoder(ByteView{}).u8(); }));
  EXPECT_TRUE(is_damage([] {
    Decoder(as_bytes("\x05"
                     "four"))
        .text();
  }));
  Decoder decoder(three);
  EXPECT_EQ(decoder.raw(3).size(), 3U);
  EXPECT_EQ(decoder.raw(0).size(), 0U);
}

TEST(DecoderTest, LengthNearTheEndOfTheNumbersIsDamage) {
  Encoder encoder;
  encoder.varint(std::numeric_limits<std::uint64_t>::max());
  encoder.u32(0);
  EXPECT_TRUE(is_damage([&] { Decoder(encoder.view()).text(); }));
}

TEST(DecoderTest, CountMustFitInWhatIsLeft) {
  const auto count = [](std::uint64_t value, std::size_t left, std::size_t each) {
    Encoder encoder;
    encoder.varint(value);
    encoder.raw(Bytes(left));
    Decoder decoder(encoder.view());
    return decoder.count(each);
  };
  EXPECT_EQ(count(3, 3, 1), 3U);
  EXPECT_EQ(count(3, 12, 4), 3U);
  EXPECT_TRUE(is_damage([&] { count(4, 3, 1); }));
  EXPECT_TRUE(is_damage([&] { count(3, 11, 4); }));
  EXPECT_TRUE(is_damage([&] { count(std::uint64_t{1} << 62U, 100, 8); })) << "it overflowed";
}

TEST(Hex, RoundTripsAndRefusesTheRest) {
  EXPECT_EQ(to_hex(from_hex("00ff10aB")), "00ff10ab");
  EXPECT_TRUE(from_hex("").empty());
  for (const char* bad : {"0", "0g", "g0", "0 ", "0x"}) {
    EXPECT_TRUE(is_damage([&] { from_hex(bad); })) << bad;
  }
}

TEST(BufferTest, MovesItsMemory) {
  Buffer one(100);
  one.data()[99] = std::byte{7};
  const std::byte* const memory = one.data();
  Buffer two(std::move(one));
  EXPECT_EQ(two.data(), memory);
  Buffer three;
  three = std::move(two);
  EXPECT_EQ(three.data(), memory);
  EXPECT_EQ(three.view().back(), std::byte{7});
  EXPECT_EQ(three.size(), 100U);
}

}  // namespace
}  // namespace holdfast
