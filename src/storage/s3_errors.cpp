#include "storage/s3_errors.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <pugixml.hpp>

namespace holdfast {
namespace {

constexpr std::size_t kMessageCharactersMax = 300;

template <std::size_t size>
bool one_of(std::string_view code, const std::array<std::string_view, size>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// Keeps a message printable and short, whatever the server sent.
std::string printable(std::string_view text) {
  std::string clean;
  for (const char c : text.substr(0, kMessageCharactersMax)) {
    clean += static_cast<unsigned char>(c) < 0x20U ? ' ' : c;
  }
  return clean;
}

std::string hint_for(const S3Call& call, const S3Failure& failure, const std::string& keys_from) {
  constexpr std::array<std::string_view, 5> kKeyCodes{"InvalidAccessKeyId", "SignatureDoesNotMatch",
                                                      "ExpiredToken", "InvalidToken",
                                                      "TokenRefreshRequired"};
  if (one_of(failure.code, kKeyCodes)) {
    return fmt::format("check the keys; these came from {}", keys_from);
  }
  if (failure.code == "NoSuchBucket") return "create the bucket, or correct the repository's URL";
  if (failure.code == "RequestTimeTooSkewed") return "correct the clock of this machine";
  if (failure.code == "InvalidObjectState") {
    return "bring it back from its frozen storage class first: 'holdfast restore --thaw' asks for "
           "what a backup needs (RestoreObject)";
  }
  if (failure.code == "GlacierExpeditedRetrievalNotAvailable") {
    return "S3 has no capacity for expedited retrievals now: ask with standard speed";
  }
  if (failure.status == 403) {
    std::string hint = fmt::format("allow {} to the keys from {}", call.action, keys_from);
    if (call.action == "s3:GetObject") {
      hint += "; without s3:ListBucket, S3 gives this answer for a missing object too";
    }
    return hint;
  }
  if (failure.status == 404 || failure.status == 405 || failure.status == 301) {
    return "check endpoint, region and path_style: this may not be the S3 server of the bucket";
  }
  return {};
}

}  // namespace

S3Failure read_failure(const HttpResponse& response) {
  S3Failure failure{.status = response.status, .code = {}, .message = {}, .region = {}};
  failure.region = response.header("x-amz-bucket-region").value_or("");
  pugi::xml_document document;
  if (response.body.empty() || !document.load_buffer(response.body.data(), response.body.size())) {
    return failure;
  }
  const pugi::xml_node error = document.child("Error");
  failure.code = printable(error.child_value("Code"));
  failure.message = printable(error.child_value("Message"));
  if (failure.region.empty()) failure.region = error.child_value("Region");
  return failure;
}

bool says_no_such_key(const S3Failure& failure) {
  return failure.status == 404 && failure.code == "NoSuchKey";
}

bool is_retryable(const S3Failure& failure) {
  constexpr std::array<std::string_view, 12> kPassing{"SlowDown",
                                                      "SlowDownRead",
                                                      "SlowDownWrite",
                                                      "InternalError",
                                                      "ServiceUnavailable",
                                                      "RequestTimeout",
                                                      "RequestTimeoutException",
                                                      "ConditionalRequestConflict",
                                                      "OperationAborted",
                                                      "Throttling",
                                                      "TooManyRequests",
                                                      "BadDigest"};
  if (one_of(failure.code, kPassing)) return true;
  constexpr std::array<int, 6> kPassingStatus{408, 429, 500, 502, 503, 504};
  return std::find(kPassingStatus.begin(), kPassingStatus.end(), failure.status) !=
         kPassingStatus.end();
}

Error to_error(const S3Call& call, const S3Failure& failure, const std::string& keys_from) {
  std::string what =
      fmt::format("S3 {} {} failed: HTTP {}", call.method, call.object, failure.status);
  if (!failure.code.empty()) what += " " + failure.code;
  if (!failure.message.empty()) what += ": " + failure.message;
  if (failure.code == "InvalidObjectState") what += " (the object is in a frozen storage class)";
  return Error(ErrorKind::kRepository, std::move(what),
               {.object = call.object,
                .hint = hint_for(call, failure, keys_from),
                .retryable = is_retryable(failure)});
}

}  // namespace holdfast
