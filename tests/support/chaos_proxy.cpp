#include "support/chaos_proxy.h"

#include <fmt/format.h>

#include "core/bytes.h"
#include "system/http_client.h"

namespace holdfast::test {
namespace {

constexpr std::size_t kForwardedBytesMax = std::size_t{80} << 20U;

TestAnswer error_answer(int status, const std::string& code) {
  return {.status = status,
          .headers = {{"Content-Type", "application/xml"}},
          .body = fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code>"
                              "<Message>made by the test</Message></Error>",
                              code)};
}

}  // namespace

class ChaosProxy::Impl {
 public:
  Impl(const std::string& upstream, Choose choose)
      : upstream_(upstream),
        choose_(std::move(choose)),
        client_({.proxy_use = ProxyUse::kNever}),
        server_([this](const TestRequest& request) { return answer(request); }) {}

  const TestHttpServer& server() const { return server_; }

 private:
  TestAnswer answer(const TestRequest& request) {
    using std::chrono_literals::operator""s;
    switch (choose_(request)) {
      case Chaos::kNone:
        return forward(request);
      case Chaos::kRefuse:
        return {.drop = true};
      case Chaos::kLoseAnswer:
        forward(request);
        return {.drop = true};
      case Chaos::kTruncate: {
        TestAnswer cut = forward(request);
        cut.cut_after = cut.body.size() / 2;
        return cut;
      }
      case Chaos::kSlowDown:
        return error_answer(503, "SlowDown");
      case Chaos::kServerError:
        return error_answer(500, "InternalError");
      case Chaos::kErrorInside200:
        return error_answer(200, "InternalError");
      case Chaos::kDelay: {
        TestAnswer late = forward(request);
        late.delay = 1s;
        return late;
      }
      case Chaos::kStall:
        return {.delay = 60s, .drop = true};
    }
    return {.drop = true};
  }

  TestAnswer forward(const TestRequest& request) {
    HttpRequest onward{.method = request.method,
                       .url = upstream_ + request.target,
                       .body = as_bytes(request.body),
                       .response_bytes_max = kForwardedBytesMax};
    for (const auto& [name, value] : request.headers) {
      if (name != "content-length" && name != "connection") onward.headers.push_back({name, value});
    }
    const HttpResponse response = client_.request(onward, std::stop_token());
    TestAnswer answer{.status = response.status, .body = std::string(as_text(response.body))};
    for (const HttpHeader& header : response.headers) {
      const bool hop = header.name == "connection" || header.name == "transfer-encoding";
      if (!hop) answer.headers.emplace_back(header.name, header.value);
    }
    return answer;
  }

  const std::string upstream_;
  const Choose choose_;
  HttpClient client_;
  TestHttpServer server_;  // last: its threads use what stands above
};

ChaosProxy::ChaosProxy(const std::string& upstream, Choose choose)
    : impl_(std::make_unique<Impl>(upstream, std::move(choose))) {}
ChaosProxy::~ChaosProxy() = default;
std::string ChaosProxy::url() const {
  return impl_->server().url();
}
std::vector<TestRequest> ChaosProxy::requests() const {
  return impl_->server().requests();
}

}  // namespace holdfast::test
