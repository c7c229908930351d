// Every source of credentials, against files and real local HTTP servers in the place of AWS's.
#include "storage/credentials.h"

#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "storage/credentials_profile.h"
#include "support/temp_folder.h"
#include "support/test_http_server.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::TestAnswer;
using test::TestHttpServer;
using test::TestRequest;

const std::stop_token kNoStop;

class SetClock final : public Clock {
 public:
  Timestamp now() const override { return Timestamp(std::chrono::microseconds(micros_)); }
  void set(std::string_view text) {
    micros_ = parse_rfc3339(text).value().time_since_epoch().count();
  }
  void advance(std::chrono::microseconds by) { micros_ += by.count(); }

 private:
  std::atomic<std::int64_t> micros_{0};
};

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    clock_.set("2026-01-01T00:00:00Z");
    variables_["HOME"] = folder_.path().string();
    variables_["AWS_EC2_METADATA_DISABLED"] = "true";
  }

  std::unique_ptr<CredentialProvider> provider() {
    return make_credential_provider(options_, environment(), clock_);
  }

  EnvironmentLookup environment() {
    return [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
  }

  Credentials get() { return provider()->get(kNoStop); }

  Error error() {
    try {
      get();
    } catch (const Error& thrown) {
      return thrown;
    }
    return Error(ErrorKind::kBug, "no error was thrown");
  }

  std::string file(const std::string& name, const std::string& text) {
    test::write_text(folder_ / name, text);
    std::filesystem::permissions(
        folder_ / name, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return (folder_ / name).string();
  }

  test::TempFolder folder_;
  std::map<std::string, std::string> variables_;
  CredentialOptions options_;
  SetClock clock_;
};

TEST_F(CredentialsTest, FilesOfTheConfigurationComeFirst) {
  variables_["AWS_ACCESS_KEY_ID"] = "of-environment";
  variables_["AWS_SECRET_ACCESS_KEY"] = "x";
  options_.access_key_file = file("id", "ID\n");
  options_.secret_key_file = file("key", "SECRET\n");
  options_.session_token_file = file("token", "TOKEN\n");
  const Credentials found = get();
  EXPECT_EQ(found.keys.access_key_id, "ID");
  EXPECT_EQ(found.keys.secret_access_key, "SECRET");
  EXPECT_EQ(found.keys.session_token, "TOKEN");
  EXPECT_FALSE(found.expires);
}

TEST_F(CredentialsTest, SecretFileThatOthersMayReadIsRefused) {
  options_.access_key_file = file("id", "ID");
  options_.secret_key_file = file("key", "SECRET");
  std::filesystem::permissions(folder_ / "key", std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(error().kind(), ErrorKind::kConfiguration);
}

TEST_F(CredentialsTest, OneOfTwoFilesIsAnErrorNotTheNextSource) {
  variables_["AWS_ACCESS_KEY_ID"] = "of-environment";
  variables_["AWS_SECRET_ACCESS_KEY"] = "x";
  options_.access_key_file = file("id", "ID");
  EXPECT_EQ(error().kind(), ErrorKind::kConfiguration);
}

TEST_F(CredentialsTest, EnvironmentWithSessionToken) {
  variables_["AWS_ACCESS_KEY_ID"] = "ID";
  variables_["AWS_SECRET_ACCESS_KEY"] = "SECRET";
  variables_["AWS_SESSION_TOKEN"] = "TOKEN";
  EXPECT_EQ(get().keys.session_token, "TOKEN");
  EXPECT_EQ(get().source, "environment");
}

TEST_F(CredentialsTest, HalfAnEnvironmentIsAnError) {
  variables_["AWS_ACCESS_KEY_ID"] = "ID";
  EXPECT_EQ(error().kind(), ErrorKind::kConfiguration);
}

TEST_F(CredentialsTest, DefaultProfileUnderHome) {
  std::filesystem::create_directory(folder_ / ".aws");
  file(".aws/credentials",
       "# comment\n[other]\naws_access_key_id=NO\n[default]\n"
       "aws_access_key_id = ID   # mine\naws_secret_access_key=S/E+C==\n");
  file(".aws/config", "[default]\nregion = eu-west-3\ns3 =\n  region = nested\n");
  const Credentials found = get();
  EXPECT_EQ(found.keys.access_key_id, "ID");
  EXPECT_EQ(found.keys.secret_access_key, "S/E+C==");
  EXPECT_EQ(find_region(options_, environment()), "eu-west-3");
}

TEST_F(CredentialsTest, NamedProfileIsMergedFromBothFilesAndTheCredentialsFileWins) {
  variables_["AWS_PROFILE"] = "backup";
  variables_["AWS_SHARED_CREDENTIALS_FILE"] =
      file("credentials", "[backup]\naws_access_key_id=ID\naws_secret_access_key=SECRET\n");
  variables_["AWS_CONFIG_FILE"] =
      file("config", "[profile backup]\r\nregion=us-west-2\r\naws_access_key_id=LOSES\r\n");
  EXPECT_EQ(get().keys.access_key_id, "ID");
  EXPECT_EQ(find_region(options_, environment()), "us-west-2");
  variables_["AWS_REGION"] = "ap-south-1";
  EXPECT_EQ(find_region(options_, environment()), "ap-south-1");
}

TEST_F(CredentialsTest, ProfileOfTheConfigurationGoesBeforeTheEnvironment) {
  variables_["AWS_ACCESS_KEY_ID"] = "of-environment";
  variables_["AWS_SECRET_ACCESS_KEY"] = "x";
  options_.profile = "backup";
  options_.credentials_file =
      file("credentials", "[backup]\naws_access_key_id=ID\naws_secret_access_key=SECRET\n");
  EXPECT_EQ(get().keys.access_key_id, "ID");
}

TEST_F(CredentialsTest, ProfileThatDoesNotExistIsNamed) {
  options_.profile = "nobody";
  EXPECT_EQ(error().kind(), ErrorKind::kConfiguration);
  EXPECT_NE(error().message().find("nobody"), std::string::npos);
}

TEST_F(CredentialsTest, ProfileThatNeedsWhatWeDoNotDoIsAnErrorNotTheNextSource) {
  options_.profile = "sso";
  options_.credentials_file = file("credentials", "[sso]\nsso_session = corp\n");
  EXPECT_NE(error().message().find("sso_session"), std::string::npos);
}

TEST_F(CredentialsTest, NothingFoundListsWhatWasTried) {
  const Error thrown = error();
  EXPECT_EQ(thrown.kind(), ErrorKind::kConfiguration);
  for (const char* source : {"environment", "web identity", "shared credentials", "container",
                             "AWS_EC2_METADATA_DISABLED"}) {
    EXPECT_NE(thrown.message().find(source), std::string::npos) << source;
  }
  EXPECT_FALSE(thrown.hint().empty());
}

std::string sts_answer(const std::string& id, const std::string& expiration) {
  return "<AssumeRoleWithWebIdentityResponse "
         "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>"
         "<Credentials><AccessKeyId>" +
         id +
         "</AccessKeyId><SecretAccessKey>SECRET"
         "</SecretAccessKey><SessionToken>TOKEN</SessionToken><Expiration>" +
         expiration +
         "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
         "</AssumeRoleWithWebIdentityResponse>";
}

class WebIdentityTest : public CredentialsTest {
 protected:
  WebIdentityTest() : sts_([this](const TestRequest& request) { return answer(request); }) {
    variables_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/r";
    variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = file("jwt", "JWT+1\n");
    variables_["AWS_ENDPOINT_URL_STS"] = sts_.url();
  }

  TestAnswer answer(const TestRequest&) {
    const int call = ++calls_;
    if (failing_) {
      return {.status = 503,
              .body =
                  "<ErrorResponse><Error><Code>IDP</Code></Error>"
                  "</ErrorResponse>"};
    }
    return {.body = sts_answer("ID" + std::to_string(call), expiration_), .delay = delay_};
  }

  std::atomic<int> calls_ = 0;
  std::atomic<bool> failing_ = false;
  std::string expiration_ = "2026-01-01T01:00:00Z";
  std::chrono::milliseconds delay_{0};
  TestHttpServer sts_;
};

TEST_F(WebIdentityTest, ExchangesTheTokenForKeys) {
  const Credentials found = get();
  EXPECT_EQ(found.keys.access_key_id, "ID1");
  EXPECT_EQ(found.keys.session_token, "TOKEN");
  ASSERT_TRUE(found.expires);
  EXPECT_EQ(to_rfc3339(*found.expires), "2026-01-01T01:00:00Z");
  const std::string form = sts_.requests().front().body;
  EXPECT_NE(form.find("Action=AssumeRoleWithWebIdentity"), std::string::npos);
  EXPECT_NE(form.find("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"), std::string::npos);
  EXPECT_NE(form.find("WebIdentityToken=JWT%2B1"), std::string::npos) << form;
}

TEST_F(WebIdentityTest, KeysAreKeptUntilFiveMinutesBeforeTheyExpire) {
  const auto kept = provider();
  kept->get(kNoStop);
  clock_.advance(54min);
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID1");
  clock_.advance(2min);
  file("jwt", "JWT2");
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID2");
  EXPECT_NE(sts_.requests().back().body.find("JWT2"), std::string::npos)
      << "the platform has replaced the token meanwhile";
}

TEST_F(WebIdentityTest, OldKeysServeWhileTheServiceIsDownAndStillValid) {
  const auto kept = provider();
  kept->get(kNoStop);
  failing_ = true;
  clock_.advance(56min);
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID1");
  const int calls = calls_;
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID1");
  EXPECT_EQ(calls_, calls) << "not asked at every request";
  clock_.advance(5min);
  try {
    kept->get(kNoStop);
    FAIL() << "expired keys were given out";
  } catch (const Error& thrown) {
    EXPECT_EQ(thrown.kind(), ErrorKind::kRepository);
    EXPECT_TRUE(thrown.retryable());
  }
  failing_ = false;
  EXPECT_NE(kept->get(kNoStop).keys.access_key_id, "ID1");
}

TEST_F(WebIdentityTest, RejectedKeysAreFetchedAgain) {
  const auto kept = provider();
  const Credentials old = kept->get(kNoStop);
  kept->reject(old);
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID2");
  kept->reject(old);  // a late report about the old keys
  EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID2");
}

TEST_F(WebIdentityTest, ManyConcurrentThreadsFetchOnce) {
  delay_ = 200ms;
  const auto kept = provider();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&kept] { EXPECT_EQ(kept->get(kNoStop).keys.access_key_id, "ID1"); });
  }
  threads.clear();
  EXPECT_EQ(calls_, 1);
}

TEST_F(WebIdentityTest, CancelledWhileFetching) {
  delay_ = 30s;
  const auto kept = provider();
  std::stop_source source;
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(200ms);
    source.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(kept->get(source.get_token()), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
}

TEST_F(WebIdentityTest, RefusalIsAConfigurationErrorWithoutTheToken) {
  TestHttpServer refusing([](const TestRequest& request) {
    return TestAnswer{.status = 403,
                      .body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>" +
                              request.body + "</Message></Error></ErrorResponse>"};
  });
  variables_["AWS_ENDPOINT_URL_STS"] = refusing.url();
  const Error thrown = error();
  EXPECT_EQ(thrown.kind(), ErrorKind::kConfiguration);
  EXPECT_NE(thrown.message().find("AccessDenied"), std::string::npos);
  EXPECT_EQ(thrown.message().find("JWT"), std::string::npos);
}

const char* const kJsonKeys =
    R"({"Code":"Success","AccessKeyId":"ID","SecretAccessKey":"SECRET","Token":"TOKEN",)"
    R"("Expiration":"2026-01-01T06:00:00Z"})";

TEST_F(CredentialsTest, ContainerWithTokenFromAFile) {
  TestHttpServer service([](const TestRequest& request) {
    const bool allowed = request.header("authorization") == "Bearer 1";
    return TestAnswer{.status = allowed ? 200 : 401, .body = kJsonKeys};
  });
  variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service.url() + "/keys?id=1";
  EXPECT_EQ(error().kind(), ErrorKind::kConfiguration);
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file("auth", "Bearer 1\n");
  const Credentials found = get();
  EXPECT_EQ(found.keys.session_token, "TOKEN");
  EXPECT_TRUE(found.expires);
  EXPECT_EQ(service.requests().back().target, "/keys?id=1");
}

TEST_F(CredentialsTest, ContainerTokenIsNeverSentAwayWithoutTls) {
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Bearer 1";
  for (const char* url : {"http://example.com/", "http://127.0.0.1.example.com:80/", "ftp://x/",
                          "http://localhost.example.com/", "http://127.0.0.1@example.com/",
                          "http://localhost:80@example.com/", "http://169.254.169.254/"}) {
    variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    EXPECT_EQ(error().kind(), ErrorKind::kConfiguration) << url;
    EXPECT_NE(error().message().find("must be https"), std::string::npos) << error().message();
  }
}

TEST_F(CredentialsTest, ContainerThatAnswersNonsenseIsRetryable) {
  for (const char* body : {"", "[]", "{\"AccessKeyId\":1}", "<html>", "{\"AccessKeyId\":\"a\"}"}) {
    TestHttpServer service([body](const TestRequest&) { return TestAnswer{.body = body}; });
    variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = service.url();
    EXPECT_EQ(error().kind(), ErrorKind::kRepository) << body;
    EXPECT_TRUE(error().retryable());
  }
}

TEST_F(CredentialsTest, InstanceMetadataWithSessionToken) {
  TestHttpServer metadata([](const TestRequest& request) {
    if (request.method == "PUT" && request.target == "/latest/api/token" &&
        !request.header("x-aws-ec2-metadata-token-ttl-seconds").empty()) {
      return TestAnswer{.body = "IMDS-TOKEN"};
    }
    if (request.header("x-aws-ec2-metadata-token") != "IMDS-TOKEN") {
      return TestAnswer{.status = 401};
    }
    const std::string roles = "/latest/meta-data/iam/security-credentials/";
    if (request.target == roles) return TestAnswer{.body = "my-role\n"};
    if (request.target == roles + "my-role") return TestAnswer{.body = kJsonKeys};
    return TestAnswer{.status = 404};
  });
  variables_.erase("AWS_EC2_METADATA_DISABLED");
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata.url() + "/";
  const Credentials found = get();
  EXPECT_EQ(found.keys.access_key_id, "ID");
  EXPECT_EQ(found.source, "instance metadata");
}

TEST_F(CredentialsTest, InstanceWithoutRoleIsSaid) {
  TestHttpServer metadata([](const TestRequest& request) {
    return request.method == "PUT" ? TestAnswer{.body = "T"} : TestAnswer{.status = 404};
  });
  variables_.erase("AWS_EC2_METADATA_DISABLED");
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata.url();
  EXPECT_NE(error().message().find("no IAM role"), std::string::npos) << error().message();
}

TEST_F(CredentialsTest, InstanceMetadataIsAskedAgainOnPassingTrouble) {
  std::atomic<int> calls = 0;
  TestHttpServer metadata([&calls](const TestRequest& request) {
    if (++calls % 2 == 1) return TestAnswer{.status = 503};
    if (request.method == "PUT") return TestAnswer{.body = "T"};
    return TestAnswer{.body = request.target.ends_with("/") ? "role" : kJsonKeys};
  });
  variables_.erase("AWS_EC2_METADATA_DISABLED");
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata.url();
  EXPECT_EQ(get().keys.access_key_id, "ID");
}

TEST(ProfileFile, TakesAnyTextWithoutHarm) {
  EXPECT_TRUE(parse_profile_file("").empty());
  EXPECT_TRUE(parse_profile_file("a=b\n[broken\n=\n").empty());
  const auto sections = parse_profile_file("[a]\n=v\nk\nk2=\n[ b ]\r\nk=v\r\n");
  EXPECT_EQ(sections.at("a").at("k2"), "");
  EXPECT_EQ(sections.at("b").at("k"), "v");
}

}  // namespace
}  // namespace holdfast
