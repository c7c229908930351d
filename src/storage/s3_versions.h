#pragma once
// The older versions in a bucket: listing and bringing back, and (S3AsOf) which version of a name
// was there at a time.
// Errors: kUsage where the bucket has no versioning; else as storage/object_store.h.
// Threads: any. Memory: one page of a listing; S3AsOf also remembers the versions of the names that
// were listed or asked for last, at most kRemembered.
// Source: Amazon S3 API reference, as in storage/versioning.h.

#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "storage/s3_bucket.h"
#include "storage/versioning.h"

namespace holdfast {

VersioningState s3_versioning_state(S3Bucket& bucket, const std::stop_token& stop);
VersionsPage list_s3_versions(S3Bucket& bucket, const ListRequest& request,
                              const std::stop_token& stop);
void remove_s3_version(S3Bucket& bucket, const std::string& name, const std::string& version,
                       const std::stop_token& stop);
void copy_s3_version(S3Bucket& bucket, const std::string& name, const ObjectVersion& version,
                     const std::stop_token& stop);

class S3AsOf {
 public:
  S3AsOf(S3Bucket& bucket, Timestamp time) : bucket_(bucket), time_(time) {}

  Timestamp time() const { return time_; }
  // As ObjectStore::list, at that time.
  ListPage list(const ListRequest& request, const std::stop_token& stop);
  // The id of the version that was there; nullopt: there was none.
  std::optional<std::string> find(const std::string& name, const std::stop_token& stop);

 private:
  static constexpr std::size_t kRemembered = 50'000;

  void require_versions(const std::stop_token& stop);
  bool was_there(const std::string& folder, const std::stop_token& stop);
  void remember(const std::string& name, const std::string& version);

  S3Bucket& bucket_;
  const Timestamp time_;
  std::mutex mutex_;  // guards everything below
  bool known_to_have_versions_ = false;
  std::map<std::string, std::string> versions_;
};

}  // namespace holdfast
