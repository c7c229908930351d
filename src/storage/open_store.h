#pragma once
// Opens a repository's object store from its URL, wrapped in the decorators every command uses.
// The order of wrapping, from the caller inwards: rate limit, metrics, retry, [test faults],
// [tests of frozen classes], the store itself. So retries are counted as requests inside `metrics`
// only once per call, and injected faults are retried exactly as real ones.

#include <memory>
#include <string>

#include "storage/metrics_store.h"
#include "storage/object_store.h"
#include "storage/retry_store.h"
#include "storage/s3_store.h"

namespace holdfast {

struct StoreOptions {
  std::string url;    // file:///srv/backups or s3://bucket/prefix
  S3Options s3 = {};  // bucket and prefix are taken from the URL
  RetryPolicy retry = {};
  std::uint64_t rate = 0;  // bytes per second, both directions; 0: no limit
  std::shared_ptr<StoreMetrics> metrics = nullptr;  // counts land here, if given
};

// Throws kConfiguration for a URL that is neither file:/// nor s3://, kUsage for a folder that is
// to be seen as of a time. Makes no request.
std::unique_ptr<ObjectStore> open_store(const StoreOptions& options);

// Makes the place itself where Holdfast may (a folder); a bucket must exist already.
void create_store(const StoreOptions& options);

}  // namespace holdfast
