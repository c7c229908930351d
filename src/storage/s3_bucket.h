#pragma once
// One bucket, or what lies below a prefix of it: names to keys and back, and requests whose errors
// say what was being done. What storage/s3_store.h and storage/s3_versions.h are made of.
// Errors, threads: as storage/s3_client.h.

#include <stop_token>
#include <string>
#include <string_view>

#include "core/error.h"
#include "storage/s3_client.h"
#include "storage/s3_errors.h"

namespace holdfast {

// S3's own limits.
inline constexpr std::size_t kS3ListBytesMax = std::size_t{16} << 20U;  // 1,000 keys, encoded
inline constexpr std::size_t kS3ListKeysMax = 1000;

// The greatest string that a name below a folder begins with: listing after it skips the folder.
inline constexpr std::string_view kS3LastCharacter = "\xF4\x8F\xBF\xBF";  // U+10FFFF

class S3Bucket {
 public:
  S3Bucket(const S3Options& options, S3Surroundings surroundings)
      : options_(options), client_(options, std::move(surroundings)) {}

  const S3Options& options() const { return options_; }
  S3Client& client() { return client_; }
  std::string describe() const;

  std::string key_of(const std::string& name) const;
  // kRepository for a key that lies elsewhere.
  std::string name_of(const std::string& key) const;

  HttpResponse send(const S3Request& request, const S3Call& call, const std::stop_token& stop);
  [[noreturn]] void fail(const S3Call& call, const HttpResponse& response) const;

 private:
  const S3Options options_;
  S3Client client_;
};

}  // namespace holdfast
