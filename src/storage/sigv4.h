#pragma once
// Request signing by Amazon's Signature Version 4, header form.
// Source: "Signature Version 4 signing process" and "Authenticating Requests: Using the
// Authorization Header" (Amazon S3 API reference), with the S3 rule that the path is URI-encoded
// once. Tested against the examples published there and in the Signature Version 4 test suite.
//
// The signer signs every header it is given and sends nothing itself: what it signed must go over
// the wire byte for byte (encoded path and query included).
// Threads: sign() may be called from several threads at once.

#include <array>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/time.h"
#include "system/http_client.h"

namespace holdfast {

using Sha256Digest = std::array<std::byte, 32>;

// SHA-256 of nothing, in hexadecimal.
inline constexpr std::string_view kSha256OfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

enum class Slash { kKeep, kEncode };

// Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ (and '/' when kept), in upper case.
std::string uri_encode(std::string_view text, Slash slash);
// Undoes percent-encoding; '+' is a blank, as S3 writes it in lists. Throws Error(kRepository)
// where it is malformed.
std::string uri_decode(std::string_view text);

struct QueryParameter {
  std::string name;
  std::string value;
};

// "a=1&b=", names and values encoded, sorted as the signature wants them.
std::string canonical_query(const std::vector<QueryParameter>& parameters);

struct AccessKeys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty: a long-lived key
};

struct SigningScope {
  std::string region;
  std::string service;
};

struct SignableRequest {
  std::string method;
  std::string encoded_path;         // begins with '/'
  std::string canonical_query;      // of canonical_query(), no leading '?'
  std::string payload_sha256;       // hexadecimal, or "UNSIGNED-PAYLOAD"
  std::vector<HttpHeader> headers;  // all of them, with Host
};

class SigV4Signer {
 public:
  // Adds X-Amz-Date, X-Amz-Security-Token (with session tokens) and Authorization to the headers.
  void sign(SignableRequest& request, const AccessKeys& keys, const SigningScope& scope,
            Timestamp time);

 private:
  Sha256Digest signing_key(const AccessKeys& keys, const SigningScope& scope,
                           const std::string& day);

  // The derived key is valid for a day, a region and a secret: kept, as it costs four HMACs.
  struct DerivedKey {
    std::string secret, day, region, service;
    Sha256Digest key{};
  };
  std::mutex mutex_;
  DerivedKey latest_;  // guarded by mutex_
};

}  // namespace holdfast
