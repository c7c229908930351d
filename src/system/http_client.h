#pragma once
// HTTP/1.1 client on libcurl, for object stores, credential services and notifications.
//
// Connections are kept and reused: a request takes an idle handle (which owns its connections) or
// makes one, so that parallel callers never share a connection. Redirects are not followed.
// Errors: every answer with a status line is returned, whatever the status. A request that got no
//   whole answer throws Error of the kind that the options name, retryable unless trying again
//   cannot help (untrusted certificate, malformed URL, answer over the limit).
// Cancellation: a stop request ends a running request at once with kCancelled; whether the server
//   acted on it is then unknown, as after any error.
// Retries: libcurl itself repeats a request once if a kept connection turns out to be closed before
//   the first byte of an answer.
// Threads: request() may be called from several threads at once.
// Lifetime: body and `into` must stay until request() returns; neither is copied as a whole.

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/error.h"

namespace holdfast {

struct HttpHeader {
  std::string name;
  std::string value;
};

enum class TlsCheck { kVerify, kSkip };
enum class ProxyUse { kConfigured, kNever };

struct HttpClientOptions {
  ErrorKind failure_kind = ErrorKind::kRepository;  // of errors of the transport
  std::string ca_file = {};                         // PEM; empty: the machine's authorities
  TlsCheck tls_check = TlsCheck::kVerify;
  ProxyUse proxy_use = ProxyUse::kConfigured;
  std::string proxy = {};  // URL; empty: as http_proxy, https_proxy and no_proxy say
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::seconds stall_timeout{60};      // no byte in either direction for so long
  std::chrono::milliseconds total_timeout{0};  // 0: no limit
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // sent as it stands: encode before
  std::vector<HttpHeader> headers = {};
  ByteView body = {};
  // Where the body of a 206 answer goes; more bytes than fit are an error. Other answers go into
  // HttpResponse::body.
  MutableByteView into = {};
  std::size_t response_bytes_max = std::size_t{1} << 20U;
};

struct HttpResponse {
  int status = 0;
  std::vector<HttpHeader> headers = {};  // names in lower case
  Bytes body = {};
  std::size_t into_bytes = 0;  // how much of HttpRequest::into was filled

  // The first header of that (lower-case) name; lives as long as the response.
  std::optional<std::string_view> header(std::string_view lower_case_name) const;
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpResponse request(const HttpRequest& request, const std::stop_token& stop);

 private:
  class Handles;
  HttpClientOptions options_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace holdfast
