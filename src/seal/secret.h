#pragma once
// 32 secret bytes that are wiped when they go out of scope, and never printed or logged; key
// derivation; randomness.
//
// Sources: HKDF is RFC 5869, HMAC is RFC 2104, both with SHA-256 (OpenSSL's). Everything here is
// thread-safe. Errors: OpenSSL failing (no entropy, algorithm switched off by a system-wide policy)
// is Error(kHost); a length that the caller promised and did not keep is a bug of ours.

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace holdfast {

class Secret {
 public:
  static constexpr std::size_t kBytes = 32;

  Secret() = default;               // all zero: "no key"
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

struct HkdfInput {
  ByteView key;
  ByteView salt;
  std::string_view info;
};
// Fills `out` (at most 255 * 32 bytes) with key material: what derive() does, at any length.
void hkdf_sha256(const HkdfInput& input, MutableByteView out);

// HMAC-SHA-256.
std::array<std::byte, 32> hmac_sha256(ByteView key, ByteView message);

void fill_random(MutableByteView out);  // cryptographically strong

// Overwrites memory that held a secret; the compiler cannot leave it out.
void wipe(MutableByteView bytes);
void wipe(std::string& text);  // and empties it

}  // namespace holdfast
