#include "storage/s3_store.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "storage/s3_answers.h"
#include "storage/s3_bucket.h"
#include "storage/s3_versions.h"
#include "storage/storage_class.h"

namespace holdfast {
namespace {

constexpr std::size_t kDeleteKeysMax = 1000;
constexpr std::size_t kParallelRequests = 16;
constexpr int kHeadAttemptsMax = 3;

// Every object has an ETag, told by PUT and GET. What has none is a page that somebody else sent.
Error not_from_s3(const S3Call& call) {
  return Error(ErrorKind::kRepository,
               fmt::format("S3 {} {}: the answer is not of an S3 server: it has no ETag",
                           call.method, call.object),
               {.object = call.object,
                .hint = "check for a proxy between here and the S3 server",
                .retryable = true});
}

// Nor has the failure of a server that began its answer before it was done: it stands in a 200.
void require_object(const S3Call& call, const HttpResponse& response) {
  if (response.status != 200 || response.header("etag")) return;
  const S3Failure failure = read_failure(response);
  if (failure.code.empty()) throw not_from_s3(call);
  throw Error(ErrorKind::kRepository,
              fmt::format("S3 {} {} failed: HTTP 200 with {} {}", call.method, call.object,
                          failure.code, failure.message),
              {.object = call.object, .retryable = true});
}

class S3Store final : public ObjectStore, public Thawing, public Versioning {
 public:
  S3Store(const S3Options& options, S3Surroundings surroundings)
      : bucket_(options, std::move(surroundings)), options_(bucket_.options()) {
    if (options.as_of) as_of_.emplace(bucket_, *options.as_of);
    capabilities_ = {
        .exclusive_create = true, .storage_classes = true, .parallel_requests = kParallelRequests};
  }

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override;
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override;
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override;
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override;
  ListPage list(const ListRequest& request, const std::stop_token& stop) override;
  void remove(const std::string& name, const std::stop_token& stop) override;
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override;
  std::optional<ThawState> thaw_state(const std::string& name,
                                      const std::stop_token& stop) override;
  ThawState request_thaw(const std::string& name, const ThawRequest& request,
                         const std::stop_token& stop) override;
  const Capabilities& capabilities() const override { return capabilities_; }
  Timestamp now(const std::stop_token& stop) override;
  std::string describe() const override { return bucket_.describe(); }
  VersioningState versioning_state(const std::stop_token& stop) override {
    return s3_versioning_state(bucket_, stop);
  }
  VersionsPage list_versions(const ListRequest& request, const std::stop_token& stop) override {
    return list_s3_versions(bucket_, request, stop);
  }
  void remove_version(const std::string& name, const std::string& version,
                      const std::stop_token& stop) override {
    refuse_when_as_of();
    remove_s3_version(bucket_, name, version, stop);
  }
  void copy_version(const std::string& name, const ObjectVersion& version,
                    const std::stop_token& stop) override {
    refuse_when_as_of();
    copy_s3_version(bucket_, name, version, stop);
  }

 private:
  using Query = std::vector<QueryParameter>;
  std::string key_of(const std::string& name) const { return bucket_.key_of(name); }
  std::string name_of(const std::string& key) const { return bucket_.name_of(key); }
  HttpResponse send(const S3Request& request, const S3Call& call, const std::stop_token& stop) {
    return bucket_.send(request, call, stop);
  }
  [[noreturn]] void fail(const S3Call& call, const HttpResponse& response) const {
    bucket_.fail(call, response);
  }
  void refuse_when_as_of() const;
  std::optional<Query> query_of(const std::string& name, const std::stop_token& stop);
  std::vector<HttpHeader> put_headers(ObjectClass object_class) const;
  const std::string& storage_class(ObjectClass object_class) const;
  ObjectInfo head_info(const std::string& name, const S3Call& call,
                       const HttpResponse& response) const;
  bool proven_absent(const std::string& name, const std::stop_token& stop);
  std::optional<HttpResponse> head_answer(const S3Call& call, const std::stop_token& stop);
  std::optional<ThawState> try_to_read(const std::string& name, const std::stop_token& stop);
  void check_object_answer(const S3Call& call, const HttpResponse& response) const;
  void check_range(const S3Call& call, const HttpResponse& response, std::uint64_t offset,
                   std::size_t wanted) const;
  S3Request list_request(const ListRequest& request, std::size_t limit) const;
  void remove_batch(std::span<const std::string> names, std::vector<RemoveFailure>& failures,
                    const std::stop_token& stop);

  S3Bucket bucket_;
  const S3Options& options_;
  std::optional<S3AsOf> as_of_;
  Capabilities capabilities_;
};

void S3Store::refuse_when_as_of() const {
  if (!as_of_) return;
  throw Error(ErrorKind::kRefused, "a repository that is seen as it was cannot be written to",
              {.object = describe() + " as of " + to_rfc3339(as_of_->time())});
}

// What a request for an object says of its version; nullopt: there was no such object then.
std::optional<S3Store::Query> S3Store::query_of(const std::string& name,
                                                const std::stop_token& stop) {
  if (!as_of_) return Query{};
  const auto version = as_of_->find(name, stop);
  if (!version) return std::nullopt;
  return Query{{"versionId", *version}};
}

const std::string& S3Store::storage_class(ObjectClass object_class) const {
  switch (object_class) {
    case ObjectClass::kData:
      return options_.class_data;
    case ObjectClass::kWal:
      return options_.class_wal;
    case ObjectClass::kCatalogue:
      break;
  }
  return options_.class_catalogue;
}

std::vector<HttpHeader> S3Store::put_headers(ObjectClass object_class) const {
  std::vector<HttpHeader> headers{{"If-None-Match", "*"}};
  const std::string& chosen = storage_class(object_class);
  if (!chosen.empty()) headers.push_back({"x-amz-storage-class", chosen});
  if (!options_.server_side_encryption.empty()) {
    headers.push_back({"x-amz-server-side-encryption", options_.server_side_encryption});
  }
  if (!options_.kms_key_id.empty()) {
    headers.push_back({"x-amz-server-side-encryption-aws-kms-key-id", options_.kms_key_id});
  }
  return headers;
}

PutOutcome S3Store::put(const std::string& name, ByteView content, const PutOptions& options,
                        const std::stop_token& stop) {
  HF_INVARIANT(content.size() <= kMaxObjectBytes);
  refuse_when_as_of();
  const S3Call call{.method = "PUT", .object = name, .action = "s3:PutObject"};
  const HttpResponse response = send({.method = "PUT",
                                      .key = key_of(name),
                                      .headers = put_headers(options.object_class),
                                      .body = content},
                                     call, stop);
  if (response.status == 412) return PutOutcome::kExists;
  const bool created = response.status >= 200 && response.status < 300;
  // A server that began its answer before it was done reports the failure inside a 200.
  if (!created || !read_failure(response).code.empty()) fail(call, response);
  if (!response.header("etag")) throw not_from_s3(call);
  return PutOutcome::kCreated;
}

// Without a length or chunks nobody could tell a whole answer from one that was cut off.
void S3Store::check_object_answer(const S3Call& call, const HttpResponse& response) const {
  const auto length = parse_decimal(response.header("content-length").value_or(""));
  const bool chunked = response.header("transfer-encoding") == "chunked";
  if (length ? *length != response.body.size() : !chunked) {
    throw Error(ErrorKind::kRepository,
                fmt::format("S3 GET {}: the answer has no certain length", call.object),
                {.object = call.object, .retryable = true});
  }
  require_object(call, response);
}

std::optional<Bytes> S3Store::get(const std::string& name, const std::stop_token& stop) {
  const S3Call call{.method = "GET", .object = name, .action = "s3:GetObject"};
  const auto query = query_of(name, stop);
  if (!query) return std::nullopt;
  HttpResponse response = send(
      {.key = key_of(name), .query = *query, .response_bytes_max = kMaxObjectBytes}, call, stop);
  if (response.status == 200) {
    check_object_answer(call, response);
    return std::move(response.body);
  }
  if (says_no_such_key(read_failure(response))) return std::nullopt;
  fail(call, response);
}

void S3Store::check_range(const S3Call& call, const HttpResponse& response, std::uint64_t offset,
                          std::size_t wanted) const {
  const auto range = parse_content_range(response.header("content-range").value_or(""));
  if (!range || range->first != offset) {
    throw Error(ErrorKind::kRepository,
                fmt::format("S3 GET {}: the server sent another range than asked for", call.object),
                {.object = call.object, .retryable = true});
  }
  if (response.into_bytes != wanted) {
    throw Error(ErrorKind::kDamage,
                fmt::format("the object ends after {} bytes, but its content should go on to {}",
                            offset + response.into_bytes, offset + wanted),
                {.object = call.object});
  }
}

bool S3Store::get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                        const std::stop_token& stop) {
  HF_INVARIANT(!out.empty());
  const S3Call call{.method = "GET", .object = name, .action = "s3:GetObject"};
  const std::string range = fmt::format("bytes={}-{}", offset, offset + out.size() - 1);
  const auto query = query_of(name, stop);
  if (!query) return false;
  const HttpResponse response =
      send({.key = key_of(name), .query = *query, .headers = {{"Range", range}}, .into = out}, call,
           stop);
  if (response.status == 206) {
    check_range(call, response, offset, out.size());
    return true;
  }
  require_object(call, response);
  const S3Failure failure = read_failure(response);
  if (says_no_such_key(failure)) return false;
  if (response.status == 416) {
    throw Error(
        ErrorKind::kDamage,
        fmt::format("the object ends before byte {}, where its content should go on", offset),
        {.object = name});
  }
  if (response.status == 200) {
    throw Error(ErrorKind::kRepository,
                fmt::format("S3 GET {}: the server does not do ranged reads", name),
                {.object = name, .hint = "Holdfast needs a server that honours Range"});
  }
  fail(call, response);
}

ObjectInfo S3Store::head_info(const std::string& name, const S3Call& call,
                              const HttpResponse& response) const {
  const auto size = parse_decimal(response.header("content-length").value_or(""));
  const auto modified = parse_http_date(response.header("last-modified").value_or(""));
  if (!size || !modified) {
    throw Error(ErrorKind::kRepository,
                fmt::format("S3 {} {}: the answer lacks size or time", call.method, call.object),
                {.object = name, .retryable = true});
  }
  // Amazon leaves the class out when it is the default one.
  return {
      .name = name,
      .size = *size,
      .modified = *modified,
      .storage_class = std::string(response.header("x-amz-storage-class").value_or("STANDARD"))};
}

// The answer to HEAD has no body, so nobody knows who or what its 404 or 403 means: a missing
// bucket, expired keys, a proxy. GET says which.
bool S3Store::proven_absent(const std::string& name, const std::stop_token& stop) {
  const S3Call call{.method = "GET", .object = name, .action = "s3:GetObject"};
  const auto query = query_of(name, stop);
  if (!query) return true;
  const HttpResponse response =
      send({.key = key_of(name), .query = *query, .headers = {{"Range", "bytes=0-0"}}}, call, stop);
  require_object(call, response);
  const S3Failure failure = read_failure(response);
  if (says_no_such_key(failure)) return true;
  if (response.status == 206 || response.status == 200 || response.status == 416) return false;
  fail(call, response);
}

// nullopt: there is no such object.
std::optional<HttpResponse> S3Store::head_answer(const S3Call& call, const std::stop_token& stop) {
  const auto query = query_of(call.object, stop);
  if (!query) return std::nullopt;
  for (int attempt = 1;; ++attempt) {
    HttpResponse response =
        send({.method = "HEAD", .key = key_of(call.object), .query = *query}, call, stop);
    if (response.status == 200) return response;
    if (is_retryable(read_failure(response))) fail(call, response);
    if (proven_absent(call.object, stop)) return std::nullopt;
    if (attempt == kHeadAttemptsMax) fail(call, response);  // GET sees it, HEAD does not
  }
}

std::optional<ObjectInfo> S3Store::head(const std::string& name, const std::stop_token& stop) {
  const S3Call call{.method = "HEAD", .object = name, .action = "s3:GetObject"};
  const auto response = head_answer(call, stop);
  if (!response) return std::nullopt;
  return head_info(name, call, *response);
}

// Some servers have a class of that name that does not freeze anything.
std::optional<ThawState> S3Store::try_to_read(const std::string& name,
                                              const std::stop_token& stop) {
  const S3Call call{.method = "GET", .object = name, .action = "s3:GetObject"};
  const auto query = query_of(name, stop);
  if (!query) return std::nullopt;
  const HttpResponse response =
      send({.key = key_of(name), .query = *query, .headers = {{"Range", "bytes=0-0"}}}, call, stop);
  require_object(call, response);
  if (response.status == 206 || response.status == 416) return ThawState::kReadable;
  const S3Failure failure = read_failure(response);
  if (failure.code == "InvalidObjectState") return ThawState::kFrozen;
  if (says_no_such_key(failure)) return std::nullopt;
  fail(call, response);
}

std::optional<ThawState> S3Store::thaw_state(const std::string& name, const std::stop_token& stop) {
  const S3Call call{.method = "HEAD", .object = name, .action = "s3:GetObject"};
  const auto response = head_answer(call, stop);
  if (!response) return std::nullopt;
  if (!is_frozen_class(head_info(name, call, *response).storage_class)) return ThawState::kReadable;
  const std::string_view thawing = response->header("x-amz-restore").value_or("");
  if (thawing.find("ongoing-request=\"true\"") != thawing.npos) return ThawState::kThawing;
  if (thawing.find("ongoing-request=\"false\"") != thawing.npos) return ThawState::kReadable;
  return try_to_read(name, stop);
}

ThawState S3Store::request_thaw(const std::string& name, const ThawRequest& request,
                                const std::stop_token& stop) {
  const S3Call call{.method = "POST (restore)", .object = name, .action = "s3:RestoreObject"};
  const std::string body = restore_body(request);
  Query query = query_of(name, stop).value_or(Query{});
  query.push_back({"restore", ""});
  const HttpResponse response = send({.method = "POST",
                                      .key = key_of(name),
                                      .query = std::move(query),
                                      .headers = {{"Content-Type", "application/xml"}},
                                      .body = as_bytes(body)},
                                     call, stop);
  const S3Failure failure = read_failure(response);
  if (failure.code == "RestoreAlreadyInProgress") return ThawState::kThawing;
  if (response.status == 202 && failure.code.empty()) return ThawState::kThawing;
  // Is thawed, and stays so for the days asked for now.
  if (response.status == 200 && failure.code.empty()) return ThawState::kReadable;
  fail(call, response);
}

S3Request S3Store::list_request(const ListRequest& request, std::size_t limit) const {
  S3Request list{.query = {{"list-type", "2"},
                           {"encoding-type", "url"},
                           {"max-keys", std::to_string(std::min(limit, kS3ListKeysMax))},
                           {"prefix", key_of(request.prefix)}},
                 .response_bytes_max = kS3ListBytesMax};
  if (request.group_folders) list.query.push_back({"delimiter", "/"});
  return list;
}

ListPage S3Store::list(const ListRequest& request, const std::stop_token& stop) {
  HF_INVARIANT(request.limit > 0);
  if (as_of_) return as_of_->list(request, stop);
  const S3Call call{.method = "LIST",
                    .object = request.prefix.empty() ? describe() : request.prefix,
                    .action = "s3:ListBucket"};
  ListPage page;
  std::string continuation;
  for (;;) {
    const std::size_t have = page.objects.size() + page.folders.size();
    S3Request list = list_request(request, request.limit - have);
    if (!continuation.empty()) {
      list.query.push_back({"continuation-token", continuation});
    } else if (!request.after.empty()) {
      list.query.push_back({"start-after", key_of(request.after)});
    }
    const HttpResponse response = send(list, call, stop);
    if (response.status != 200) fail(call, response);
    S3ListAnswer answer = parse_list(response.body);
    for (ObjectInfo& object : answer.objects) {
      object.name = name_of(object.name);
      page.objects.push_back(std::move(object));
    }
    for (const std::string& folder : answer.folders) page.folders.push_back(name_of(folder));
    if (!answer.truncated) return page;
    const bool full = page.objects.size() + page.folders.size() >= request.limit;
    if (full) break;
    if (answer.continuation.empty() || answer.continuation == continuation) {
      throw Error(ErrorKind::kRepository, "the S3 server's list does not say how to go on",
                  {.object = call.object, .retryable = true});
    }
    continuation = answer.continuation;
  }
  const std::string last_object = page.objects.empty() ? "" : page.objects.back().name;
  const std::string last_folder = page.folders.empty() ? "" : page.folders.back();
  page.next = last_object > last_folder ? last_object : last_folder + std::string(kS3LastCharacter);
  return page;
}

void S3Store::remove(const std::string& name, const std::stop_token& stop) {
  refuse_when_as_of();
  const S3Call call{.method = "DELETE", .object = name, .action = "s3:DeleteObject"};
  const HttpResponse response = send({.method = "DELETE", .key = key_of(name)}, call, stop);
  const S3Failure failure = read_failure(response);
  const bool removed = response.status >= 200 && response.status < 300;
  if (removed && failure.code.empty()) return;
  if (!says_no_such_key(failure)) fail(call, response);
}

void S3Store::remove_batch(std::span<const std::string> names, std::vector<RemoveFailure>& failures,
                           const std::stop_token& stop) {
  const S3Call call{.method = "DELETE (batch)",
                    .object = fmt::format("{} and {} more", names.front(), names.size() - 1),
                    .action = "s3:DeleteObject"};
  std::vector<std::string> keys;
  keys.reserve(names.size());
  for (const std::string& name : names) keys.push_back(key_of(name));
  const std::string body = delete_body(keys);
  const HttpResponse response = send({.method = "POST",
                                      .query = {{"delete", ""}},
                                      .headers = {{"Content-Type", "application/xml"}},
                                      .body = as_bytes(body),
                                      .response_bytes_max = kS3ListBytesMax},
                                     call, stop);
  const S3Failure refused = read_failure(response);
  if (refused.code == "AccessDenied") {  // of the batch as a whole: nothing was deleted
    for (const std::string& name : names) failures.push_back({name, "AccessDenied"});
    return;
  }
  if (response.status != 200 || !refused.code.empty()) fail(call, response);
  for (const S3DeleteFailure& failure : parse_delete(response.body)) {
    if (failure.code == "NoSuchKey") continue;
    const S3Failure one{
        .status = 200, .code = failure.code, .message = failure.message, .region = {}};
    if (is_retryable(one)) throw to_error(call, one, bucket_.client().keys_source());
    failures.push_back({name_of(failure.key), failure.message.empty()
                                                  ? failure.code
                                                  : failure.code + ": " + failure.message});
  }
}

std::vector<RemoveFailure> S3Store::remove_many(const std::vector<std::string>& names,
                                                const std::stop_token& stop) {
  refuse_when_as_of();
  std::vector<RemoveFailure> failures;
  const std::span<const std::string> all(names);
  for (std::size_t at = 0; at < all.size(); at += kDeleteKeysMax) {
    check_cancelled(stop);
    remove_batch(all.subspan(at, std::min(kDeleteKeysMax, all.size() - at)), failures, stop);
  }
  return failures;
}

Timestamp S3Store::now(const std::stop_token& stop) {
  if (const auto time = bucket_.client().server_time()) return *time;
  const S3Call call{.method = "HEAD", .object = describe(), .action = "s3:ListBucket"};
  const HttpResponse response = send({.method = "HEAD"}, call, stop);
  const auto time =
      bucket_.client().server_time();  // whatever the status: the clock is what was asked for
  if (time) return *time;
  throw Error(ErrorKind::kRepository, "the S3 server's answers carry no date",
              {.object = describe(), .retryable = is_retryable(read_failure(response))});
}

std::string random_hex() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

}  // namespace

std::unique_ptr<ObjectStore> make_s3_store(const S3Options& options, S3Surroundings surroundings) {
  return std::make_unique<S3Store>(options, std::move(surroundings));
}

std::unique_ptr<ObjectStore> make_s3_store(const S3Options& options) {
  return make_s3_store(options, S3Surroundings{});
}

bool probe_exclusive_create(ObjectStore& store, const std::string& prefix,
                            const std::stop_token& stop) {
  const std::string name = prefix + "probe-" + random_hex();
  const std::string first = "first " + random_hex();
  const std::string second = "second " + random_hex();
  store.put(name, as_bytes(first), {}, stop);
  const PutOutcome outcome = store.put(name, as_bytes(second), {}, stop);
  const std::optional<Bytes> stored = store.get(name, stop);
  store.remove_many({name}, stop);  // without the right to delete it stays: a few bytes
  return outcome == PutOutcome::kExists && stored && as_text(*stored) == first;
}

}  // namespace holdfast
