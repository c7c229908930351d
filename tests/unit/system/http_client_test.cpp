// The HTTP client against a real server on this machine that also misbehaves.
#include "system/http_client.h"

#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "support/test_http_server.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::TestAnswer;
using test::TestHttpServer;
using test::TestRequest;

const std::stop_token kNoStop;

TestAnswer echo(const TestRequest& request) {
  return {.headers = {{"X-Method", request.method}, {"X-Target", request.target}},
          .body = request.body};
}

std::string long_text(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * i % 23);
  return text;
}

Error error_of(HttpClient& client, const HttpRequest& request) {
  try {
    client.request(request, kNoStop);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kBug, "no error was thrown");
}

TEST(HttpClient, SendsBodiesOfEveryMethodWhole) {
  TestHttpServer server(echo);
  HttpClient client({});
  const std::string body = long_text(3'000'001);
  for (const char* method : {"PUT", "POST"}) {
    const HttpResponse response = client.request({.method = method,
                                                  .url = server.url() + "/a",
                                                  .body = as_bytes(body),
                                                  .response_bytes_max = body.size()},
                                                 kNoStop);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(as_text(response.body), body);
    EXPECT_EQ(response.header("x-method"), method);
  }
  const TestRequest put = server.requests().front();
  EXPECT_EQ(put.header("content-length"), std::to_string(body.size()));
  EXPECT_EQ(put.headers.count("expect"), 0U) << "100-continue costs a round trip";
  EXPECT_EQ(put.headers.count("transfer-encoding"), 0U);
}

TEST(HttpClient, EmptyPutSaysThatItIsEmpty) {
  TestHttpServer server(echo);
  HttpClient client({});
  client.request({.method = "PUT", .url = server.url() + "/"}, kNoStop);
  EXPECT_EQ(server.requests().front().header("content-length"), "0");
}

TEST(HttpClient, PathAndQueryGoOverTheWireAsTheyStand) {
  TestHttpServer server(echo);
  HttpClient client({});
  const std::string target = "/a/../b/./%2F%20c?x=%2B&y=";
  const HttpResponse response = client.request({.url = server.url() + target}, kNoStop);
  EXPECT_EQ(response.header("x-target"), target);
}

TEST(HttpClient, HeadAndDeleteHaveNoBody) {
  TestHttpServer server([](const TestRequest&) { return TestAnswer{.body = "not sent to HEAD"}; });
  HttpClient client({});
  const HttpResponse head = client.request({.method = "HEAD", .url = server.url()}, kNoStop);
  EXPECT_TRUE(head.body.empty());
  EXPECT_EQ(head.header("content-length"), "16");
  client.request({.method = "DELETE", .url = server.url()}, kNoStop);
  EXPECT_EQ(server.requests().at(1).method, "DELETE");
}

TEST(HttpClient, KeepsItsConnection) {
  TestHttpServer server(echo);
  HttpClient client({});
  for (int i = 0; i < 20; ++i) client.request({.url = server.url()}, kNoStop);
  EXPECT_EQ(server.connections(), 1U);
}

TEST(HttpClient, RepeatsOnceWhenAKeptConnectionHadBeenClosed) {
  std::atomic<int> count = 0;
  TestHttpServer server([&count](const TestRequest& request) {
    TestAnswer answer = echo(request);
    answer.drop = ++count == 2;  // the second request finds its kept connection closed
    return answer;
  });
  HttpClient client({});
  const std::string body = long_text(100'000);
  const HttpRequest put{.method = "PUT", .url = server.url(), .body = as_bytes(body)};
  client.request(put, kNoStop);
  EXPECT_EQ(as_text(client.request(put, kNoStop).body), body);
  EXPECT_EQ(server.requests().at(2).body, body) << "the repeated body starts at its beginning";
}

TEST(HttpClient, ConcurrentRequestsDoNotMixTheirAnswers) {
  TestHttpServer server(echo);
  HttpClient client({});
  std::vector<std::jthread> threads;
  std::atomic<int> right = 0;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 50; ++i) {
        const std::string body = std::to_string(thread) + ":" + std::to_string(i);
        const HttpRequest put{.method = "PUT", .url = server.url(), .body = as_bytes(body)};
        if (as_text(client.request(put, kNoStop).body) == body) ++right;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(right, 400);
  EXPECT_LE(server.connections(), 8U);
}

TEST(HttpClient, RangedAnswerGoesIntoTheCallersMemory) {
  TestHttpServer server(
      [](const TestRequest&) { return TestAnswer{.status = 206, .body = "0123456789"}; });
  HttpClient client({});
  Bytes out(10);
  const HttpResponse response =
      client.request({.url = server.url(), .into = out, .response_bytes_max = 0}, kNoStop);
  EXPECT_EQ(response.into_bytes, 10U);
  EXPECT_EQ(as_text(out), "0123456789");
  EXPECT_TRUE(response.body.empty());
}

TEST(HttpClient, RangedAnswerThatIsTooLongNeverWritesPastTheMemory) {
  TestHttpServer server([](const TestRequest&) {
    return TestAnswer{.status = 206, .body = std::string(100'000, 'x')};
  });
  HttpClient client({});
  Bytes memory(20, std::byte{'.'});
  const Error error =
      error_of(client, {.url = server.url(), .into = MutableByteView(memory).first(10)});
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_EQ(as_text(ByteView(memory).last(10)), "..........");
}

TEST(HttpClient, ErrorAnswerLeavesTheCallersMemoryAlone) {
  TestHttpServer server(
      [](const TestRequest&) { return TestAnswer{.status = 404, .body = "gone"}; });
  HttpClient client({});
  Bytes out(10, std::byte{'.'});
  const HttpResponse response = client.request({.url = server.url(), .into = out}, kNoStop);
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(as_text(response.body), "gone");
  EXPECT_EQ(as_text(out), "..........");
}

TEST(HttpClient, AnswerOverTheLimitIsAnErrorThatNoRetryMends) {
  TestHttpServer server(
      [](const TestRequest&) { return TestAnswer{.body = std::string(1001, 'x')}; });
  HttpClient client({});
  const Error error = error_of(client, {.url = server.url(), .response_bytes_max = 1000});
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
  EXPECT_NE(error.message().find("larger"), std::string::npos) << error.message();
}

TEST(HttpClient, AnswerThatIsCutOffIsAnErrorNeverAShortBody) {
  TestHttpServer server([](const TestRequest&) {
    return TestAnswer{.body = std::string(1000, 'x'), .cut_after = 500};
  });
  HttpClient client({});
  const Error error = error_of(client, {.url = server.url()});
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_TRUE(error.retryable());
}

TEST(HttpClient, NobodyListeningIsRetryableAndOfTheKindThatWasChosen) {
  HttpClient client({.failure_kind = ErrorKind::kHost});
  const std::string url = "http://127.0.0.1:" + std::to_string(test::free_port()) + "/x?secret=1";
  const Error error = error_of(client, {.url = url});
  EXPECT_EQ(error.kind(), ErrorKind::kHost);
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(error.object().find("secret"), std::string::npos) << "queries may hold secrets";
}

TEST(HttpClient, RedirectsAreReturnedNotFollowed) {
  TestHttpServer server([](const TestRequest&) {
    return TestAnswer{.status = 301, .headers = {{"Location", "http://127.0.0.1:1/"}}};
  });
  HttpClient client({});
  EXPECT_EQ(client.request({.url = server.url()}, kNoStop).status, 301);
}

TEST(HttpClient, UnknownSchemesAreRefused) {
  HttpClient client({});
  const Error error = error_of(client, {.url = "file:///etc/passwd"});
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
}

TEST(HttpClient, StalledServerEndsTheRequest) {
  TestHttpServer server([](const TestRequest&) { return TestAnswer{.delay = 30s}; });
  HttpClient client({.stall_timeout = 1s});
  const auto start = std::chrono::steady_clock::now();
  const Error error = error_of(client, {.url = server.url()});
  EXPECT_TRUE(error.retryable());
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST(HttpClient, ConcurrentCancelEndsAWaitingRequestWithinASecond) {
  TestHttpServer server([](const TestRequest&) { return TestAnswer{.delay = 30s}; });
  HttpClient client({});
  std::stop_source source;
  std::promise<std::chrono::steady_clock::time_point> asked;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(200ms);
    asked.set_value(std::chrono::steady_clock::now());
    source.request_stop();
  });
  try {
    client.request({.url = server.url()}, source.get_token());
    FAIL() << "not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - asked.get_future().get(), 300ms)
      << "woken, not polled";
}

TEST(HttpClient, CancelBeforeTheRequestSendsNothing) {
  TestHttpServer server(echo);
  HttpClient client({});
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(client.request({.url = server.url()}, source.get_token()), Error);
  EXPECT_EQ(server.connections(), 0U);
}

TEST(HttpClient, ClientWorksOnAfterACancelledRequest) {
  std::atomic<bool> slow = true;
  TestHttpServer server([&slow](const TestRequest& request) {
    TestAnswer answer = echo(request);
    if (slow) answer.delay = 30s;
    return answer;
  });
  HttpClient client({});
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  EXPECT_THROW(client.request({.url = server.url()}, source.get_token()), Error);
  slow = false;
  EXPECT_EQ(client.request({.url = server.url()}, kNoStop).status, 200);
}

TEST(HttpClient, GoesThroughAProxy) {
  TestHttpServer proxy(echo);
  HttpClient client({.proxy = proxy.url()});
  const HttpResponse response =
      client.request({.url = "http://store.example:8080/key?a=b"}, kNoStop);
  EXPECT_EQ(response.header("x-target"), "http://store.example:8080/key?a=b");
}

TEST(HttpClient, ProxyUseNeverIgnoresProxies) {
  TestHttpServer server(echo);
  HttpClient client({.proxy_use = ProxyUse::kNever, .proxy = "http://127.0.0.1:1"});
  EXPECT_EQ(client.request({.url = server.url() + "/x"}, kNoStop).header("x-target"), "/x");
}

TEST(HttpClient, HeadersAreSentAndReadWhateverTheirCase) {
  TestHttpServer server([](const TestRequest& request) {
    return TestAnswer{.headers = {{"ETAG", request.header("x-one") + request.header("x-empty")}}};
  });
  HttpClient client({});
  const HttpRequest request{.url = server.url(), .headers = {{"X-One", "1"}, {"X-Empty", ""}}};
  EXPECT_EQ(client.request(request, kNoStop).header("etag"), "1");
  EXPECT_EQ(server.requests().front().headers.count("x-empty"), 1U);
}

}  // namespace
}  // namespace holdfast
