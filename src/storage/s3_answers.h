#pragma once
// Reading and writing the XML (and the dates) of S3. Sizes are bounded by what the HTTP client lets
// in. Errors: Error(kRepository, retryable) for an answer that is not what it should be: a proxy's
// page in its place passes, and a server that never answers right fails after the retries.
// Source: Amazon S3 API reference, ListObjectsV2, ListObjectVersions, DeleteObjects
// and RestoreObject;
// RFC 9110 for dates.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "storage/thawing.h"
#include "storage/versioning.h"

namespace holdfast {

struct S3ListAnswer {
  std::vector<ObjectInfo> objects;   // full keys
  std::vector<std::string> folders;  // full common prefixes
  bool truncated = false;
  std::string continuation;
};

// An answer to ListObjectsV2 with encoding-type=url.
S3ListAnswer parse_list(ByteView body);

struct S3VersionEntry {
  std::string key;  // full
  ObjectVersion version;
};
struct S3VersionsAnswer {
  std::vector<S3VersionEntry> versions;
  std::vector<std::string> folders;  // full common prefixes
  bool truncated = false;
};
// An answer to ListObjectVersions with encoding-type=url.
S3VersionsAnswer parse_versions(ByteView body);
// An answer to GetBucketVersioning.
VersioningState parse_versioning(ByteView body);

// The body of DeleteObjects, asking for failures only.
std::string delete_body(std::span<const std::string> keys);

// The body of RestoreObject.
std::string restore_body(const ThawRequest& request);

struct S3DeleteFailure {
  std::string key;
  std::string code;
  std::string message;
};
std::vector<S3DeleteFailure> parse_delete(ByteView body);

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<Timestamp> parse_http_date(std::string_view text);

// "bytes 0-9/146515" or "bytes 0-9/*"
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

std::optional<std::uint64_t> parse_decimal(std::string_view text);

}  // namespace holdfast
