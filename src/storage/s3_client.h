#pragma once
// Signed requests to one bucket. Corrects by itself, and signs again once each, what a first answer
// reveals: a clock that is off, the bucket's region, expired keys. Everything else is the caller's:
// send() returns every answer, whatever its status, and does not retry.
// Errors: of the transport as in system/http_client.h (kRepository), of the keys as in
//   storage/credentials.h.
// Threads: all methods may be called from several threads at once.

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/time.h"
#include "storage/credentials.h"
#include "storage/s3_errors.h"
#include "storage/s3_store.h"
#include "storage/sigv4.h"
#include "system/http_client.h"

namespace holdfast {

// What a store learns from outside its options; a test gives its own.
struct S3Surroundings {
  EnvironmentLookup environment = process_environment();
  const Clock* clock = &system_clock();  // outlives the store; used for signing and expiry only
};

struct S3Request {
  std::string method = "GET";
  std::string key = {};  // the full object key; empty: the bucket itself
  std::vector<QueryParameter> query = {};
  std::vector<HttpHeader> headers = {};
  ByteView body = {};
  MutableByteView into = {};  // as in HttpRequest
  std::size_t response_bytes_max = std::size_t{1} << 20U;
};

class S3Client {
 public:
  S3Client(const S3Options& options, S3Surroundings surroundings);

  HttpResponse send(const S3Request& request, const std::stop_token& stop);

  // The server's clock, reckoned from the date of its latest answer; nullopt before the first.
  std::optional<Timestamp> server_time() const;

  // Where the keys of the latest request came from, for messages.
  std::string keys_source() const;

 private:
  struct Target {
    std::string url;
    std::string host;
    std::string path;
  };
  struct BodyHashes {
    std::string sha256_hex;
    std::string md5_base64;
  };
  // What a request was signed with. Another one may have learned better since.
  struct Signing {
    Credentials credentials;
    std::string region;
    std::chrono::microseconds clock_correction{0};
  };
  // What one request has already tried to correct.
  struct Corrections {
    bool clock = false;
    bool region = false;
    bool keys = false;
  };

  static BodyHashes hash_body(ByteView body);
  CredentialProvider& provider();
  Target target(const S3Request& request, const std::string& region) const;
  std::string region();
  Signing signing(const std::stop_token& stop);
  HttpResponse send_once(const S3Request& request, const BodyHashes& hashes, const Signing& signing,
                         const std::stop_token& stop);
  void remember_date(const HttpResponse& response);
  bool correct(const HttpResponse& response, const Signing& signing, Corrections& corrections);
  bool correct_clock(const HttpResponse& response, const S3Failure& failure,
                     const Signing& signing);
  bool correct_region(const S3Failure& failure, const Signing& signing);

  const S3Options options_;
  const S3Surroundings surroundings_;
  std::string scheme_;     // "https://"; empty endpoint: Amazon's
  std::string authority_;  // of the endpoint, without the bucket; empty: Amazon's
  std::string base_path_;  // of the endpoint; mostly empty
  HttpClient http_;
  SigV4Signer signer_;

  mutable std::mutex mutex_;  // guards everything below
  std::unique_ptr<CredentialProvider> provider_;
  std::string region_;
  std::string keys_source_;
  std::chrono::microseconds clock_correction_{0};  // server's clock minus this machine's
  std::optional<Timestamp> server_date_;
  std::chrono::steady_clock::time_point server_date_at_;
};

// As make_s3_store, with the given surroundings.
std::unique_ptr<ObjectStore> make_s3_store(const S3Options& options, S3Surroundings surroundings);

}  // namespace holdfast
