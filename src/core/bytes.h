#pragma once
// Byte ranges, and explicit little-endian encoding for everything that Holdfast stores.
// Encoder appends to a buffer of its own. Decoder never reads outside its input: running over the
// end, or a varint that is too long, throws Error(kDamage).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) {
  return {view.begin(), view.end()};
}

// Fixed-width little-endian access. `at` has room for the whole integer.
template <class Integer>
Integer load_le(const std::byte* at) {
  Integer value;
  std::memcpy(&value, at, sizeof value);  // x86-64 and arm64 are little-endian; see static_assert
  return value;
}
template <class Integer>
void store_le(std::byte* at, Integer value) {
  std::memcpy(at, &value, sizeof value);
}
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Holdfast runs on little-endian machines only"
#endif

class Encoder {
 public:
  void u8(std::uint8_t value) { fixed(value); }
  void u16(std::uint16_t value) { fixed(value); }
  void u32(std::uint32_t value) { fixed(value); }
  void u64(std::uint64_t value) { fixed(value); }
  void varint(std::uint64_t value);        // LEB128, at most 10 bytes
  void signed_varint(std::int64_t value);  // zigzag, then LEB128
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view value);  // varint length, bytes
  std::size_t size() const { return out_.size(); }
  ByteView view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  template <class Integer>
  void fixed(Integer value) {
    const std::size_t at = out_.size();
    out_.resize(at + sizeof value);
    store_le(out_.data() + at, value);
  }
  Bytes out_;
};

class Decoder {
 public:
  explicit Decoder(ByteView in) : in_(in) {}
  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  std::uint64_t varint();
  std::int64_t signed_varint();
  ByteView raw(std::size_t count);
  std::string_view text();  // lives as long as the input
  std::size_t left() const { return in_.size(); }
  bool done() const { return in_.empty(); }
  // A count of things of at least `bytes_each` bytes that must still fit in the input.
  std::size_t count(std::size_t bytes_each = 1);

 private:
  template <class Integer>
  Integer fixed() {
    return load_le<Integer>(raw(sizeof(Integer)).data());
  }
  ByteView in_;
};

std::string to_hex(ByteView bytes);
// Throws Error(kDamage) unless `hex` is an even number of hexadecimal digits.
Bytes from_hex(std::string_view hex);

// Memory of a fixed capacity that is not zeroed on allocation: for packs and read buffers.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : data_(new std::byte[size]), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { delete[] data_; }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  MutableByteView span() { return {data_, size_}; }
  ByteView view() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace holdfast
