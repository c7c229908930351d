#include "storage/sigv4.h"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace holdfast {
namespace {

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Without blanks at the ends, and runs of blanks inside as one.
std::string canonical_value(std::string_view value) {
  std::string canonical;
  bool blank = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      blank = !canonical.empty();
      continue;
    }
    if (blank) canonical += ' ';
    blank = false;
    canonical += c;
  }
  return canonical;
}

Sha256Digest sha256(std::string_view text) {
  Sha256Digest digest;
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorKind::kHost, "OpenSSL cannot compute SHA-256");
  }
  return digest;
}

Sha256Digest hmac(ByteView key, std::string_view message) {
  Sha256Digest digest;
  unsigned size = 0;
  const auto* text = reinterpret_cast<const unsigned char*>(message.data());
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text, message.size(),
           reinterpret_cast<unsigned char*>(digest.data()), &size) == nullptr) {
    throw Error(ErrorKind::kHost, "OpenSSL cannot compute HMAC-SHA-256");
  }
  return digest;
}

struct CanonicalHeaders {
  std::string block;         // "name:value\n" of each
  std::string signed_names;  // "name;name"
};

CanonicalHeaders canonical_headers(const std::vector<HttpHeader>& headers) {
  std::vector<HttpHeader> sorted;
  sorted.reserve(headers.size());
  for (const HttpHeader& header : headers) {
    sorted.push_back({lower_case(header.name), canonical_value(header.value)});
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const HttpHeader& a, const HttpHeader& b) { return a.name < b.name; });
  CanonicalHeaders canonical;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0 && sorted[i].name == sorted[i - 1].name) {  // a repeated header is one list
      canonical.block.back() = ',';
      canonical.block += sorted[i].value + '\n';
      continue;
    }
    canonical.block += sorted[i].name + ':' + sorted[i].value + '\n';
    if (!canonical.signed_names.empty()) canonical.signed_names += ';';
    canonical.signed_names += sorted[i].name;
  }
  return canonical;
}

}  // namespace

std::string uri_encode(std::string_view text, Slash slash) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    if (unreserved(c) || (c == '/' && slash == Slash::kKeep)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4U];
    encoded += kDigits[byte & 15U];
  }
  return encoded;
}

std::string uri_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      throw Error(ErrorKind::kRepository, "the server's answer has a malformed encoded name",
                  {.object = std::string(text)});
    }
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

std::string canonical_query(const std::vector<QueryParameter>& parameters) {
  std::vector<std::pair<std::string, std::string>> encoded;
  encoded.reserve(parameters.size());
  for (const QueryParameter& parameter : parameters) {
    encoded.emplace_back(uri_encode(parameter.name, Slash::kEncode),
                         uri_encode(parameter.value, Slash::kEncode));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string query;
  for (const auto& [name, value] : encoded) {
    if (!query.empty()) query += '&';
    query += name;
    query += '=';
    query += value;
  }
  return query;
}

Sha256Digest SigV4Signer::signing_key(const AccessKeys& keys, const SigningScope& scope,
                                      const std::string& day) {
  const std::lock_guard lock(mutex_);
  if (latest_.secret != keys.secret_access_key || latest_.day != day ||
      latest_.region != scope.region || latest_.service != scope.service) {
    const std::string seed = "AWS4" + keys.secret_access_key;
    const Sha256Digest of_day = hmac(as_bytes(seed), day);
    const Sha256Digest of_region = hmac(of_day, scope.region);
    const Sha256Digest of_service = hmac(of_region, scope.service);
    latest_ = {keys.secret_access_key, day, scope.region, scope.service,
               hmac(of_service, "aws4_request")};
  }
  return latest_.key;
}

void SigV4Signer::sign(SignableRequest& request, const AccessKeys& keys, const SigningScope& scope,
                       Timestamp time) {
  const std::string date_time = to_compact(time);
  const std::string day = date_time.substr(0, 8);
  request.headers.push_back({"X-Amz-Date", date_time});
  if (!keys.session_token.empty()) {
    request.headers.push_back({"X-Amz-Security-Token", keys.session_token});
  }
  const CanonicalHeaders headers = canonical_headers(request.headers);
  const std::string canonical_request = fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}", request.method, request.encoded_path, request.canonical_query,
      headers.block, headers.signed_names, request.payload_sha256);
  const std::string credential_scope =
      fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", date_time,
                                          credential_scope, to_hex(sha256(canonical_request)));
  const std::string signature = to_hex(hmac(signing_key(keys, scope, day), to_sign));
  request.headers.push_back(
      {"Authorization",
       fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                   keys.access_key_id, credential_scope, headers.signed_names, signature)});
}

}  // namespace holdfast
