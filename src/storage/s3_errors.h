#pragma once
// What an S3 server says went wrong, and the Error that Holdfast makes of it.
// Every message names the request, the HTTP status, S3's code and S3's message. Codes decide what
// is worth retrying; the status decides where there is no code.
// Source: Amazon S3 API reference, "Error responses".

#include <string>

#include "core/error.h"
#include "system/http_client.h"

namespace holdfast {

struct S3Failure {
  int status = 0;
  std::string code;     // "NoSuchKey"; empty when the answer has none (HEAD, a proxy's page)
  std::string message;  // S3's own words
  std::string region;   // the bucket's region, where the answer tells it
};

// The request that failed, for messages.
struct S3Call {
  std::string method;  // "PUT", "LIST", "DELETE (batch)" …
  std::string object;  // the object's name, or what was listed
  std::string action;  // the permission it needs: "s3:PutObject"
};

// Reads status, headers and body of an answer; never throws on what is in them.
S3Failure read_failure(const HttpResponse& response);

// True when the server itself says that the object does not exist: the one proof of absence.
bool says_no_such_key(const S3Failure& failure);

bool is_retryable(const S3Failure& failure);

// Always kRepository. `keys_from` says where the keys came from; it is part of hints.
Error to_error(const S3Call& call, const S3Failure& failure, const std::string& keys_from);

}  // namespace holdfast
