#pragma once
// Key slots: the repository's data key, wrapped so that a key file or a passphrase opens it.
//
// A key file holds 32 random bytes as 64 hexadecimal digits and a line end. A passphrase is
// stretched with scrypt (RFC 7914; N = 2^15, r = 8, p = 1, 16 bytes of random salt, kept in the
// slot, so that the cost can rise later). Wrapping is AES-256-GCM under a random nonce with the
// slot's identity as additional data. Rotating a slot touches no data.

#include <cstdint>
#include <optional>
#include <string>
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
};
using KeySource = std::variant<KeyFile, Passphrase>;

struct KeySlot {
  std::string id;       // 8 hexadecimal digits, random
  std::string kind;     // "key-file" or "passphrase"
  std::string label;    // free text of the user
  std::string created;  // RFC 3339
  Bytes salt;           // of scrypt; empty for a key file
  std::uint32_t scrypt_log_n = 0, scrypt_r = 0, scrypt_p = 0;
  Bytes nonce;          // 12 bytes
  Bytes wrapped;        // 32 bytes and the 16-byte tag
};

KeySlot wrap(const Secret& data_key, const KeySource& source, const std::string& label,
             const std::string& created);
// The data key, or nullopt when this source does not open this slot.
std::optional<Secret> unwrap(const KeySlot& slot, const KeySource& source);

// The text of a key file <-> key. Anything but 64 hexadecimal digits is Error(kConfiguration).
std::string format_key_file(const Secret& key);
Secret parse_key_file(std::string_view text, std::string_view path_for_messages);

}  // namespace holdfast
