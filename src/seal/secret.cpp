#include "seal/secret.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "core/error.h"
#include "seal/evp.h"

namespace holdfast {
namespace {

constexpr std::size_t kHashBytes = 32;

}  // namespace

Secret::Secret(ByteView bytes) {
  HF_INVARIANT(bytes.size() == kBytes);
  std::ranges::copy(bytes, bytes_.begin());
}

Secret::~Secret() {
  wipe(bytes_);
}

Secret Secret::random() {
  Secret secret;
  fill_random(secret.bytes_);
  return secret;
}

Secret derive(const Secret& key, ByteView salt, std::string_view purpose) {
  std::array<std::byte, Secret::kBytes> out{};
  hkdf_sha256({.key = key.view(), .salt = salt, .info = purpose}, out);
  const Secret derived(out);
  wipe(out);
  return derived;
}

void hkdf_sha256(const HkdfInput& input, MutableByteView out) {
  HF_INVARIANT(out.size() <= 255 * kHashBytes);
  // Extract. An empty salt means 32 zero bytes, which is what HMAC makes of an empty key.
  auto extracted = hmac_sha256(input.salt, input.key);
  // Expand: block i is HMAC(extracted, block i-1 | info | i).
  std::array<std::byte, kHashBytes> block{};
  Bytes message;
  message.reserve(kHashBytes + input.info.size() + 1);
  for (std::uint8_t index = 1; !out.empty(); ++index) {
    const ByteView info = as_bytes(input.info);
    message.insert(message.end(), info.begin(), info.end());
    message.push_back(std::byte{index});
    block = hmac_sha256(extracted, message);
    const std::size_t taken = std::min(out.size(), block.size());
    std::ranges::copy(ByteView(block).first(taken), out.begin());
    out = out.subspan(taken);
    message.assign(block.begin(), block.end());
  }
  wipe(message);
  wipe(block);
  wipe(extracted);
}

std::array<std::byte, 32> hmac_sha256(ByteView key, ByteView message) {
  static constexpr unsigned char kEmpty = 0;  // OpenSSL takes a null key for "the one before"
  std::array<std::byte, kHashBytes> out{};
  unsigned int length = 0;
  const bool done =
      HMAC(EVP_sha256(), key.empty() ? &kEmpty : evp::data(key), static_cast<int>(key.size()),
           evp::data(message), message.size(), evp::data(MutableByteView(out)), &length) != nullptr;
  evp::require(done && length == out.size(), "compute HMAC-SHA-256");
  return out;
}

void fill_random(MutableByteView out) {
  evp::require(RAND_bytes(evp::data(out), static_cast<int>(out.size())) == 1, "give random bytes");
}

void wipe(MutableByteView bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  // Up to the capacity: a string that was shortened still has its old end there.
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace holdfast
