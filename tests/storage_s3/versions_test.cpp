// Older versions in a real bucket: what is listed and read as of a time is what was there, page by
// page, and every write is refused.
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "storage/versioning.h"
#include "suite.h"

namespace holdfast::test {
namespace {

class S3Versions : public S3Test {
 protected:
  void SetUp() override {
    S3Test::SetUp();
    if (IsSkipped()) return;
    const std::string on =
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    ASSERT_EQ(
        server()
            .send(bucket_, {.method = "PUT", .query = {{"versioning", ""}}, .body = as_bytes(on)})
            .status,
        200);
  }
  // Between what was and what will be written; listings tell milliseconds.
  static Timestamp moment() {
    const auto tick = [] { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
    tick();
    const Timestamp now = system_clock().now();
    tick();
    return now;
  }
  std::unique_ptr<ObjectStore> store_as_of(Timestamp time) const {
    S3Options options = this->options();
    options.as_of = time;
    return make_s3_store(options);
  }
  // What is listed, in pages of `limit`.
  static std::vector<std::string> listed(ObjectStore& store, ListRequest request) {
    std::vector<std::string> names;
    for (;;) {
      const ListPage page = store.list(request, kNoStop);
      EXPECT_LE(page.objects.size() + page.folders.size(), request.limit);
      for (const ObjectInfo& object : page.objects) names.push_back(object.name);
      names.insert(names.end(), page.folders.begin(), page.folders.end());
      if (!page.next) break;
      EXPECT_LT(request.after, *page.next);
      request.after = *page.next;
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void overwrite(const std::string& name, const std::string& content) const {
    ASSERT_EQ(server()
                  .send(bucket_,
                        {.method = "PUT", .key = "some/prefix/" + name, .body = as_bytes(content)})
                  .status,
              200);
  }
};

TEST_F(S3Versions, AreSeenAsTheyWere) {
  const auto now = store();
  const Timestamp before = moment();
  for (const char* name : {"a/1", "a/2", "b/deep/1", "b x/ü+%/1", "c"}) {
    now->put(name, as_bytes(std::string("first ") + name), {}, kNoStop);
  }
  const Timestamp first = moment();
  now->remove("a/1", kNoStop);
  now->remove("b/deep/1", kNoStop);
  overwrite("c", "other content");
  now->put("d", as_bytes("young"), {}, kNoStop);
  const Timestamp second = moment();
  for (int round = 0; round < 3; ++round) {
    overwrite("a/1", "round");
    now->remove("a/1", kNoStop);
  }

  const std::vector<std::string> all{"a/1", "a/2", "b x/ü+%/1", "b/deep/1", "c"};
  const auto then = store_as_of(first);
  EXPECT_EQ(listed(*store_as_of(before), {}), std::vector<std::string>{});
  EXPECT_EQ(listed(*store_as_of(second), {}),
            (std::vector<std::string>{"a/2", "b x/ü+%/1", "c", "d"}));
  for (const std::size_t limit : {1U, 2U, 3U, 1000U}) {
    EXPECT_EQ(listed(*then, {.limit = limit}), all) << limit;
    EXPECT_EQ(listed(*then, {.group_folders = true, .limit = limit}),
              (std::vector<std::string>{"a/", "b x/", "b/", "c"}))
        << limit;
    EXPECT_EQ(listed(*store_as_of(second), {.group_folders = true, .limit = limit}),
              (std::vector<std::string>{"a/", "b x/", "c", "d"}))
        << "a folder without anything was not there: " << limit;
    EXPECT_EQ(listed(*then, {.prefix = "a/", .limit = limit}),
              (std::vector<std::string>{"a/1", "a/2"}));
    EXPECT_EQ(listed(*then, {.after = "a/2", .limit = limit}),
              (std::vector<std::string>{"b x/ü+%/1", "b/deep/1", "c"}));
  }
  // Each is read as it was, whether a listing told its version or not.
  for (const bool was_listed : {false, true}) {
    const auto reading = store_as_of(first);
    if (was_listed) listed(*reading, {});
    for (const std::string& name : all) {
      EXPECT_EQ(text_of(reading->get(name, kNoStop)), "first " + name);
      Bytes part(3);
      EXPECT_TRUE(reading->get_range(name, 2, part, kNoStop));
      EXPECT_EQ(as_text(part), "rst");
      ASSERT_TRUE(reading->head(name, kNoStop));
      EXPECT_EQ(reading->head(name, kNoStop)->size, name.size() + 6);
    }
    Bytes part(3);
    EXPECT_FALSE(reading->get("d", kNoStop)) << "it is younger";
    EXPECT_FALSE(reading->get_range("d", 0, part, kNoStop));
    EXPECT_FALSE(reading->head("d", kNoStop));
    EXPECT_FALSE(reading->get("a", kNoStop)) << "the begin of a name is no name";
  }
  EXPECT_FALSE(store_as_of(second)->get("a/1", kNoStop));
}

TEST_F(S3Versions, RefuseEveryWrite) {
  store()->put("there", as_bytes("x"), {}, kNoStop);
  const auto then = store_as_of(moment());
  auto& versions = require_versioning(*then);
  const ObjectVersion version{.id = "null"};
  for (const Error& error : {error_of([&] { then->put("new", as_bytes("x"), {}, kNoStop); }),
                             error_of([&] { then->remove("there", kNoStop); }),
                             error_of([&] { then->remove_many({"there"}, kNoStop); }),
                             error_of([&] { versions.remove_version("there", "x", kNoStop); }),
                             error_of([&] { versions.copy_version("there", version, kNoStop); })}) {
    EXPECT_EQ(error.kind(), ErrorKind::kRefused) << error.message();
  }
  EXPECT_EQ(text_of(store()->get("there", kNoStop)), "x");
}

TEST_F(S3Versions, OfABucketThatIsMissingAreAnErrorNeverAbsence) {
  S3Options options = server().store_options("no-such-bucket");
  options.as_of = moment();
  const auto then = make_s3_store(options);
  EXPECT_EQ(error_of([&] { then->get("x", kNoStop); }).kind(), ErrorKind::kRepository);
  EXPECT_EQ(error_of([&] { then->list({}, kNoStop); }).kind(), ErrorKind::kRepository);
}

TEST(S3VersionsOff, ABucketWithoutVersioningSaysThatItCannot) {
  if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  const std::string bucket = new_bucket_name();
  shared_server().create_bucket(bucket);
  S3Options options = shared_server().store_options(bucket);
  EXPECT_EQ(versioning_state(*make_s3_store(options), kNoStop), VersioningState::kNone);
  options.as_of = system_clock().now();
  try {
    make_s3_store(options)->get("x", kNoStop);
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace holdfast::test
