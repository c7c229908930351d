#include "seal/key_slot.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "core/error.h"
#include "seal/aead.h"
#include "seal/evp.h"
#include "seal/scrypt.h"

namespace holdfast {
namespace {

constexpr std::string_view kKeyFileKind = "key-file";
constexpr std::string_view kPassphraseKind = "passphrase";
constexpr std::size_t kIdBytes = 4;
constexpr std::size_t kSaltBytes = 16;
constexpr ScryptCost kCost{.log_n = 15, .r = 8, .p = 1};

[[noreturn]] void damaged(const KeySlot& slot, const char* why) {
  throw Error(ErrorKind::kDamage, std::string("a key slot is damaged: ") + why,
              {.object = slot.id});
}

template <std::size_t Size>
Bytes random_bytes() {
  Bytes bytes(Size);
  fill_random(bytes);
  return bytes;
}

Bytes identity_of(const KeySlot& slot) {
  Encoder encoder;
  encoder.text(slot.id);
  encoder.text(slot.kind);
  return encoder.take();
}

ScryptCost cost_of(const KeySlot& slot) {
  return {.log_n = slot.scrypt_log_n, .r = slot.scrypt_r, .p = slot.scrypt_p};
}

Secret wrapping_key(const KeySlot& slot, const KeySource& source) {
  if (const auto* file = std::get_if<KeyFile>(&source)) return file->key;
  return scrypt(std::get<Passphrase>(source).text, slot.salt, cost_of(slot));
}

std::string_view kind_of(const KeySource& source) {
  return std::holds_alternative<KeyFile>(source) ? kKeyFileKind : kPassphraseKind;
}

void check_shape(const KeySlot& slot) {
  if (slot.nonce.size() != kAeadNonceBytes) damaged(slot, "its nonce has a wrong length");
  if (slot.wrapped.size() != Secret::kBytes + kAeadTagBytes) {
    damaged(slot, "its wrapped key has a wrong length");
  }
  if (slot.kind == kPassphraseKind && !is_affordable(cost_of(slot))) {
    damaged(slot, "it asks for more memory or time than is allowed (1 GiB)");
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

KeySlot wrap(const Secret& data_key, const KeySource& source, const std::string& label,
             const std::string& created) {
  KeySlot slot;
  slot.id = to_hex(random_bytes<kIdBytes>());
  slot.kind = kind_of(source);
  slot.label = label;
  slot.created = created;
  if (slot.kind == kPassphraseKind) {
    slot.salt = random_bytes<kSaltBytes>();
    slot.scrypt_log_n = kCost.log_n;
    slot.scrypt_r = kCost.r;
    slot.scrypt_p = kCost.p;
  }
  slot.nonce = random_bytes<kAeadNonceBytes>();
  slot.wrapped.resize(Secret::kBytes + kAeadTagBytes);
  const MutableByteView wrapped(slot.wrapped);
  aead_seal({.key = wrapping_key(slot, source),
             .nonce = slot.nonce,
             .additional = identity_of(slot),
             .text = data_key.view()},
            wrapped.first(Secret::kBytes), wrapped.last(kAeadTagBytes));
  return slot;
}

std::optional<Secret> unwrap(const KeySlot& slot, const KeySource& source) {
  if (slot.kind != kind_of(source)) return std::nullopt;
  check_shape(slot);
  const ByteView wrapped(slot.wrapped);
  std::array<std::byte, Secret::kBytes> plain{};
  std::optional<Secret> data_key;
  if (aead_open({.key = wrapping_key(slot, source),
                 .nonce = slot.nonce,
                 .additional = identity_of(slot),
                 .text = wrapped.first(Secret::kBytes)},
                wrapped.last(kAeadTagBytes), plain)) {
    data_key.emplace(plain);
  }
  wipe(plain);
  return data_key;
}

std::string format_key_file(const Secret& key) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * Secret::kBytes + 1);  // it must not move: that would leave a copy behind
  for (const std::byte byte : key.view()) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
    text += kDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  text += '\n';
  return text;
}

Secret parse_key_file(std::string_view text, std::string_view path_for_messages) {
  const std::string_view digits = without_line_end(text);
  std::array<std::byte, Secret::kBytes> bytes{};
  bool valid = digits.size() == 2 * bytes.size();
  for (std::size_t i = 0; valid && i < bytes.size(); ++i) {
    const int high = hex_digit(digits[2 * i]);
    const int low = hex_digit(digits[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    if (valid) bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  const Secret key(bytes);
  wipe(bytes);
  if (!valid) {
    throw Error(ErrorKind::kConfiguration, "this is not a key file: 64 hexadecimal digits expected",
                {.object = std::string(path_for_messages),
                 .hint = "Name a file that was made by 'holdfast key new-file'."});
  }
  return key;
}

}  // namespace holdfast
