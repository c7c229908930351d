#pragma once
// 32 secret bytes that are wiped when they go out of scope, and never printed or logged.

#include <array>
#include <cstddef>

#include "core/bytes.h"

namespace holdfast {

class Secret {
 public:
  static constexpr std::size_t kBytes = 32;

  Secret() = default;  // all zero: "no key"
  explicit Secret(ByteView bytes);  // exactly 32 bytes
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret();

  static Secret random();

  ByteView view() const { return bytes_; }

 private:
  std::array<std::byte, kBytes> bytes_{};
};

// HKDF-SHA-256 (RFC 5869): a key of its own for each purpose and salt.
Secret derive(const Secret& key, ByteView salt, std::string_view purpose);

// HMAC-SHA-256.
std::array<std::byte, 32> hmac_sha256(ByteView key, ByteView message);

void fill_random(MutableByteView out);  // cryptographically strong

}  // namespace holdfast
