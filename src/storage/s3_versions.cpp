#include "storage/s3_versions.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "storage/s3_answers.h"
#include "storage/sigv4.h"

namespace holdfast {
namespace {

// Nobody writes a name so often: each is created once (invariant 1).
constexpr std::size_t kVersionsOfNameMax = 100'000;

S3Call listing_of(const S3Bucket& bucket, const std::string& prefix) {
  return {.method = "LIST (versions)",
          .object = prefix.empty() ? bucket.describe() : prefix,
          .action = "s3:ListBucketVersions"};
}

// Where a listing of versions goes on.
struct Marker {
  std::string key, version;
  bool operator==(const Marker&) const = default;
};

S3Request list_request(const S3Bucket& bucket, const ListRequest& request, const Marker& marker) {
  S3Request list{.query = {{"versions", ""},
                           {"encoding-type", "url"},
                           {"max-keys", std::to_string(std::min(request.limit, kS3ListKeysMax))},
                           {"prefix", bucket.key_of(request.prefix)}},
                 .response_bytes_max = kS3ListBytesMax};
  if (request.group_folders) list.query.push_back({"delimiter", "/"});
  if (!marker.key.empty()) list.query.push_back({"key-marker", marker.key});
  if (!marker.version.empty()) list.query.push_back({"version-id-marker", marker.version});
  return list;
}

// The entries of one answer, grouped by name behind what `page` has already.
void append(VersionsPage& page, const S3Bucket& bucket, S3VersionsAnswer& answer,
            const ListRequest& request) {
  const std::size_t old = page.names.size();
  const auto group = [&](const std::string& name) -> VersionsOfName& {
    if (page.names.empty() || page.names.back().name != name) page.names.push_back({.name = name});
    return page.names.back();
  };
  for (S3VersionEntry& entry : answer.versions) {
    const std::string name = bucket.name_of(entry.key);
    // Servers do not agree on whether a listing begins with its marker or behind it.
    if (!request.after.empty() && name <= request.after) continue;
    VersionsOfName& of = group(name);
    if (!of.versions.empty() && of.versions.back().id == entry.version.id) continue;
    if (of.versions.size() == kVersionsOfNameMax) {
      throw Error(ErrorKind::kRepository, "an object has more versions than Holdfast looks through",
                  {.object = name});
    }
    of.versions.push_back(std::move(entry.version));
  }
  for (const std::string& key : answer.folders) {
    const std::string name = bucket.name_of(key);
    if (!request.after.empty() && name <= request.after) continue;
    page.names.push_back({.name = name, .folder = true});
  }
  std::stable_sort(page.names.begin() + static_cast<std::ptrdiff_t>(old), page.names.end(),
                   [](const auto& a, const auto& b) { return a.name < b.name; });
}

std::string after(const VersionsOfName& name) {
  return name.folder ? name.name + std::string(kS3LastCharacter) : name.name;
}

}  // namespace

VersioningState s3_versioning_state(S3Bucket& bucket, const std::stop_token& stop) {
  const S3Call call{.method = "GET (versioning)",
                    .object = bucket.describe(),
                    .action = "s3:GetBucketVersioning"};
  const HttpResponse response = bucket.send({.query = {{"versioning", ""}}}, call, stop);
  if (response.status == 200) return parse_versioning(response.body);
  const S3Failure failure = read_failure(response);
  // NotImplemented is what servers without the feature say.
  if (failure.code == "NotImplemented") return VersioningState::kNone;
  if (is_retryable(failure)) bucket.fail(call, response);
  return VersioningState::kUnknown;
}

VersionsPage list_s3_versions(S3Bucket& bucket, const ListRequest& request,
                              const std::stop_token& stop) {
  const S3Call call = listing_of(bucket, request.prefix);
  VersionsPage page;
  Marker marker;
  if (!request.after.empty()) marker.key = bucket.key_of(request.after);
  for (;;) {
    check_cancelled(stop);
    const HttpResponse response = bucket.send(list_request(bucket, request, marker), call, stop);
    if (response.status != 200) bucket.fail(call, response);
    S3VersionsAnswer answer = parse_versions(response.body);
    // Not from the answer's own markers: Ceph does not encode them as it does the names.
    Marker next;
    if (!answer.versions.empty()) {
      next = {.key = answer.versions.back().key, .version = answer.versions.back().version.id};
    }
    append(page, bucket, answer, request);
    if (!answer.truncated) return page;
    // The rest of the last name's versions may come with the next answer, so it is left to it.
    const bool one_is_complete = page.names.size() > 1;
    if (one_is_complete) page.names.pop_back();
    if (one_is_complete || (!page.names.empty() && page.names.back().folder)) {
      page.next = after(page.names.back());
      return page;
    }
    if (next.key.empty() || next == marker) {
      throw Error(ErrorKind::kRepository, "the S3 server's list does not say how to go on",
                  {.object = call.object, .retryable = true});
    }
    marker = next;
  }
}

void remove_s3_version(S3Bucket& bucket, const std::string& name, const std::string& version,
                       const std::stop_token& stop) {
  const S3Call call{
      .method = "DELETE (version)", .object = name, .action = "s3:DeleteObjectVersion"};
  const HttpResponse response = bucket.send(
      {.method = "DELETE", .key = bucket.key_of(name), .query = {{"versionId", version}}}, call,
      stop);
  const bool removed = response.status >= 200 && response.status < 300;
  const S3Failure failure = read_failure(response);
  // Of a request that is repeated because its answer was lost.
  if (failure.code == "NoSuchVersion" || says_no_such_key(failure)) return;
  if (!removed || !failure.code.empty()) bucket.fail(call, response);
}

void copy_s3_version(S3Bucket& bucket, const std::string& name, const ObjectVersion& version,
                     const std::stop_token& stop) {
  const S3Call call{.method = "PUT (copy of a version)",
                    .object = name,
                    .action = "s3:PutObject and s3:GetObjectVersion"};
  const S3Options& options = bucket.options();
  std::vector<HttpHeader> headers{
      {"x-amz-copy-source",
       uri_encode('/' + options.bucket + '/' + bucket.key_of(name), Slash::kKeep) +
           "?versionId=" + version.id},
      // A copy over the same name wants something to change.
      {"x-amz-metadata-directive", "REPLACE"}};
  if (!version.storage_class.empty()) {
    headers.push_back({"x-amz-storage-class", version.storage_class});
  }
  if (!options.server_side_encryption.empty()) {
    headers.push_back({"x-amz-server-side-encryption", options.server_side_encryption});
  }
  if (!options.kms_key_id.empty()) {
    headers.push_back({"x-amz-server-side-encryption-aws-kms-key-id", options.kms_key_id});
  }
  const HttpResponse response = bucket.send(
      {.method = "PUT", .key = bucket.key_of(name), .headers = std::move(headers)}, call, stop);
  if (response.status != 200 || !read_failure(response).code.empty()) bucket.fail(call, response);
}

void S3AsOf::require_versions(const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (known_to_have_versions_) return;
  }
  if (s3_versioning_state(bucket_, stop) == VersioningState::kNone) {
    throw no_versions(bucket_.describe());
  }
  const std::lock_guard lock(mutex_);
  known_to_have_versions_ = true;
}

void S3AsOf::remember(const std::string& name, const std::string& version) {
  const std::lock_guard lock(mutex_);
  if (versions_.size() >= kRemembered) versions_.clear();
  versions_.insert_or_assign(name, version);
}

bool S3AsOf::was_there(const std::string& folder, const std::stop_token& stop) {
  return !list({.prefix = folder, .limit = 1}, stop).objects.empty();
}

ListPage S3AsOf::list(const ListRequest& request, const std::stop_token& stop) {
  HF_INVARIANT(request.limit > 0);
  require_versions(stop);
  ListRequest versions = request;
  versions.limit = std::min(request.limit + 1, kS3ListKeysMax);  // one is always left over
  ListPage page;
  for (;;) {
    const VersionsPage found = list_s3_versions(bucket_, versions, stop);
    for (const VersionsOfName& name : found.names) {
      if (page.objects.size() + page.folders.size() == request.limit) {
        page.next = versions.after;
        return page;
      }
      versions.after = after(name);
      if (name.folder) {
        if (was_there(name.name, stop)) page.folders.push_back(name.name);
      } else if (const ObjectVersion* version = version_as_of(name, time_)) {
        remember(name.name, version->id);
        page.objects.push_back({.name = name.name,
                                .size = version->size,
                                .modified = version->modified,
                                .storage_class = version->storage_class});
      }
    }
    if (!found.next) return page;
    versions.after = *found.next;
  }
}

std::optional<std::string> S3AsOf::find(const std::string& name, const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = versions_.find(name);
    if (known != versions_.end()) return known->second;
  }
  require_versions(stop);
  // Of all names that begin with it, it is the first itself.
  const VersionsPage found = list_s3_versions(bucket_, {.prefix = name, .limit = 2}, stop);
  if (found.names.empty() || found.names.front().name != name) return std::nullopt;
  const ObjectVersion* version = version_as_of(found.names.front(), time_);
  if (version == nullptr) return std::nullopt;
  remember(name, version->id);
  return version->id;
}

}  // namespace holdfast
