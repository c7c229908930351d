#pragma once
// An S3 store whose server is a script of the test: answers that a real server gives rarely or
// never.

#include <deque>
#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "storage/s3_client.h"
#include "storage/s3_store.h"
#include "support/test_http_server.h"

namespace holdfast {

using test::TestAnswer;
using test::TestHttpServer;
using test::TestRequest;

inline const std::stop_token kNoStop;

class SetClock final : public Clock {
 public:
  Timestamp now() const override { return time; }
  Timestamp time = system_clock().now();
};

inline std::string error_xml(const std::string& code, const std::string& extra = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code +
         "</Code><Message>told by the test</Message>" + extra + "</Error>";
}

inline TestAnswer error_answer(int status, const std::string& code, const std::string& extra = "") {
  return {.status = status, .body = error_xml(code, extra)};
}

// What a server says to a PUT that it has carried out.
inline TestAnswer stored() {
  return {.status = 200, .headers = {{"ETag", "\"e\""}}};
}

class S3StoreTest : public testing::Test {
 protected:
  S3StoreTest() : server_([this](const TestRequest& request) { return next(request); }) {
    options_.bucket = "bucket";
    options_.prefix = "pre/fix";
    options_.endpoint = server_.url();
    options_.path_style = true;
  }

  // Answers come in this order; the last one again and again.
  void script(std::initializer_list<TestAnswer> answers) {
    const std::lock_guard lock(mutex_);
    answers_.assign(answers);
  }

  TestAnswer next(const TestRequest&) {
    const std::lock_guard lock(mutex_);
    if (answers_.empty()) return {.status = 500};
    TestAnswer answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }

  ObjectStore& store() {
    if (!store_) {
      store_ = make_s3_store(options_, {.environment = environment(), .clock = &clock_});
    }
    return *store_;
  }

  EnvironmentLookup environment() {
    return [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
  }

  template <class Call>
  Error error_of(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    return Error(ErrorKind::kBug, "no error was thrown");
  }

  Error put_error() {
    return error_of([this] { store().put("n", as_bytes("x"), {}, kNoStop); });
  }
  Error get_error() {
    return error_of([this] { store().get("n", kNoStop); });
  }

  SetClock clock_;
  std::map<std::string, std::string> variables_{{"AWS_ACCESS_KEY_ID", "AKID"},
                                                {"AWS_SECRET_ACCESS_KEY", "TOPSECRET"}};
  S3Options options_;
  std::mutex mutex_;
  std::deque<TestAnswer> answers_;
  TestHttpServer server_;
  std::unique_ptr<ObjectStore> store_;
};

}  // namespace holdfast
