#include "core/bytes.h"

#include "core/error.h"

namespace holdfast {
namespace {

[[noreturn]] void malformed(const char* why) {
  throw Error(ErrorKind::kDamage, std::string("malformed data: ") + why);
}

}  // namespace

void Encoder::varint(std::uint64_t value) {
  while (value >= 0x80) {
    u8(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  u8(static_cast<std::uint8_t>(value));
}

void Encoder::signed_varint(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  varint((bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
}

void Encoder::text(std::string_view value) {
  varint(value.size());
  raw(as_bytes(value));
}

std::uint64_t Decoder::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = u8();
    if (shift == 63 && byte > 1) malformed("a number is too large");
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  malformed("a number is too long");
}

std::int64_t Decoder::signed_varint() {
  const std::uint64_t bits = varint();
  return static_cast<std::int64_t>((bits >> 1) ^ (~(bits & 1) + 1));
}

ByteView Decoder::raw(std::size_t size) {
  if (size > in_.size()) malformed("it ends too early");
  const ByteView taken = in_.first(size);
  in_ = in_.subspan(size);
  return taken;
}

std::string_view Decoder::text() {
  return as_text(raw(varint()));
}

std::size_t Decoder::count(std::size_t bytes_each) {
  const std::uint64_t value = varint();
  if (value > in_.size() / bytes_each) malformed("a count is larger than the data");
  return value;
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    out += kDigits[std::to_integer<unsigned>(byte) >> 4];
    out += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return out;
}

Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) -> unsigned {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    malformed("a hexadecimal digit was expected");
  };
  if (hex.size() % 2 != 0) malformed("an odd number of hexadecimal digits");
  Bytes out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return out;
}

}  // namespace holdfast
