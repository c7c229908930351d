#pragma once
// What the tests of this suite share: one real S3 server for the whole program, a bucket of its own
// for each test.

#include <atomic>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "storage/s3_store.h"
#include "support/s3_server.h"

namespace holdfast::test {

inline const std::stop_token kNoStop;

// Started at the first call, ended with the program's last test.
S3Server& shared_server();

std::string new_bucket_name();

class S3Test : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
    bucket_ = new_bucket_name();
    server().create_bucket(bucket_);
  }

  static S3Server& server() { return shared_server(); }
  S3Options options() const { return server().store_options(bucket_, "some/prefix"); }
  std::unique_ptr<ObjectStore> store() const { return make_s3_store(options()); }

  // The error that the call throws; kBug when it throws none.
  template <class Call>
  static Error error_of(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    return Error(ErrorKind::kBug, "no error was thrown");
  }

  std::string bucket_;
};

inline std::string text_of(const std::optional<Bytes>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "(absent)";
}

}  // namespace holdfast::test
