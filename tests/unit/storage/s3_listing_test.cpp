// Lists and batch deletes of the S3 store against scripted answers, and the parsers of answers.
#include "s3_testing.h"
#include "storage/s3_answers.h"

namespace holdfast {
namespace {

TEST_F(S3StoreTest, ListAsksAndAnswersWithoutThePrefix) {
  const std::string object =
      "<Contents><Key>pre/fix/d/a+b%2B</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
      "<Size>7</Size><StorageClass>GLACIER</StorageClass></Contents>";
  const std::string folder = "<CommonPrefixes><Prefix>pre/fix/d/x%2F</Prefix></CommonPrefixes>";
  const std::string head = "<ListBucketResult><EncodingType>url</EncodingType>";
  script({{.body = head +
                   "<IsTruncated>true</IsTruncated><NextContinuationToken>T+1"
                   "</NextContinuationToken>" +
                   object + "</ListBucketResult>"},
          {.body = head + "<IsTruncated>false</IsTruncated>" + folder + "</ListBucketResult>"}});
  const ListPage page =
      store().list({.prefix = "d/", .after = "d/A", .group_folders = true, .limit = 5000}, kNoStop);
  ASSERT_EQ(page.objects.size(), 1U);
  EXPECT_EQ(page.objects[0].name, "d/a b+");
  EXPECT_EQ(page.objects[0].size, 7U);
  EXPECT_EQ(page.objects[0].storage_class, "GLACIER");
  EXPECT_EQ(page.folders, std::vector<std::string>{"d/x/"});
  EXPECT_FALSE(page.next);
  const auto requests = server_.requests();
  EXPECT_EQ(requests.at(0).target,
            "/bucket?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&"
            "prefix=pre%2Ffix%2Fd%2F&start-after=pre%2Ffix%2Fd%2FA");
  EXPECT_NE(requests.at(1).target.find("continuation-token=T%2B1"), std::string::npos);
}

TEST_F(S3StoreTest, ListsThatCannotBeUnderstoodAreErrorsNeverEmptyPages) {
  for (const char* body :
       {"", "<html>", "<ListBucketResult/>", "<Other/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>pre/fix/a</Key>"
        "</Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>elsewhere</Key>"
        "<Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>"
        "</ListBucketResult>"}) {
    script({{.body = body}});
    const Error error = error_of([this] { store().list({}, kNoStop); });
    EXPECT_EQ(error.kind(), ErrorKind::kRepository) << body;
  }
}

TEST_F(S3StoreTest, BatchDeleteReportsEachNameThatStays) {
  script({{.body = "<DeleteResult><Error><Key>pre/fix/b&amp;&lt;</Key><Code>AccessDenied</Code>"
                   "<Message>locked</Message></Error><Error><Key>pre/fix/gone</Key>"
                   "<Code>NoSuchKey</Code></Error></DeleteResult>"}});
  const auto failures = store().remove_many({"a", "b&<", "gone"}, kNoStop);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].name, "b&<");
  EXPECT_EQ(failures[0].reason, "AccessDenied: locked");
  const TestRequest request = server_.requests().at(0);
  EXPECT_EQ(request.target, "/bucket?delete=");
  EXPECT_NE(request.body.find("<Key>pre/fix/b&amp;&lt;</Key>"), std::string::npos);
  EXPECT_FALSE(request.header("content-md5").empty());
}

TEST_F(S3StoreTest, BatchDeleteOfManyTakesOneRequestForEachThousand) {
  script({{.body = "<DeleteResult/>"}});
  std::vector<std::string> names;
  for (int i = 0; i < 2001; ++i) names.push_back("n" + std::to_string(i));
  EXPECT_TRUE(store().remove_many(names, kNoStop).empty());
  EXPECT_EQ(server_.requests().size(), 3U);
}

TEST_F(S3StoreTest, BatchDeleteThatIsDeniedAsAWholeReportsEveryName) {
  script({error_answer(403, "AccessDenied")});
  EXPECT_EQ(store().remove_many({"a", "b"}, kNoStop).size(), 2U);
  script({error_answer(403, "InvalidAccessKeyId")});
  EXPECT_EQ(error_of([this] { store().remove_many({"a"}, kNoStop); }).kind(),
            ErrorKind::kRepository);
  script({{.body = "not xml"}});
  EXPECT_TRUE(error_of([this] { store().remove_many({"a"}, kNoStop); }).retryable());
}

TEST_F(S3StoreTest, BatchDeleteWithAPassingFailureIsRetryable) {
  script({{.body = "<DeleteResult><Error><Key>pre/fix/a</Key><Code>SlowDown</Code></Error>"
                   "</DeleteResult>"}});
  EXPECT_TRUE(error_of([this] { store().remove_many({"a"}, kNoStop); }).retryable());
}

TEST(S3Answers, HttpDates) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            parse_rfc3339("1994-11-06T08:49:37Z"));
  for (const char* bad : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
                          "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 36 Nov 1994 08:49:37 GMT",
                          "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_http_date(bad)) << bad;
  }
}

TEST(S3Answers, ContentRanges) {
  const auto range = parse_content_range("bytes 5-9/10");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5U);
  EXPECT_EQ(range->last, 9U);
  for (const char* bad : {"", "bytes 9-5/10", "bytes 5/10", "bytes -/", "bytes 5-9", "items 5-9/10",
                          "bytes 5-99999999999999999999/1"}) {
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  }
}

}  // namespace
}  // namespace holdfast
