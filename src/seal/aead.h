#pragma once
// AES-256-GCM (NIST SP 800-38D) with a 12-byte nonce and a 16-byte tag. Internal to seal.
//
// A nonce must never repeat under one key: the callers say how they make sure. Thread-safe; each
// thread reuses a context of its own. Errors: a tag that does not match is `false`, never an
// exception; a failing OpenSSL is Error(kHost).

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

inline constexpr std::size_t kAeadNonceBytes = 12;
inline constexpr std::size_t kAeadTagBytes = 16;

struct AeadInput {
  const Secret& key;
  ByteView nonce;       // kAeadNonceBytes
  ByteView additional;  // authenticated, not encrypted
  ByteView text;        // to encrypt or decrypt; may be the memory of `out`
};

// `out` has the length of input.text, `tag` is kAeadTagBytes long.
void aead_seal(const AeadInput& input, MutableByteView out, MutableByteView tag);

// True if the tag matches. If not, what stands in `out` is worthless.
[[nodiscard]] bool aead_open(const AeadInput& input, ByteView tag, MutableByteView out);

}  // namespace holdfast
