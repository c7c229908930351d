// What is particular to S3, on a real server: trust, keys, clocks, classes, policies, locks.
#include <algorithm>
#include <thread>

#include "storage/s3_client.h"
#include "storage/thawing.h"
#include "suite.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using S3Behaviour = S3Test;

class OffsetClock final : public Clock {
 public:
  explicit OffsetClock(std::chrono::microseconds offset) : offset_(offset) {}
  Timestamp now() const override { return system_clock().now() + offset_; }

 private:
  std::chrono::microseconds offset_;
};

S3Surroundings surroundings(std::map<std::string, std::string> variables,
                            const Clock& clock = system_clock()) {
  return {.environment = [variables = std::move(variables)](
                             const std::string& name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            if (found == variables.end()) return std::nullopt;
            return found->second;
          },
          .clock = &clock};
}

TEST_F(S3Behaviour, NamesOfEveryKindComeBackAsTheyWere) {
  const auto s3 = store();
  std::vector<std::string> names{"a b",
                                 "a+b",
                                 "a%2Fb",
                                 "a&<>\"'b",
                                 "é/ü",
                                 "a?x=y#z",
                                 "x/../y",
                                 "tilde~(1)!*$,;:@=",
                                 "deep/er/and/deeper"};
  for (const std::string& name : names) {
    EXPECT_EQ(s3->put(name, as_bytes(name), {}, kNoStop), PutOutcome::kCreated) << name;
  }
  for (const std::string& name : names) EXPECT_EQ(text_of(s3->get(name, kNoStop)), name);
  std::vector<std::string> listed;
  for_each_object(*s3, "", kNoStop, [&](const ObjectInfo& info) { listed.push_back(info.name); });
  std::sort(names.begin(), names.end());
  EXPECT_EQ(listed, names);
  EXPECT_TRUE(s3->remove_many(names, kNoStop).empty());
  EXPECT_TRUE(s3->list({}, kNoStop).objects.empty());
}

TEST_F(S3Behaviour, OneOfSixteenPutsWins) {
  const auto s3 = store();
  for (int round = 0; round < 5; ++round) {
    const std::string name = fmt::format("race/{}", round);
    std::atomic<int> winner = -1;
    std::atomic<int> created = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&, i] {
        const auto outcome = s3->put(name, as_bytes(std::to_string(i)), {}, kNoStop);
        if (outcome == PutOutcome::kCreated) {
          winner = i;
          ++created;
        }
      });
    }
    threads.clear();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(text_of(s3->get(name, kNoStop)), std::to_string(winner));
  }
}

TEST_F(S3Behaviour, TheProbeSeesThatCreateIsExclusive) {
  const auto s3 = store();
  EXPECT_TRUE(probe_exclusive_create(*s3, "probe/", kNoStop));
  EXPECT_TRUE(s3->list({}, kNoStop).objects.empty()) << "the probe cleans up";
}

TEST_F(S3Behaviour, UnknownAuthorityIsRefusedUnlessVerificationIsOff) {
  S3Options tls = options();
  tls.endpoint = server().tls_endpoint();
  const Error error = error_of([&] { make_s3_store(tls)->get("x", kNoStop); });
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
  EXPECT_NE(error.hint().find("ca_file"), std::string::npos) << error.message();
  tls.verify_tls = false;
  EXPECT_FALSE(make_s3_store(tls)->get("x", kNoStop));
}

TEST_F(S3Behaviour, CertificateOfAnotherHostIsRefused) {
  S3Options tls = options();
  tls.endpoint = server().tls_endpoint();
  tls.ca_file = server().ca_file();
  EXPECT_FALSE(make_s3_store(tls)->get("x", kNoStop)) << "the certificate's own name is accepted";
  tls.endpoint.replace(tls.endpoint.find("127.0.0.1"), 9, "other.localhost");
  const Error error = error_of([&] { make_s3_store(tls)->get("x", kNoStop); });
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable()) << error.message();
}

TEST_F(S3Behaviour, WrongSecretAndUnknownKeyAreErrorsNeverAbsence) {
  S3Options wrong = options();
  wrong.access_key_file.clear();
  wrong.secret_key_file.clear();
  const auto with = [&](const std::string& id, const std::string& secret) {
    return make_s3_store(
        wrong, surroundings({{"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", secret}}));
  };
  for (const auto& s3 :
       {with(server().access_key(), "wrongsecret"), with("nobody", "wrongsecret")}) {
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { s3->get("x", kNoStop); }, [&] { s3->head("x", kNoStop); },
             [&] { s3->put("x", {}, {}, kNoStop); }, [&] { s3->list({}, kNoStop); },
             [&] { s3->remove("x", kNoStop); }}) {
      const Error error = error_of(call);
      EXPECT_EQ(error.kind(), ErrorKind::kRepository) << error.message();
      EXPECT_FALSE(error.retryable());
      EXPECT_NE(error.message().find("403"), std::string::npos) << error.message();
      EXPECT_EQ((error.message() + error.hint()).find("wrongsecret"), std::string::npos);
    }
  }
}

TEST_F(S3Behaviour, MissingBucketIsAnErrorForEveryCall) {
  S3Options missing = options();
  missing.bucket = "no-such-bucket";
  const auto s3 = make_s3_store(missing);
  Bytes out(1);
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { s3->get("x", kNoStop); }, [&] { s3->head("x", kNoStop); },
           [&] { s3->get_range("x", 0, out, kNoStop); }, [&] { s3->put("x", {}, {}, kNoStop); },
           [&] { s3->list({}, kNoStop); }, [&] { s3->remove("x", kNoStop); },
           [&] { s3->remove_many({"x"}, kNoStop); }}) {
    const Error error = error_of(call);
    EXPECT_EQ(error.kind(), ErrorKind::kRepository) << error.message();
    EXPECT_FALSE(error.retryable()) << error.message();
    EXPECT_NE(error.message().find("NoSuchBucket"), std::string::npos) << error.message();
  }
}

TEST_F(S3Behaviour, ClockThatIsHoursOffStillSigns) {
  for (const auto offset : {-5h, 3h}) {
    const OffsetClock clock(offset);
    const auto s3 = make_s3_store(options(), surroundings({}, clock));
    EXPECT_FALSE(s3->get("x", kNoStop));
    const auto difference = s3->now(kNoStop) - system_clock().now();
    EXPECT_LT(difference, 3s) << "now() is the store's clock, not ours";
    EXPECT_GT(difference, -3s);
  }
}

TEST_F(S3Behaviour, EachKindOfObjectHasItsStorageClass) {
  S3Options classes = options();
  classes.class_data = "STANDARD_IA";
  const auto s3 = make_s3_store(classes);
  s3->put("data", as_bytes("d"), {.object_class = ObjectClass::kData}, kNoStop);
  s3->put("wal", as_bytes("w"), {.object_class = ObjectClass::kWal}, kNoStop);
  EXPECT_EQ(s3->head("data", kNoStop)->storage_class, "STANDARD_IA");
  EXPECT_EQ(s3->head("wal", kNoStop)->storage_class, "STANDARD");
  const ListPage page = s3->list({}, kNoStop);
  ASSERT_EQ(page.objects.size(), 2U);
  EXPECT_EQ(page.objects[0].storage_class, "STANDARD_IA");
  EXPECT_EQ(text_of(s3->get("data", kNoStop)), "d");
}

TEST_F(S3Behaviour, WhatIsInASecondClassCanBeRead) {
  S3Options classes = options();
  classes.class_data = "STANDARD_IA";
  const auto s3 = make_s3_store(classes);
  s3->put("data", as_bytes("d"), {.object_class = ObjectClass::kData}, kNoStop);
  EXPECT_EQ(thaw_state(*s3, "data", kNoStop), ThawState::kReadable);
  EXPECT_EQ(thaw_state(*s3, "absent", kNoStop), std::nullopt);
}

// This server lets a class have that name and freezes nothing.
TEST(S3FrozenClass, IsNotBelievedByItsName) {
  if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  S3Server server({.storage_class = "GLACIER"});
  server.create_bucket("cold");
  S3Options classes = server.store_options("cold");
  classes.class_data = "GLACIER";
  const auto s3 = make_s3_store(classes);
  s3->put("data", as_bytes("d"), {.object_class = ObjectClass::kData}, kNoStop);
  s3->put("empty", {}, {.object_class = ObjectClass::kData}, kNoStop);
  EXPECT_EQ(s3->head("data", kNoStop)->storage_class, "GLACIER");
  EXPECT_EQ(s3->list({}, kNoStop).objects.at(0).storage_class, "GLACIER");
  EXPECT_EQ(thaw_state(*s3, "data", kNoStop), ThawState::kReadable);
  EXPECT_EQ(thaw_state(*s3, "empty", kNoStop), ThawState::kReadable);
  EXPECT_EQ(thaw_state(*s3, "absent", kNoStop), std::nullopt);
}

TEST_F(S3Behaviour, UnknownStorageClassIsAnErrorThatNamesIt) {
  S3Options classes = options();
  classes.class_data = "NO_SUCH_CLASS";
  const Error error = error_of(
      [&] { make_s3_store(classes)->put("x", {}, {.object_class = ObjectClass::kData}, kNoStop); });
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
}

TEST_F(S3Behaviour, FifteenHundredObjectsGoInTwoRequests) {
  const auto s3 = store();
  std::vector<std::string> names;
  for (int i = 0; i < 1500; ++i) names.push_back(fmt::format("many/{:04}", i));
  {
    std::atomic<std::size_t> next = 0;
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < names.size(); i = next++) {
          s3->put(names[i], as_bytes("x"), {}, kNoStop);
        }
      });
    }
  }
  std::vector<std::string> listed;
  for_each_object(*s3, "many/", kNoStop,
                  [&](const ObjectInfo& info) { listed.push_back(info.name); });
  EXPECT_EQ(listed, names);
  EXPECT_TRUE(s3->remove_many(names, kNoStop).empty());
  EXPECT_TRUE(s3->list({.prefix = "many/"}, kNoStop).objects.empty());
}

TEST_F(S3Behaviour, FoldersArePagedWithoutGapsOrRepeats) {
  const auto s3 = store();
  std::vector<std::string> folders;
  for (int i = 0; i < 7; ++i) {
    folders.push_back(fmt::format("f/{}/", i));
    for (int j = 0; j < 3; ++j) {
      s3->put(fmt::format("f/{}/{}", i, j), as_bytes("x"), {}, kNoStop);
    }
    s3->put(fmt::format("f/{}0", i), as_bytes("x"), {}, kNoStop);  // sorts right behind "f/i/"
  }
  for (const std::size_t limit : {1U, 2U, 3U, 5U}) {
    std::vector<std::string> seen_folders;
    std::vector<std::string> seen_objects;
    ListRequest request{.prefix = "f/", .group_folders = true, .limit = limit};
    for (int pages = 0; pages < 50; ++pages) {
      const ListPage page = s3->list(request, kNoStop);
      EXPECT_LE(page.folders.size() + page.objects.size(), limit);
      seen_folders.insert(seen_folders.end(), page.folders.begin(), page.folders.end());
      for (const ObjectInfo& info : page.objects) seen_objects.push_back(info.name);
      if (!page.next) break;
      request.after = *page.next;
    }
    EXPECT_EQ(seen_folders, folders) << "limit " << limit;
    EXPECT_EQ(seen_objects.size(), 7U) << "limit " << limit;
  }
}

TEST_F(S3Behaviour, PolicyThatForbidsDeletingIsReportedNotFatal) {
  const auto s3 = store();
  s3->put("kept", as_bytes("k"), {}, kNoStop);
  server().set_policy(bucket_, fmt::format(R"({{"Version":"2012-10-17","Statement":[{{
      "Effect":"Deny","Principal":"*","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],
      "Resource":"arn:aws:s3:::{}/*"}}]}})",
                                           bucket_));
  const Error error = error_of([&] { s3->remove("kept", kNoStop); });
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
  EXPECT_NE(error.hint().find("s3:DeleteObject"), std::string::npos);
  const auto failures = s3->remove_many({"kept"}, kNoStop);
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].name, "kept");
  EXPECT_NE(failures[0].reason.find("AccessDenied"), std::string::npos) << failures[0].reason;
  EXPECT_EQ(text_of(s3->get("kept", kNoStop)), "k");
  EXPECT_TRUE(probe_exclusive_create(*s3, "probe/", kNoStop)) << "works without deleting";
}

TEST_F(S3Behaviour, PolicyThatForbidsReadingIsNeverTakenForAbsence) {
  const auto s3 = store();
  s3->put("there", as_bytes("k"), {}, kNoStop);
  server().set_policy(bucket_, fmt::format(R"({{"Version":"2012-10-17","Statement":[{{
      "Effect":"Deny","Principal":"*","Action":["s3:GetObject"],
      "Resource":"arn:aws:s3:::{}/*"}}]}})",
                                           bucket_));
  const Error error = error_of([&] { s3->get("there", kNoStop); });
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
  EXPECT_FALSE(error.retryable());
  EXPECT_EQ(error_of([&] { s3->head("there", kNoStop); }).kind(), ErrorKind::kRepository);
}

TEST_F(S3Behaviour, LockedObjectsSurviveEveryRemoval) {
  const std::string locked = new_bucket_name();
  server().create_bucket(locked, ObjectLock::kOn);
  const std::string retention =
      "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
      "<DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
      "</ObjectLockConfiguration>";
  const HttpResponse set = server().send(
      locked, {.method = "PUT", .query = {{"object-lock", ""}}, .body = as_bytes(retention)});
  ASSERT_EQ(set.status, 200) << as_text(set.body);
  const auto s3 = make_s3_store(server().store_options(locked, "p"));
  EXPECT_EQ(s3->put("x", as_bytes("kept"), {}, kNoStop), PutOutcome::kCreated);
  s3->remove("x", kNoStop);  // hides it behind a delete marker
  EXPECT_FALSE(s3->get("x", kNoStop));
  const HttpResponse versions = server().send(locked, {.query = {{"versions", ""}}});
  const std::string xml(as_text(versions.body));
  EXPECT_NE(xml.find("<DeleteMarker>"), std::string::npos) << xml;
  const std::size_t version = xml.find("<VersionId>", xml.find("<Version>"));
  ASSERT_NE(version, std::string::npos);
  const std::string id = xml.substr(version + 11, xml.find("</VersionId>", version) - version - 11);
  const HttpResponse erase =
      server().send(locked, {.method = "DELETE", .key = "p/x", .query = {{"versionId", id}}});
  EXPECT_EQ(erase.status, 403);
  const HttpResponse read = server().send(locked, {.key = "p/x", .query = {{"versionId", id}}});
  EXPECT_EQ(as_text(read.body), "kept");
}

TEST_F(S3Behaviour, LargestObjectAndItsRanges) {
  const auto s3 = store();
  Bytes content(kMaxObjectBytes);
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<std::byte>((i * 2654435761U) >> 13U);
  }
  s3->put("large", content, {}, kNoStop);
  EXPECT_EQ(s3->head("large", kNoStop)->size, content.size());
  EXPECT_TRUE(s3->get("large", kNoStop) == content);
  for (const std::size_t offset : {std::size_t{0}, std::size_t{12345}, content.size() - 70000}) {
    Bytes part(70000);
    ASSERT_TRUE(s3->get_range("large", offset, part, kNoStop));
    EXPECT_TRUE(std::equal(part.begin(), part.end(),
                           content.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  Bytes beyond(70000);
  EXPECT_EQ(error_of([&] { s3->get_range("large", content.size() - 10, beyond, kNoStop); }).kind(),
            ErrorKind::kDamage);
  EXPECT_EQ(error_of([&] { s3->get_range("large", content.size(), beyond, kNoStop); }).kind(),
            ErrorKind::kDamage);
}

TEST(S3OnDisk, WhatWasStoredSurvivesAPowerCut) {
  if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  S3Server server({.disk = S3Disk::kFile});
  server.create_bucket("durable");
  const auto s3 = make_s3_store(server.store_options("durable"));
  for (int i = 0; i < 50; ++i) {
    s3->put(fmt::format("{}", i), as_bytes(std::string(100'000, 'x')), {}, kNoStop);
  }
  server.kill_and_restart();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(text_of(s3->get(fmt::format("{}", i), kNoStop)).size(), 100'000U);
  }
  EXPECT_EQ(s3->put("0", as_bytes("again"), {}, kNoStop), PutOutcome::kExists);
}

}  // namespace
}  // namespace holdfast::test
