#include "seal/aead.h"

#include <limits>

#include "seal/evp.h"

namespace holdfast {
namespace {

const EVP_CIPHER* cipher() {
  static const evp::Owned<EVP_CIPHER> fetched(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  evp::require(fetched != nullptr, "provide AES-256-GCM");
  return fetched.get();
}

// The context keeps the last key schedule until its thread ends, when OpenSSL wipes it.
EVP_CIPHER_CTX* context() {
  thread_local const evp::Owned<EVP_CIPHER_CTX> own(EVP_CIPHER_CTX_new());
  evp::require(own != nullptr, "allocate a cipher context");
  return own.get();
}

void check(const AeadInput& input, std::size_t out_size, std::size_t tag_size) {
  HF_INVARIANT(input.nonce.size() == kAeadNonceBytes);
  HF_INVARIANT(tag_size == kAeadTagBytes);
  HF_INVARIANT(out_size == input.text.size());
  HF_INVARIANT(out_size <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
}

int length_of(ByteView bytes) {
  return static_cast<int>(bytes.size());
}

// The algorithm is bound to a context once; later calls only change key and nonce.
const EVP_CIPHER* unless_bound(const EVP_CIPHER_CTX* to) {
  return EVP_CIPHER_CTX_get0_cipher(to) == nullptr ? cipher() : nullptr;
}

}  // namespace

void aead_seal(const AeadInput& input, MutableByteView out, MutableByteView tag) {
  check(input, out.size(), tag.size());
  EVP_CIPHER_CTX* with = context();
  int written = 0;
  const bool done =
      EVP_EncryptInit_ex2(with, unless_bound(with), evp::data(input.key.view()),
                          evp::data(input.nonce), nullptr) == 1 &&
      EVP_EncryptUpdate(with, nullptr, &written, evp::data(input.additional),
                        length_of(input.additional)) == 1 &&
      (out.empty() || EVP_EncryptUpdate(with, evp::data(out), &written, evp::data(input.text),
                                        length_of(input.text)) == 1) &&
      EVP_EncryptFinal_ex(with, nullptr, &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(with, EVP_CTRL_AEAD_GET_TAG, length_of(tag), tag.data()) == 1;
  evp::require(done, "encrypt");
}

bool aead_open(const AeadInput& input, ByteView tag, MutableByteView out) {
  check(input, out.size(), tag.size());
  EVP_CIPHER_CTX* with = context();
  std::array<std::byte, kAeadTagBytes> expected{};  // OpenSSL wants a pointer to non-const
  std::memcpy(expected.data(), tag.data(), expected.size());
  int written = 0;
  const bool ready =
      EVP_DecryptInit_ex2(with, unless_bound(with), evp::data(input.key.view()),
                          evp::data(input.nonce), nullptr) == 1 &&
      EVP_DecryptUpdate(with, nullptr, &written, evp::data(input.additional),
                        length_of(input.additional)) == 1 &&
      (out.empty() || EVP_DecryptUpdate(with, evp::data(out), &written, evp::data(input.text),
                                        length_of(input.text)) == 1) &&
      EVP_CIPHER_CTX_ctrl(with, EVP_CTRL_AEAD_SET_TAG, length_of(expected), expected.data()) == 1;
  evp::require(ready, "decrypt");
  return EVP_DecryptFinal_ex(with, nullptr, &written) == 1;
}

}  // namespace holdfast
