// The signer against signatures that Amazon published: the four examples of "Authenticating
// Requests: Using the Authorization Header" (Amazon S3 API reference), and requests of the
// Signature Version 4 test suite.
#include "storage/sigv4.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Timestamp at(std::string_view text) {
  return parse_rfc3339(text).value();
}

std::string header(const SignableRequest& request, std::string_view name) {
  for (const HttpHeader& candidate : request.headers) {
    if (candidate.name == name) return candidate.value;
  }
  return "(none)";
}

std::string signature(const SignableRequest& request) {
  const std::string authorization = header(request, "Authorization");
  const std::size_t begin = authorization.find("Signature=");
  return begin == std::string::npos ? authorization : authorization.substr(begin + 10);
}

// The S3 documentation's account, bucket and day.
std::string s3_signature(SignableRequest request) {
  const AccessKeys keys{.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                        .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                        .session_token = ""};
  request.headers.push_back({"Host", "examplebucket.s3.amazonaws.com"});
  request.headers.push_back({"x-amz-content-sha256", request.payload_sha256});
  SigV4Signer signer;
  signer.sign(request, keys, {.region = "us-east-1", .service = "s3"}, at("2013-05-24T00:00:00Z"));
  return signature(request);
}

SignableRequest s3_get(std::string path, std::string query) {
  return {.method = "GET",
          .encoded_path = std::move(path),
          .canonical_query = std::move(query),
          .payload_sha256 = std::string(kSha256OfNothing),
          .headers = {}};
}

const AccessKeys kSuiteKeys{.access_key_id = "AKIDEXAMPLE",
                            .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                            .session_token = ""};

SignableRequest suite_request(std::string method, std::string query) {
  SignableRequest request{.method = std::move(method),
                          .encoded_path = "/",
                          .canonical_query = std::move(query),
                          .payload_sha256 = std::string(kSha256OfNothing),
                          .headers = {{"Host", "example.amazonaws.com"}}};
  SigV4Signer signer;
  signer.sign(request, kSuiteKeys, {.region = "us-east-1", .service = "service"},
              at("2015-08-30T12:36:00Z"));
  return request;
}

TEST(SigV4, PublishedExampleGetObject) {
  SignableRequest request = s3_get("/test.txt", "");
  request.headers.push_back({"Range", "bytes=0-9"});
  EXPECT_EQ(s3_signature(request),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, PublishedExamplePutObject) {
  SignableRequest request{
      .method = "PUT",
      .encoded_path = "/" + uri_encode("test$file.text", Slash::kKeep),
      .canonical_query = "",
      .payload_sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                  {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}};
  EXPECT_EQ(s3_signature(request),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SigV4, PublishedExampleGetBucketLifecycle) {
  EXPECT_EQ(s3_signature(s3_get("/", canonical_query({{"lifecycle", ""}}))),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(SigV4, PublishedExampleListObjects) {
  EXPECT_EQ(s3_signature(s3_get("/", canonical_query({{"prefix", "J"}, {"max-keys", "2"}}))),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4, SuiteGetVanilla) {
  EXPECT_EQ(header(suite_request("GET", ""), "Authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(SigV4, SuitePostVanilla) {
  EXPECT_EQ(signature(suite_request("POST", "")),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

TEST(SigV4, SuiteQueryOrderKeyCase) {
  const std::string query = canonical_query({{"Param2", "value2"}, {"Param1", "value1"}});
  EXPECT_EQ(query, "Param1=value1&Param2=value2");
  EXPECT_EQ(signature(suite_request("GET", query)),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

TEST(SigV4, SuiteHeaderRepeatedIsJoined) {
  SignableRequest request{.method = "GET",
                          .encoded_path = "/",
                          .canonical_query = "",
                          .payload_sha256 = std::string(kSha256OfNothing),
                          .headers = {{"Host", "example.amazonaws.com"},
                                      {"My-Header1", "value2"},
                                      {"My-Header1", " value2"},
                                      {"My-Header1", "value1  "}}};
  SigV4Signer signer;
  signer.sign(request, kSuiteKeys, {.region = "us-east-1", .service = "service"},
              at("2015-08-30T12:36:00Z"));
  EXPECT_EQ(signature(request), "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea");
}

TEST(SigV4, SessionTokenIsSentAndSigned) {
  AccessKeys keys = kSuiteKeys;
  keys.session_token = "token==";
  SignableRequest request{.method = "GET",
                          .encoded_path = "/",
                          .canonical_query = "",
                          .payload_sha256 = std::string(kSha256OfNothing),
                          .headers = {{"Host", "example.amazonaws.com"}}};
  SigV4Signer signer;
  signer.sign(request, keys, {.region = "us-east-1", .service = "s3"}, at("2015-08-30T12:36:00Z"));
  EXPECT_EQ(header(request, "X-Amz-Security-Token"), "token==");
  EXPECT_NE(header(request, "Authorization").find("x-amz-date;x-amz-security-token"),
            std::string::npos);
}

// The kept derived key must not survive a change of anything it is derived from.
TEST(SigV4, DerivedKeyFollowsDayRegionServiceAndSecret) {
  const auto sign_with = [](SigV4Signer& signer, std::string region, std::string service,
                            std::string secret, std::string_view time) {
    SignableRequest request{.method = "GET",
                            .encoded_path = "/",
                            .canonical_query = "",
                            .payload_sha256 = std::string(kSha256OfNothing),
                            .headers = {{"Host", "example.amazonaws.com"}}};
    signer.sign(request,
                {.access_key_id = "A", .secret_access_key = std::move(secret), .session_token = ""},
                {.region = std::move(region), .service = std::move(service)}, at(time));
    return signature(request);
  };
  SigV4Signer kept;
  for (const char* time : {"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"}) {
    for (const char* region : {"us-east-1", "eu-central-1"}) {
      for (const char* service : {"s3", "sts"}) {
        for (const char* secret : {"one", "two"}) {
          SigV4Signer fresh;
          EXPECT_EQ(sign_with(kept, region, service, secret, time),
                    sign_with(fresh, region, service, secret, time));
        }
      }
    }
  }
}

TEST(UriEncode, EverythingButTheUnreserved) {
  EXPECT_EQ(uri_encode("AZaz09-._~", Slash::kEncode), "AZaz09-._~");
  EXPECT_EQ(uri_encode("a b+c/d%é", Slash::kKeep), "a%20b%2Bc/d%25%C3%A9");
  EXPECT_EQ(uri_encode("a/b", Slash::kEncode), "a%2Fb");
}

TEST(UriEncode, DecodeUndoesIt) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  EXPECT_EQ(uri_decode(uri_encode(every_byte, Slash::kEncode)), every_byte);
  EXPECT_EQ(uri_decode("a%2fb+c%2B"), "a/b c+");
}

TEST(UriEncode, DecodeRefusesTruncatedAndWrongDigits) {
  EXPECT_THROW(uri_decode("a%"), Error);
  EXPECT_THROW(uri_decode("a%4"), Error);
  EXPECT_THROW(uri_decode("a%G0"), Error);
}

TEST(CanonicalQuery, SortsByEncodedNameThenValue) {
  EXPECT_EQ(canonical_query({{"b", "2"}, {"a", "z"}, {"a", "b c"}, {"a-", ""}}),
            "a=b%20c&a=z&a-=&b=2");
}

}  // namespace
}  // namespace holdfast
