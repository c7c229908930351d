// The storage conformance suite on a real S3 server, in every way of reaching it.
#include "storage/conformance.h"

#include "suite.h"

namespace holdfast::test {
namespace {

using S3Conformance = S3Test;

std::vector<ConformanceCheck> checks_of(ObjectStore& store, std::size_t listed_objects) {
  return run_conformance(
      store, {.scratch_prefix = "conformance/", .listed_objects = listed_objects}, kNoStop);
}

void expect_conforms(ObjectStore& store, std::size_t listed_objects) {
  const auto checks = checks_of(store, listed_objects);
  EXPECT_GT(checks.size(), 5U);
  for (const ConformanceCheck& check : checks) {
    EXPECT_EQ(check.outcome, CheckOutcome::kOk) << check.name << ": " << check.detail;
  }
}

TEST_F(S3Conformance, PathStyle) {
  expect_conforms(*store(), 1100);
}

TEST_F(S3Conformance, VirtualHostStyleWithoutPrefix) {
  S3Options virtual_host = server().store_options(bucket_);
  virtual_host.endpoint = server().virtual_host_endpoint();
  virtual_host.path_style = false;
  expect_conforms(*make_s3_store(virtual_host), 100);
}

TEST_F(S3Conformance, TlsWithAnAuthorityOfOurOwn) {
  S3Options tls = options();
  tls.endpoint = server().virtual_host_tls_endpoint();
  tls.ca_file = server().ca_file();
  tls.path_style = false;
  expect_conforms(*make_s3_store(tls), 100);
}

// Ceph 16 ignores If-None-Match in versioned buckets, and Object Lock makes a bucket versioned.
// What matters is that nobody trusts such a bucket by mistake: the suite and the probe must both
// see it.
TEST_F(S3Conformance, BucketWithObjectLockWorksAndItsOverwritingIsSeen) {
  const std::string locked = new_bucket_name();
  server().create_bucket(locked, ObjectLock::kOn);
  const auto store = make_s3_store(server().store_options(locked, "locked"));
  bool suite_says_exclusive = true;
  for (const ConformanceCheck& check : checks_of(*store, 20)) {
    if (check.name == "create only" || check.name == "concurrent creators") {
      suite_says_exclusive = suite_says_exclusive && check.outcome == CheckOutcome::kOk;
    } else {
      EXPECT_EQ(check.outcome, CheckOutcome::kOk) << check.name << ": " << check.detail;
    }
  }
  store->put("twice", as_bytes("first"), {}, kNoStop);
  const PutOutcome again = store->put("twice", as_bytes("second"), {}, kNoStop);
  EXPECT_EQ(suite_says_exclusive, again == PutOutcome::kExists);
  EXPECT_EQ(probe_exclusive_create(*store, "probe/", kNoStop), again == PutOutcome::kExists);
}

}  // namespace
}  // namespace holdfast::test
