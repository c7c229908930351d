#include "seal/scrypt.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "seal/evp.h"
#include "seal/key_slot.h"

namespace holdfast {

bool is_affordable(ScryptCost cost) {
  if (cost.log_n < 1 || cost.log_n > 30 || cost.r < 1 || cost.p < 1) return false;
  if (cost.p > kMaxScryptP) return false;
  return cost.r <= kMaxScryptMemoryBytes / 128 >> cost.log_n;
}

void scrypt(std::string_view passphrase, ByteView salt, ScryptCost cost, MutableByteView out) {
  HF_INVARIANT(is_affordable(cost));
  const evp::Owned<EVP_KDF> algorithm(EVP_KDF_fetch(nullptr, "SCRYPT", nullptr));
  evp::require(algorithm != nullptr, "provide scrypt");
  const evp::Owned<EVP_KDF_CTX> context(EVP_KDF_CTX_new(algorithm.get()));
  evp::require(context != nullptr, "allocate a key derivation context");
  std::uint64_t n = std::uint64_t{1} << cost.log_n;
  std::uint64_t r = cost.r;
  std::uint64_t p = cost.p;
  std::uint64_t limit = 2 * kMaxScryptMemoryBytes;          // OpenSSL counts its scratch space too
  const auto bytes = [](const char* key, ByteView value) {  // OpenSSL only reads them
    return OSSL_PARAM_construct_octet_string(key, const_cast<std::byte*>(value.data()),
                                             value.size());
  };
  const std::array parameters{bytes(OSSL_KDF_PARAM_PASSWORD, as_bytes(passphrase)),
                              bytes(OSSL_KDF_PARAM_SALT, salt),
                              OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
                              OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
                              OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
                              OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &limit),
                              OSSL_PARAM_construct_end()};
  evp::require(EVP_KDF_derive(context.get(), evp::data(out), out.size(), parameters.data()) == 1,
               "stretch a passphrase with scrypt");
}

Secret scrypt(std::string_view passphrase, ByteView salt, ScryptCost cost) {
  std::array<std::byte, Secret::kBytes> bytes{};
  scrypt(passphrase, salt, cost, bytes);
  const Secret key(bytes);
  wipe(bytes);
  return key;
}

}  // namespace holdfast
