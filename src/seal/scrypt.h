#pragma once
// scrypt (RFC 7914; OpenSSL's): a key from a passphrase, slow and hungry for memory on purpose.
// Internal to seal. Thread-safe. Errors: Error(kHost) if OpenSSL fails, for instance without
// memory.

#include <string_view>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

struct ScryptCost {
  std::uint32_t log_n = 0;  // memory is 128 * r * 2^log_n bytes
  std::uint32_t r = 0;
  std::uint32_t p = 0;  // passes
};

// Whether the parameters are legal and within kMaxScryptMemoryBytes and kMaxScryptP.
bool is_affordable(ScryptCost cost);

// Fills `out` with key material; `cost` is affordable.
void scrypt(std::string_view passphrase, ByteView salt, ScryptCost cost, MutableByteView out);
Secret scrypt(std::string_view passphrase, ByteView salt, ScryptCost cost);

}  // namespace holdfast
