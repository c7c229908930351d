#pragma once
// ObjectStore on a bucket: Amazon S3 and servers that speak its protocol.
// Every object is written with one PUT and `If-None-Match: *`, signed with Signature Version 4 over
// the SHA-256 of the body, with Content-MD5 (Object Lock demands it).
// Absent is only what the server itself calls NoSuchKey; a missing bucket, a page of a proxy or a
// denied request is an error. A server's wrong idea of the clock or the region is corrected and the
// request signed again once; everything else is left to storage/retry_store.h.
// capabilities().exclusive_create is what the protocol promises; probe_exclusive_create() finds out
// whether the server keeps it. Ceph 16, for one, does in plain buckets and not in versioned ones.
// In a versioned bucket (Object Lock) a removal hides the object behind a delete marker: it is gone
// from every read and list, while its bytes stay for as long as the bucket's rules keep them. With
// `as_of` the store shows what was there at that time, reads by version, and refuses every write
// (kRefused); where the bucket has no versioning each call is kUsage. now() stays the server's.
// Sources: Amazon S3 API reference (PutObject, GetObject, HeadObject, ListObjectsV2, DeleteObject,
// DeleteObjects, error responses) and "Signature Version 4 signing process".

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "storage/object_store.h"

namespace holdfast {

struct S3Options {
  std::string bucket;
  std::string prefix;    // without leading or trailing '/'; may be empty
  std::string region;    // empty: from the environment or profile, else us-east-1
  std::string endpoint;  // empty: Amazon's for the region
  bool path_style = false;
  std::string ca_file;
  bool verify_tls = true;
  std::string proxy;
  std::chrono::seconds stall_timeout{60};  // of a request: no byte in either direction for so long
  // Credentials: explicit files first, else the usual AWS chain (environment, web identity,
  // profile in credentials_file, container, instance metadata).
  std::string access_key_file, secret_key_file, session_token_file;
  std::string profile, credentials_file;
  std::string server_side_encryption;  // "", "AES256", "aws:kms"
  std::string kms_key_id;
  std::optional<Timestamp> as_of;                      // see the bucket as it was then
  std::string class_catalogue, class_data, class_wal;  // storage classes; empty: the bucket's own
};

// No request is made before the first call. Credentials are found on first use.
std::unique_ptr<ObjectStore> make_s3_store(const S3Options& options);

// Whether the store really creates and never replaces: creates a small object of a random name
// under `prefix` twice, expects the second put to be told kExists and the first content to be
// there still, and removes it again. Some servers ignore If-None-Match and overwrite in silence.
// Throws what put and get throw.
bool probe_exclusive_create(ObjectStore& store, const std::string& prefix,
                            const std::stop_token& stop);

}  // namespace holdfast
