#pragma once
// ObjectStore on a bucket: Amazon S3 and servers that speak its protocol.
// Every object is written with one PUT and `If-None-Match: *`, signed with Signature Version 4 over
// the SHA-256 of the body, with Content-MD5 (Object Lock demands it).
// Sources: Amazon S3 API reference (PutObject, GetObject, HeadObject, ListObjectsV2, DeleteObject,
// DeleteObjects, error responses) and "Signature Version 4 signing process".

#include <chrono>
#include <memory>
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
  // Credentials: explicit files first, else the usual AWS chain (environment, web identity,
  // profile in credentials_file, container, instance metadata).
  std::string access_key_file, secret_key_file, session_token_file;
  std::string profile, credentials_file;
  std::string server_side_encryption;  // "", "AES256", "aws:kms"
  std::string kms_key_id;
  std::string class_catalogue, class_data, class_wal;  // storage classes; empty: the bucket's own
};

// No request is made before the first call. Credentials are found on first use.
std::unique_ptr<ObjectStore> make_s3_store(const S3Options& options);

}  // namespace holdfast
