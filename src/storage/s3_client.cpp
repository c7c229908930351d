#include "storage/s3_client.h"

#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "storage/s3_answers.h"

namespace holdfast {
namespace {

constexpr std::size_t kHashBlockBytes = std::size_t{64} << 10U;  // stays in the cache for both
constexpr std::chrono::minutes kClockToleranceMax{5};

struct DigestDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Digest {
 public:
  explicit Digest(const EVP_MD* algorithm) : context_(EVP_MD_CTX_new()) {
    check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), algorithm, nullptr) == 1);
  }
  void update(ByteView bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  Bytes finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_.get(), value.data(), &size) == 1);
    const ByteView bytes = std::as_bytes(std::span(value.data(), size));
    return to_bytes(bytes);
  }

 private:
  static void check(bool worked) {
    if (!worked) throw Error(ErrorKind::kHost, "OpenSSL cannot compute SHA-256 or MD5");
  }
  std::unique_ptr<EVP_MD_CTX, DigestDeleter> context_;
};

std::string base64(ByteView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

HttpClientOptions http_options(const S3Options& options) {
  return {.failure_kind = ErrorKind::kRepository,
          .ca_file = options.ca_file,
          .tls_check = options.verify_tls ? TlsCheck::kVerify : TlsCheck::kSkip,
          .proxy = options.proxy,
          .stall_timeout = options.stall_timeout};
}

CredentialOptions credential_options(const S3Options& options) {
  return {.access_key_file = options.access_key_file,
          .secret_key_file = options.secret_key_file,
          .session_token_file = options.session_token_file,
          .profile = options.profile,
          .credentials_file = options.credentials_file,
          .region = options.region,
          .proxy = options.proxy};
}

std::string amazon_authority(const std::string& region) {
  return fmt::format("s3.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
}

bool has_body(const S3Request& request) {
  return request.method == "PUT" || request.method == "POST";
}

}  // namespace

S3Client::S3Client(const S3Options& options, S3Surroundings surroundings)
    : options_(options), surroundings_(std::move(surroundings)), http_(http_options(options)) {
  if (options_.bucket.empty()) {
    throw Error(ErrorKind::kConfiguration, "the repository's URL names no bucket",
                {.hint = "s3://bucket/prefix"});
  }
  scheme_ = "https://";
  authority_ = options_.endpoint;
  const std::size_t scheme_end = authority_.find("://");
  if (scheme_end != std::string::npos) {
    scheme_ = authority_.substr(0, scheme_end + 3);
    authority_.erase(0, scheme_end + 3);
  }
  if (scheme_ != "https://" && scheme_ != "http://") {
    throw Error(ErrorKind::kConfiguration, "the endpoint must be http:// or https://",
                {.object = options_.endpoint});
  }
  const std::size_t slash = authority_.find('/');
  if (slash != std::string::npos) {
    base_path_ = authority_.substr(slash);
    authority_.erase(slash);
    while (base_path_.ends_with('/')) base_path_.pop_back();
  }
}

// SHA-256 for the signature and MD5 for Content-MD5 in one pass over memory.
S3Client::BodyHashes S3Client::hash_body(ByteView body) {
  Digest sha256(EVP_sha256());
  Digest md5(EVP_md5());
  for (std::size_t at = 0; at < body.size(); at += kHashBlockBytes) {
    const ByteView block = body.subspan(at, std::min(kHashBlockBytes, body.size() - at));
    sha256.update(block);
    md5.update(block);
  }
  return {.sha256_hex = to_hex(sha256.finish()), .md5_base64 = base64(md5.finish())};
}

std::string S3Client::region() {
  {
    const std::lock_guard lock(mutex_);
    if (!region_.empty()) return region_;
  }
  std::string found = options_.region;
  if (found.empty()) {
    found =
        find_region(credential_options(options_), surroundings_.environment).value_or("us-east-1");
  }
  const std::lock_guard lock(mutex_);
  if (region_.empty()) region_ = std::move(found);
  return region_;
}

CredentialProvider& S3Client::provider() {
  CredentialOptions options = credential_options(options_);
  options.region = region();
  const std::lock_guard lock(mutex_);
  if (!provider_) {
    provider_ = make_credential_provider(std::move(options), surroundings_.environment,
                                         *surroundings_.clock);
  }
  return *provider_;
}

S3Client::Target S3Client::target(const S3Request& request, const std::string& region) const {
  // A bucket name with a dot does not fit Amazon's wildcard certificate.
  const bool dotted = options_.bucket.find('.') != std::string::npos && scheme_ == "https://";
  const bool path_style = options_.path_style || dotted;
  Target target;
  target.host = authority_.empty() ? amazon_authority(region) : authority_;
  target.path = base_path_ + '/';
  if (path_style) {
    target.path += uri_encode(options_.bucket, Slash::kEncode);
    if (!request.key.empty()) target.path += '/';
  } else {
    target.host.insert(0, options_.bucket + '.');
  }
  target.path += uri_encode(request.key, Slash::kKeep);
  target.url = scheme_ + target.host + target.path;
  return target;
}

S3Client::Signing S3Client::signing(const std::stop_token& stop) {
  Signing signing{.credentials = provider().get(stop), .region = region()};
  const std::lock_guard lock(mutex_);
  keys_source_ = signing.credentials.source;
  signing.clock_correction = clock_correction_;
  return signing;
}

std::optional<Timestamp> S3Client::server_time() const {
  const std::lock_guard lock(mutex_);
  if (!server_date_) return std::nullopt;
  const auto since = std::chrono::steady_clock::now() - server_date_at_;
  return *server_date_ + std::chrono::duration_cast<std::chrono::microseconds>(since);
}

std::string S3Client::keys_source() const {
  const std::lock_guard lock(mutex_);
  return keys_source_;
}

HttpResponse S3Client::send_once(const S3Request& request, const BodyHashes& hashes,
                                 const Signing& signing, const std::stop_token& stop) {
  const Target where = target(request, signing.region);
  SignableRequest signable{.method = request.method,
                           .encoded_path = where.path,
                           .canonical_query = canonical_query(request.query),
                           .payload_sha256 = hashes.sha256_hex,
                           .headers = request.headers};
  signable.headers.push_back({"Host", where.host});
  signable.headers.push_back({"x-amz-content-sha256", hashes.sha256_hex});
  if (has_body(request)) signable.headers.push_back({"Content-MD5", hashes.md5_base64});
  signer_.sign(signable, signing.credentials.keys, {.region = signing.region, .service = "s3"},
               surroundings_.clock->now() + signing.clock_correction);
  const std::string query = signable.canonical_query.empty() ? "" : "?" + signable.canonical_query;
  const HttpRequest http_request{.method = request.method,
                                 .url = where.url + query,
                                 .headers = std::move(signable.headers),
                                 .body = request.body,
                                 .into = request.into,
                                 .response_bytes_max = request.response_bytes_max};
  return http_.request(http_request, stop);
}

void S3Client::remember_date(const HttpResponse& response) {
  const auto date = parse_http_date(response.header("date").value_or(""));
  if (!date) return;
  const std::lock_guard lock(mutex_);
  server_date_ = date;
  server_date_at_ = std::chrono::steady_clock::now();
}

// Any refusal counts, not RequestTimeTooSkewed alone: some servers call it a wrong signature.
bool S3Client::correct_clock(const HttpResponse& response, const S3Failure& failure,
                             const Signing& signing) {
  const auto date = parse_http_date(response.header("date").value_or(""));
  if (failure.status != 403 || !date) return false;
  const std::lock_guard lock(mutex_);
  if (clock_correction_ != signing.clock_correction) return true;
  const auto off = *date - (surroundings_.clock->now() + clock_correction_);
  if (off <= kClockToleranceMax && off >= -kClockToleranceMax) return false;
  clock_correction_ += off;
  return true;
}

bool S3Client::correct_region(const S3Failure& failure, const Signing& signing) {
  const bool may_be_region = failure.status == 301 || failure.status == 307 ||
                             failure.status == 400 || failure.status == 403;
  if (!may_be_region || failure.region.empty()) return false;
  const std::lock_guard lock(mutex_);
  if (failure.region == signing.region) return false;
  region_ = failure.region;
  return true;
}

bool S3Client::correct(const HttpResponse& response, const Signing& signing,
                       Corrections& corrections) {
  const S3Failure failure = read_failure(response);
  if (!corrections.clock && correct_clock(response, failure, signing)) {
    return corrections.clock = true;
  }
  if (!corrections.region && correct_region(failure, signing)) return corrections.region = true;
  const bool expired = failure.code == "ExpiredToken" || failure.code == "TokenRefreshRequired";
  if (corrections.keys || !expired) return false;
  provider().reject(signing.credentials);
  return corrections.keys = true;
}

HttpResponse S3Client::send(const S3Request& request, const std::stop_token& stop) {
  const BodyHashes hashes = has_body(request)
                                ? hash_body(request.body)
                                : BodyHashes{std::string(kSha256OfNothing), std::string()};
  Corrections corrections;  // each at most once, so this loop ends
  for (;;) {
    const Signing with = signing(stop);
    HttpResponse response = send_once(request, hashes, with, stop);
    remember_date(response);
    if (response.status < 300 || !correct(response, with, corrections)) return response;
  }
}

}  // namespace holdfast
