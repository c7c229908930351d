#pragma once
// A small real HTTP server on a free port of 127.0.0.1, for tests: every request is answered by the
// test's own function, which may also delay, cut off or drop the answer.
//
// Threads: one per connection; the function may be called from several at once. The destructor
// closes every connection and joins. HTTP/1.1 with kept connections; request bodies need a
// Content-Length.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::test {

// Binds a port of 127.0.0.1, lets it go and returns it. `count` neighbours are free too.
std::uint16_t free_port(std::uint16_t count = 1);

struct TestRequest {
  std::string method;
  std::string target;  // as on the wire: "/path?query", or a whole URL when we are a proxy
  std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ','
  std::string body;

  std::string header(const std::string& lower_case_name) const;  // empty when absent
};

struct TestAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds delay{0};         // before the first byte
  bool drop = false;                          // close without a byte of answer
  std::optional<std::size_t> cut_after = {};  // send so much of the body, then close
  bool without_length = false;                // no Content-Length; the end is the close
};

class TestHttpServer {
 public:
  using Handler = std::function<TestAnswer(const TestRequest&)>;

  explicit TestHttpServer(Handler handler);
  ~TestHttpServer();
  TestHttpServer(const TestHttpServer&) = delete;
  TestHttpServer& operator=(const TestHttpServer&) = delete;

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:PORT"
  // Everything that was asked so far, oldest first.
  std::vector<TestRequest> requests() const;
  std::size_t connections() const;  // accepted so far

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::test
