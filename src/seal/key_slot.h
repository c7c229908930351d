#pragma once
// Key slots: the repository's data key, wrapped so that a key file or a passphrase opens it.
//
// A key file holds 32 random bytes as 64 hexadecimal digits and a line end. A passphrase is
// stretched with scrypt (RFC 7914; N = 2^15, r = 8, p = 1, 16 bytes of random salt, kept in the
// slot, so that the cost can rise later). Wrapping is AES-256-GCM under a random 12-byte nonce; the
// key of a key file wraps as it is. Additional data: id and kind, each as varint length and bytes,
// so that no slot passes for another. Rotating a slot touches no data.
//
// Errors: a slot that cannot be one (lengths, scrypt parameters of zero or beyond the limits below)
// is Error(kDamage). Thread-safe; a passphrase costs about 0.1 s of CPU and 32 MiB each time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

struct KeyFile {
  Secret key;
};
struct Passphrase {
  std::string text;
  ~Passphrase() { wipe(text); }
};
using KeySource = std::variant<KeyFile, Passphrase>;

// What a slot may ask of the machine that opens it.
inline constexpr std::uint64_t kMaxScryptMemoryBytes = std::uint64_t{1} << 30U;
inline constexpr std::uint32_t kMaxScryptP = 16;

struct KeySlot {
  std::string id;       // 8 hexadecimal digits, random
  std::string kind;     // "key-file" or "passphrase"
  std::string label;    // free text of the user
  std::string created;  // RFC 3339
  Bytes salt;           // of scrypt; empty for a key file
  std::uint32_t scrypt_log_n = 0, scrypt_r = 0, scrypt_p = 0;
  Bytes nonce;    // 12 bytes
  Bytes wrapped;  // 32 bytes and the 16-byte tag
};

KeySlot wrap(const Secret& data_key, const KeySource& source, const std::string& label,
             const std::string& created);
// The data key, or nullopt when this source does not open this slot (another kind of source,
// another key or passphrase; a kind that this build does not know opens with none).
std::optional<Secret> unwrap(const KeySlot& slot, const KeySource& source);

// The text of a key file <-> key. Anything but 64 hexadecimal digits and at most one line end is
// Error(kConfiguration), whose message has nothing of the text. The caller wipes the text.
std::string format_key_file(const Secret& key);
Secret parse_key_file(std::string_view text, std::string_view path_for_messages);

}  // namespace holdfast
