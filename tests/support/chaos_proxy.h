#pragma once
// A reverse proxy that stands before a real S3 server and makes the network bad, by script: the
// test chooses a fault for each request. The Host header is passed on as the client sent it, so
// signatures stay valid (path style).
//
// Threads: the function may be called from several at once.

#include <functional>
#include <memory>
#include <string>

#include "support/test_http_server.h"

namespace holdfast::test {

enum class Chaos {
  kNone,
  kRefuse,          // the connection closes before the request reaches the server
  kLoseAnswer,      // the server acts on the request, but its answer never arrives
  kTruncate,        // half of the answer's body arrives
  kSlowDown,        // 503 SlowDown, not forwarded
  kServerError,     // 500 InternalError, not forwarded
  kErrorInside200,  // 200 with an error document, not forwarded
  kDelay,           // forwarded, answered after a second
  kStall,           // accepted, and then nothing for a minute
};

class ChaosProxy {
 public:
  using Choose = std::function<Chaos(const TestRequest&)>;

  // `upstream`: "http://127.0.0.1:PORT"
  ChaosProxy(const std::string& upstream, Choose choose);
  ~ChaosProxy();

  std::string url() const;
  std::vector<TestRequest> requests() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::test
