// What is replaced in texts that people and logs get to see, and what is not.
#include "core/redact.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Redaction {
  const char* text;
  const char* shown;
};
void PrintTo(const Redaction& item, std::ostream* out) {
  *out << item.text;
}

class RedactSecrets : public testing::TestWithParam<Redaction> {};

TEST_P(RedactSecrets, HidesThemAndNothingElse) {
  EXPECT_EQ(redact_secrets(GetParam().text), GetParam().shown);
  EXPECT_EQ(redact_secrets(GetParam().shown), GetParam().shown);
}

INSTANTIATE_TEST_SUITE_P(
    ConnectionStrings, RedactSecrets,
    testing::Values(Redaction{"host=a password=geheim user=b", "host=a password=*** user=b"},
                    Redaction{"password = 'ge heim\\'x' host=a", "password = *** host=a"},
                    Redaction{"password=a\\ b host=c", "password=*** host=c"},
                    Redaction{"password=ge'heim host=c", "password=*** host=c"},
                    Redaction{"sslpassword=x sslkey=/k", "sslpassword=*** sslkey=/k"},
                    Redaction{"host=a passfile=/p", "host=a passfile=/p"},
                    Redaction{"password=geheim", "password=***"},
                    Redaction{"password='geheim", "password=***"},
                    Redaction{"password=", "password="},
                    Redaction{"host=a options='x://y:z@h' password=q",
                              "host=a options='x://y:***@h' password=***"},
                    Redaction{"PGPASSWORD=geheim psql", "PGPASSWORD=*** psql"},
                    Redaction{"alter role a PASSWORD 'ge''heim", "alter role a PASSWORD ***'heim"},
                    Redaction{"", ""}));

INSTANTIATE_TEST_SUITE_P(
    Urls, RedactSecrets,
    testing::Values(
        Redaction{"postgresql://u:geheim@h/db", "postgresql://u:***@h/db"},
        Redaction{"postgresql://u:ge@he/im@h/db", "postgresql://u:***@h/db"},
        Redaction{"postgresql://u:ge?heim@h/db", "postgresql://u:***@h/db"},
        Redaction{"postgresql://u:ge h@im@h/db", "postgresql://u:***@h/db"},
        Redaction{"postgresql://u:1 2@h/db", "postgresql://u:***@h/db"},
        Redaction{"postgresql://u:@h/db", "postgresql://u:@h/db"},
        Redaction{"postgresql://u@h/db?password=ge heim&sslmode=require",
                  "postgresql://u@h/db?password=***&sslmode=require"},
        Redaction{"postgresql://u:a@h/db?sslpassword=b", "postgresql://u:***@h/db?sslpassword=***"},
        Redaction{"postgresql://h/db", "postgresql://h/db"},
        Redaction{"http://u:p@proxy:3128", "http://u:***@proxy:3128"},
        Redaction{"http://u:p@[::1]:80/", "http://u:***@[::1]:80/"},
        Redaction{"http://[::1]:80/", "http://[::1]:80/"},
        Redaction{"s3://bucket/prefix", "s3://bucket/prefix"},
        Redaction{"file:///srv/a:b@c", "file:///srv/a:b@c"},
        Redaction{"https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/***"},
        Redaction{"://", "://"}, Redaction{"a://", "a://"}));

INSTANTIATE_TEST_SUITE_P(
    InText, RedactSecrets,
    testing::Values(
        Redaction{"cannot connect to \"postgres://u:geheim@db1:5432/app\": refused",
                  "cannot connect to \"postgres://u:***@db1:5432/app\": refused"},
        Redaction{"GET https://u:geheim@h/x failed, see http://v:auch@i/y",
                  "GET https://u:***@h/x failed, see http://v:***@i/y"},
        Redaction{
            "GET https://b.s3.example/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=0a1b&x=1 failed",
            "GET https://b.s3.example/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=***&x=1 failed"},
        Redaction{"GET https://h/k?x-amz-security-token=a/b failed",
                  "GET https://h/k?x-amz-security-token=*** failed"},
        Redaction{"connection to host=a password=geheim failed: no route",
                  "connection to host=a password=*** failed: no route"},
        Redaction{"Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=b\nHost: c",
                  "Authorization: ***\nHost: c"},
        Redaction{R"({"user": "a", "password": "ge\"heim", "x": 1})",
                  R"({"user": "a", "password": "***", "x": 1})"},
        Redaction{"--config=/a --token=xyz", "--config=/a --token=***"},
        Redaction{"AWS_SECRET_ACCESS_KEY=x AWS_ACCESS_KEY_ID=AK",
                  "AWS_SECRET_ACCESS_KEY=*** AWS_ACCESS_KEY_ID=AK"},
        Redaction{"https://u:geheim@h\nhost=b", "https://u:***@h\nhost=b"}));

INSTANTIATE_TEST_SUITE_P(
    LeavesAlone, RedactSecrets,
    testing::Values(Redaction{"password authentication failed for user \"a\"",
                              "password authentication failed for user \"a\""},
                    Redaction{"no password supplied", "no password supplied"},
                    Redaction{"secret_key_file=/etc/k", "secret_key_file=/etc/k"},
                    Redaction{"where token = 5", "where token = 5"},
                    Redaction{"https://h:9000 refused ops@example.org",
                              "https://h:9000 refused ops@example.org"},
                    Redaction{"https://h/@scope/x and a@b", "https://h/@scope/x and a@b"},
                    Redaction{"ops@example.org", "ops@example.org"},
                    Redaction{"line 3: unexpected token ';'", "line 3: unexpected token ';'"},
                    Redaction{"2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"}));

// Forms of one secret between other words, in every order of three: it is never seen.
TEST(RedactSecrets, IsNotToldByWhatStandsAround) {
  const std::string secret = "geheim";
  const std::vector<std::string> parts{"postgres://u:" + secret + "@h/db",
                                       "https://u:" + secret + "@h:1/x?y=1",
                                       "https://h:443/x?signature=" + secret,
                                       "password=" + secret,
                                       "password = '" + secret + "'",
                                       "\"password\": \"" + secret + "\"",
                                       "https://h:9000/x",
                                       "postgresql://h/db",
                                       "someone@example.org",
                                       "failed:",
                                       "\"quoted\"",
                                       "a=b"};
  for (const std::string& first : parts) {
    for (const std::string& second : parts) {
      for (const std::string& third : parts) {
        for (const char* between : {" ", ": ", "\n", "\" '"}) {
          const std::string text = first + between + second + between + third;
          ASSERT_THAT(redact_secrets(text), Not(HasSubstr(secret))) << text;
        }
      }
    }
  }
}

TEST(RedactSecrets, TakesAnyBytes) {
  std::string text;
  for (int i = 0; i < 256; ++i) text += static_cast<char>(i);
  for (const char* form :
       {"password=", "://", "a://b:", "\"token\":\"", "Authorization:", "PASSWORD '"}) {
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
      const std::string whole = form + text.substr(cut);
      EXPECT_LE(redact_secrets(whole).size(), whole.size() + 3 * 8);
    }
  }
}

}  // namespace
}  // namespace holdfast
