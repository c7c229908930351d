#pragma once
// What the files of seal share of OpenSSL: owners for its objects, and the one error they throw.
// Internal to seal. Algorithms are fetched once per process (a fetch takes a lock and a search
// through the providers) and live until exit; fetched algorithms are immutable and shared.

#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "core/bytes.h"
#include "core/error.h"

namespace holdfast::evp {

struct Free {
  void operator()(EVP_CIPHER* object) const { EVP_CIPHER_free(object); }
  void operator()(EVP_CIPHER_CTX* object) const { EVP_CIPHER_CTX_free(object); }
  void operator()(EVP_MD* object) const { EVP_MD_free(object); }
  void operator()(EVP_KDF* object) const { EVP_KDF_free(object); }
  void operator()(EVP_KDF_CTX* object) const { EVP_KDF_CTX_free(object); }
};
template <class Object>
using Owned = std::unique_ptr<Object, Free>;

[[noreturn]] inline void failed(const char* what) {
  throw Error(
      ErrorKind::kHost, std::string("OpenSSL cannot ") + what,
      {.hint = "Check the OpenSSL configuration of this machine (openssl list -providers)."});
}

inline void require(bool done, const char* what) {
  if (!done) failed(what);
}

inline const unsigned char* data(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* data(MutableByteView bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace holdfast::evp
