#pragma once
// Hashes. Only PageHasher is keyed; the others detect accidents, or identify content.
//
// Sources: SHA-256 is FIPS 180-4, MD5 is RFC 1321 (both OpenSSL's), XXH3 is libxxhash 0.8, whose
// results are frozen by its specification. Every function is thread-safe; PageHasher is immutable.
// Errors: MD5 switched off by a system-wide policy is Error(kHost).

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

using Sha256 = std::array<std::byte, 32>;
using Checksum128 = std::array<std::byte, 16>;

Sha256 sha256(ByteView bytes);
std::array<std::byte, 16> md5(ByteView bytes);  // for Content-MD5 only
Checksum128 xxh3_128(ByteView bytes);           // canonical (big-endian) form, seed 0

// The seed makes a checksum that belongs to one place: the same bytes elsewhere do not match it.
struct ChecksumSeed {
  std::uint64_t value = 0;
};
Checksum128 xxh3_128(ByteView bytes, ChecksumSeed seed);

// The same as xxh3_128 of everything that was added, in order, in pieces of any length.
class Checksum128Stream {
 public:
  Checksum128Stream();
  ~Checksum128Stream();
  Checksum128Stream(Checksum128Stream&&) noexcept;
  Checksum128Stream& operator=(Checksum128Stream&&) noexcept;

  void add(ByteView piece);
  Checksum128 result() const;
  void reset();  // as new

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The keyed 64-bit hash of one page of a file, with which backups, restores and verifications
// compare content whatever the chunk layout (XXH3-64 with a 192-byte secret derived from the
// repository's key: HKDF, empty salt, info "holdfast page hash v0"). XXH3 is fast, not
// cryptographic: the secret keeps a database user who lacks the key from making two pages collide
// on purpose; it proves nothing about who wrote a page (the chunk's tag does).
class PageHasher {
 public:
  explicit PageHasher(const Secret& key);
  PageHasher(const PageHasher&) = default;
  PageHasher& operator=(const PageHasher&) = default;
  ~PageHasher();

  std::uint64_t operator()(ByteView page) const;
  // Tells one key from another without telling anything about it: 16 hexadecimal digits.
  std::string key_name() const;

 private:
  std::array<std::byte, 192> secret_{};
};

bool is_zero(ByteView bytes);  // every byte is zero (so none, too); fast

}  // namespace holdfast
