// Frozen storage classes: what the S3 store makes of the server's words, and the decorator that
// plays such a class.
#include <cstdlib>

#include "s3_testing.h"
#include "storage/folder_store.h"
#include "storage/glacier_store.h"
#include "storage/retry_store.h"
#include "storage/storage_class.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

using test::TempFolder;

TestAnswer head_answer(const std::string& storage_class, const std::string& restore = "") {
  TestAnswer answer{
      .status = 200,
      .headers = {{"Content-Length", "5"}, {"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}};
  if (!storage_class.empty()) answer.headers.push_back({"x-amz-storage-class", storage_class});
  if (!restore.empty()) answer.headers.push_back({"x-amz-restore", restore});
  return answer;
}

class S3Thaw : public S3StoreTest {
 protected:
  std::optional<ThawState> state() { return thaw_state(store(), "n", kNoStop); }
  ThawState ask(ThawSpeed speed) {
    return request_thaw(store(), "n", {.speed = speed, .days = 7}, kNoStop);
  }
};

TEST_F(S3Thaw, ReadsTheStateFromHead) {
  script({head_answer("")});
  EXPECT_EQ(state(), ThawState::kReadable);
  script({head_answer("GLACIER_IR")});
  EXPECT_EQ(state(), ThawState::kReadable);
  for (const char* frozen : {"GLACIER", "DEEP_ARCHIVE"}) {
    script({head_answer(frozen, "ongoing-request=\"true\"")});
    EXPECT_EQ(state(), ThawState::kThawing);
    script({head_answer(
        frozen, "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2029 00:00:00 GMT\"")});
    EXPECT_EQ(state(), ThawState::kReadable);
    script({head_answer(frozen), error_answer(403, "InvalidObjectState")});
    EXPECT_EQ(state(), ThawState::kFrozen);
  }
  script({{.status = 404}, error_answer(404, "NoSuchKey")});
  EXPECT_EQ(state(), std::nullopt);
  script({head_answer("GLACIER"), error_answer(404, "NoSuchKey")});
  EXPECT_EQ(state(), std::nullopt);
}

// A server may have a class of that name that freezes nothing; what it refuses is still an error.
TEST_F(S3Thaw, BelievesAReadMoreThanAName) {
  script({head_answer("GLACIER"), {.status = 206, .body = "h"}});
  EXPECT_EQ(state(), ThawState::kReadable);
  script({head_answer("GLACIER"), error_answer(403, "AccessDenied")});
  EXPECT_EQ(error_of([this] { state(); }).kind(), ErrorKind::kRepository);
}

TEST_F(S3Thaw, AsksAsS3WantsToBeAsked) {
  script({{.status = 202}});
  EXPECT_EQ(ask(ThawSpeed::kBulk), ThawState::kThawing);
  const TestRequest request = server_.requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/bucket/pre/fix/n?restore=");
  EXPECT_NE(request.body.find("<Days>7</Days>"), std::string::npos);
  EXPECT_NE(request.body.find("<Tier>Bulk</Tier>"), std::string::npos);
  EXPECT_NE(request.header("content-md5"), "");
  ask(ThawSpeed::kExpedited);
  EXPECT_NE(server_.requests().at(1).body.find("<Tier>Expedited</Tier>"), std::string::npos);
}

TEST_F(S3Thaw, TakesNoAnswerForAnother) {
  script({{.status = 200}});
  EXPECT_EQ(ask(ThawSpeed::kStandard), ThawState::kReadable);
  script({error_answer(409, "RestoreAlreadyInProgress")});
  EXPECT_EQ(ask(ThawSpeed::kStandard), ThawState::kThawing);
  script({error_answer(200, "InternalError")});
  EXPECT_TRUE(error_of([this] { ask(ThawSpeed::kStandard); }).retryable());
  script({error_answer(503, "GlacierExpeditedRetrievalNotAvailable")});
  EXPECT_NE(error_of([this] { ask(ThawSpeed::kExpedited); }).hint().find("standard"),
            std::string::npos);
  script({error_answer(403, "AccessDenied")});
  EXPECT_NE(error_of([this] { ask(ThawSpeed::kStandard); }).hint().find("s3:RestoreObject"),
            std::string::npos);
}

TEST(StorageClass, FrozenOnesByName) {
  for (const char* name : {"GLACIER", "DEEP_ARCHIVE"}) EXPECT_TRUE(is_frozen_class(name));
  for (const char* name : {"", "STANDARD", "STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"}) {
    EXPECT_FALSE(is_frozen_class(name)) << name;
  }
  EXPECT_TRUE(thaw_time("GLACIER", ThawSpeed::kExpedited));
  EXPECT_FALSE(thaw_time("DEEP_ARCHIVE", ThawSpeed::kExpedited));
}

class Glacier : public testing::Test {
 protected:
  // Behind a retry store, as the program has it.
  std::unique_ptr<ObjectStore> open(int milliseconds) {
    create_folder_root(folder_ / "store");
    return make_retry_store(make_glacier_store(make_folder_store(folder_ / "store"),
                                               parse_glacier_plan(fmt::format(
                                                   "GLACIER:{}:/pack/,/wal/:{}", milliseconds,
                                                   (folder_ / "asked").string()))),
                            {});
  }
  TempFolder folder_;
};

TEST_F(Glacier, RefusesReadsUntilItsTimeHasPassed) {
  const auto store = open(3'600'000);
  store->put("a/pack/1", as_bytes("cold"), {}, kNoStop);
  store->put("a/other", as_bytes("warm"), {}, kNoStop);
  Bytes out(2);
  EXPECT_THROW(store->get("a/pack/1", kNoStop), Error);
  EXPECT_THROW(store->get_range("a/pack/1", 0, out, kNoStop), Error);
  EXPECT_EQ(store->head("a/pack/1", kNoStop)->storage_class, "GLACIER");
  EXPECT_EQ(store->list({}, kNoStop).objects.at(1).storage_class, "GLACIER");
  EXPECT_EQ(store->list({}, kNoStop).objects.at(0).storage_class, "");
  EXPECT_TRUE(store->get("a/other", kNoStop));
  EXPECT_EQ(thaw_state(*store, "a/pack/1", kNoStop), ThawState::kFrozen);
  EXPECT_EQ(thaw_state(*store, "a/other", kNoStop), ThawState::kReadable);
  EXPECT_EQ(thaw_state(*store, "a/pack/2", kNoStop), std::nullopt);
  EXPECT_EQ(request_thaw(*store, "a/pack/1", {}, kNoStop), ThawState::kThawing);
  EXPECT_EQ(request_thaw(*store, "a/pack/1", {}, kNoStop), ThawState::kThawing);
  EXPECT_EQ(thaw_state(*store, "a/pack/1", kNoStop), ThawState::kThawing);
  EXPECT_THROW(store->get("a/pack/1", kNoStop), Error);
  // Another run of the program finds what was asked for.
  const auto later = open(0);
  EXPECT_EQ(thaw_state(*later, "a/pack/1", kNoStop), ThawState::kReadable);
  EXPECT_TRUE(later->get("a/pack/1", kNoStop));
}

TEST(GlacierPlan, ThatSaysTooLittle) {
  for (const char* text :
       {"", "GLACIER", "GLACIER:x:/pack/:/f", "GLACIER:1::/f", "GLACIER:1:/p/", ":1:/p/:/f"}) {
    EXPECT_THROW(parse_glacier_plan(text), Error) << text;
  }
}

}  // namespace
}  // namespace holdfast
