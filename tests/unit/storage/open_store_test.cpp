#include "storage/open_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/error.h"
#include "temporary_folder.h"

namespace holdfast {
namespace {

using test::TemporaryFolder;

const std::stop_token kNoStop;

ErrorKind kind_of_opening(const std::string& url) {
  try {
    open_store({.url = url});
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kBug;
}

TEST(OpenStore, RefusesUrlsThatNameNoPlace) {
  for (const std::string url : {"", "/srv/backups", "file://srv/backups", "file://", "file:///",
                                "file:////", "s3://", "s3:///prefix", "https://bucket", "S3://b"}) {
    EXPECT_EQ(kind_of_opening(url), ErrorKind::kConfiguration) << url;
  }
}

TEST(OpenStore, NamesThePlace) {
  EXPECT_EQ(open_store({.url = "file:///srv/backups/"})->describe(), "file:///srv/backups");
  EXPECT_EQ(open_store({.url = "s3://bucket/some/prefix/"})->describe(), "s3://bucket/some/prefix");
}

TEST(OpenStore, CreatesAFolderAndCountsWhatPasses) {
  const TemporaryFolder folder;
  const StoreOptions options{.url = "file://" + (folder.path() / "new/repository").native(),
                             .metrics = std::make_shared<StoreMetrics>()};
  create_store(options);
  const auto store = open_store(options);
  EXPECT_EQ(store->put("object", as_bytes("12345"), {}, kNoStop), PutOutcome::kCreated);
  EXPECT_EQ(options.metrics->snapshot().total().requests, 1U);
  EXPECT_EQ(options.metrics->snapshot().total().bytes_out, 5U);
}

TEST(OpenStore, RateHoldsUpTransfers) {
  const TemporaryFolder folder;
  const StoreOptions options{.url = "file://" + (folder.path() / "repository").native(),
                             .rate = 1'000'000};
  create_store(options);
  const auto store = open_store(options);
  const std::string content(1'000'000, 'x');
  const auto start = std::chrono::steady_clock::now();
  store->put("a", as_bytes(content), {}, kNoStop);
  store->put("b", as_bytes(content), {}, kNoStop);
  EXPECT_GT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(450));
}

TEST(OpenStore, InjectedFaultsAreRetriedAndCountedOnce) {
  const TemporaryFolder folder;
  StoreOptions options{.url = "file://" + (folder.path() / "repository").native(),
                       .metrics = std::make_shared<StoreMetrics>()};
  options.retry.first_delay = std::chrono::milliseconds(1);
  create_store(options);
  ::setenv("HOLDFAST_STORE_FAULTS", "put#1x2=fail,get=deny", 1);
  const auto store = open_store(options);
  ::unsetenv("HOLDFAST_STORE_FAULTS");
  EXPECT_EQ(store->put("object", as_bytes("x"), {}, kNoStop), PutOutcome::kCreated);
  EXPECT_EQ(options.metrics->snapshot().of(StoreOperation::kPut).requests, 1U);
  EXPECT_THROW(store->get("object", kNoStop), Error);
  EXPECT_TRUE(open_store(options)->get("object", kNoStop));
}

}  // namespace
}  // namespace holdfast
