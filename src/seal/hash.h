#pragma once
// Hashes. Only page_hash is keyed; the others detect accidents, or identify content.

#include <array>
#include <cstdint>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

using Sha256 = std::array<std::byte, 32>;
using Checksum128 = std::array<std::byte, 16>;

Sha256 sha256(ByteView bytes);
std::array<std::byte, 16> md5(ByteView bytes);  // for Content-MD5 only
Checksum128 xxh3_128(ByteView bytes);           // canonical (big-endian) form

// The keyed 64-bit hash of one page of a file, with which backups, restores and verifications
// compare content whatever the chunk layout (XXH3-64 with a 192-byte secret derived from the
// repository's key, so that nobody without the key can make two pages collide on purpose).
class PageHasher {
 public:
  explicit PageHasher(const Secret& key);
  std::uint64_t operator()(ByteView page) const;

 private:
  std::array<std::byte, 192> secret_{};
};

bool is_zero(ByteView bytes);  // every byte is zero; fast

}  // namespace holdfast
