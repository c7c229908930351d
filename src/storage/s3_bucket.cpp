#include "storage/s3_bucket.h"

#include <fmt/format.h>

namespace holdfast {

std::string S3Bucket::describe() const {
  return fmt::format("s3://{}/{}", options_.bucket, options_.prefix);
}

std::string S3Bucket::key_of(const std::string& name) const {
  return options_.prefix.empty() ? name : options_.prefix + '/' + name;
}

std::string S3Bucket::name_of(const std::string& key) const {
  if (options_.prefix.empty()) return key;
  if (!key.starts_with(options_.prefix + '/')) {
    throw Error(ErrorKind::kRepository, "the S3 server listed a name that was not asked for",
                {.object = key, .retryable = true});
  }
  return key.substr(options_.prefix.size() + 1);
}

// Transport errors say what was being done.
HttpResponse S3Bucket::send(const S3Request& request, const S3Call& call,
                            const std::stop_token& stop) {
  try {
    return client_.send(request, stop);
  } catch (Error& error) {
    if (error.kind() == ErrorKind::kRepository) {
      error.during(fmt::format("S3 {} {}", call.method, call.object));
    }
    throw;
  }
}

void S3Bucket::fail(const S3Call& call, const HttpResponse& response) const {
  throw to_error(call, read_failure(response), client_.keys_source());
}

}  // namespace holdfast
