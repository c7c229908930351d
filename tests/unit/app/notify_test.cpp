// Notifications: what is told, to whom, how often it is tried; to real servers on this machine.
#include "app/notify.h"

#include <atomic>
#include <filesystem>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "seal/secret.h"
#include "support/smtp_server.h"
#include "support/test_http_server.h"
#include "unit/app/config_testing.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using test::TestAnswer;
using test::TestHttpServer;
using test::TestRequest;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::stop_token kNoStop;
constexpr NotifyOptions kQuick{.attempts = 3, .first_pause = std::chrono::milliseconds(1)};

Notice failed_backup() {
  return {.event = "backup",
          .command = "backup",
          .exit = 4,
          .error = Error(ErrorKind::kRepository, "no <answer>",
                         {.object = "s3://u:hunter2@x/y", .hint = "Look."}),
          .warnings = {},
          .subject = "",
          .text = "",
          .duration_seconds = 3,
          .time = Timestamp(std::chrono::seconds(1'795'000'000)),
          .failed = true};
}

Notice good_backup() {
  return {.event = "backup",
          .command = "backup",
          .subject = "20261122T020000Z-3f9a",
          .time = Timestamp(std::chrono::seconds(1'795'000'000))};
}

class NotifyTest : public ConfigTest {
 protected:
  // `entry`: an element of the list `notify`, as YAML's flow form has it.
  Config config(const std::string& entry) {
    return load(kSmallConfig + "state_directory: " + (folder_ / "state").string() +
                "\nnotify:\n  - " + entry + "\n")
        .config;
  }
  std::string secret(const std::string& name, const std::string& text) const {
    test::write_text(folder_ / name, text + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_read | fs::perms::owner_write);
    return (folder_ / name).string();
  }
  static Delivery only(const std::vector<Delivery>& deliveries) {
    EXPECT_THAT(deliveries, SizeIs(1));
    return deliveries.empty() ? Delivery{} : deliveries[0];
  }
  static Delivery tell(const Config& config, const Notice& notice) {
    return only(notify(config, notice, NoticeAudience::kWhoeverWantsIt, kNoStop, kQuick));
  }
};

TEST_F(NotifyTest, AWebhookGetsASignedDocument) {
  const TestHttpServer server([](const TestRequest&) { return TestAnswer{}; });
  const Config with = config("{webhook: {url: \"" + server.url() +
                             "/hook\", secret_file: " + secret("key", "the key") + "}}");
  EXPECT_FALSE(tell(with, failed_backup()).error);
  ASSERT_THAT(server.requests(), SizeIs(1));
  const TestRequest got = server.requests()[0];
  EXPECT_EQ(got.method, "POST");
  EXPECT_EQ(got.target, "/hook");
  EXPECT_EQ(got.header("content-type"), "application/json");
  EXPECT_EQ(got.header("x-holdfast-signature"),
            "sha256=" + to_hex(hmac_sha256(as_bytes("the key"), as_bytes(got.body))));
  const auto document = nlohmann::json::parse(got.body);
  EXPECT_EQ(document["event"], "backup");
  EXPECT_EQ(document["severity"], "error");
  EXPECT_EQ(document["failed"], true);
  EXPECT_EQ(document["cluster"], "demo");
  EXPECT_EQ(document["exit"], 4);
  EXPECT_EQ(document["error"]["kind"], "repository");
  EXPECT_EQ(document["id"], got.header("x-holdfast-id"));
  EXPECT_THAT(got.body, Not(HasSubstr("hunter2")));
}

// HMAC-SHA-256 with key and text of RFC 4231's second case: what a receiver compares with.
TEST_F(NotifyTest, TheSignatureIsTheOneOfTheStandard) {
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_F(NotifyTest, SlackGetsTextWithoutMarkup) {
  const TestHttpServer server([](const TestRequest&) { return TestAnswer{}; });
  const Config with = config(
      "{slack: {webhook_file: " + secret("slack", server.url() + "/services/T0/B0/secret") + "}}");
  EXPECT_FALSE(tell(with, failed_backup()).error);
  ASSERT_THAT(server.requests(), SizeIs(1));
  EXPECT_EQ(server.requests()[0].target, "/services/T0/B0/secret");
  const std::string text = nlohmann::json::parse(server.requests()[0].body)["text"];
  EXPECT_THAT(text, HasSubstr("demo on "));
  EXPECT_THAT(text, HasSubstr("FAILED (exit 4): no &lt;answer&gt;"));
}

TEST_F(NotifyTest, TriesAgainWhereThatMayHelpAndNoLonger) {
  std::atomic<int> asked = 0;
  const TestHttpServer soon(
      [&](const TestRequest&) { return TestAnswer{.status = ++asked < 3 ? 503 : 200}; });
  const Delivery taken = tell(config("{webhook: {url: \"" + soon.url() + "\"}}"), failed_backup());
  EXPECT_FALSE(taken.error);
  EXPECT_EQ(taken.attempts, 3);
  const TestHttpServer down([](const TestRequest&) { return TestAnswer{.status = 503}; });
  EXPECT_EQ(tell(config("{webhook: {url: \"" + down.url() + "\"}}"), failed_backup()).attempts, 3);
  const TestHttpServer gone([](const TestRequest&) { return TestAnswer{.status = 404}; });
  const Delivery refused =
      tell(config("{webhook: {url: \"" + gone.url() + "\"}}"), failed_backup());
  EXPECT_EQ(refused.attempts, 1);
  EXPECT_THAT(refused.error->message(), HasSubstr("404"));
}

TEST_F(NotifyTest, ASecretUrlIsInNoError) {
  const std::string url = "http://127.0.0.1:" + std::to_string(test::free_port()) + "/secret-path";
  const Delivery failed =
      tell(config("{slack: {webhook_file: " + secret("slack", url) + "}}"), failed_backup());
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->object(), "notify.1 (slack)");
  EXPECT_THAT(failed.error->message() + failed.error->hint(), Not(HasSubstr("secret-path")));
}

TEST_F(NotifyTest, NoSecretOfAnErrorIsTold) {
  Notice notice = failed_backup();
  notice.error = Error(ErrorKind::kPostgres, "no route to \"postgres://u:geheim@db:5432/x\"",
                       {.object = "https://b.s3.example/k?X-Amz-Signature=geheim&x=1",
                        .hint = "Try 'host=db password=geheim user=u'."});
  notice.warnings = {"https://u:geheim@h was slow"};
  const NoticeText text = compose(config("{command: {run: \"true\"}}"), notice);
  EXPECT_THAT(text.subject + text.body + text.json, Not(HasSubstr("geheim")));
  EXPECT_THAT(text.subject, HasSubstr("no route to \"postgres://u:***@db:5432/x\""));
  EXPECT_THAT(text.body, HasSubstr("X-Amz-Signature=***&x=1"));
  EXPECT_THAT(text.body, HasSubstr("warning: https://u:***@h was slow"));
}

TEST_F(NotifyTest, ASecretThatOthersMayReadIsNotUsed) {
  const TestHttpServer server([](const TestRequest&) { return TestAnswer{}; });
  const std::string key = secret("key", "the key");
  const Config with =
      config("{webhook: {url: \"" + server.url() + "\", secret_file: " + key + "}}");
  fs::permissions(key, fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(tell(with, failed_backup()).error->kind(), ErrorKind::kConfiguration);
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST_F(NotifyTest, MailIsSentAndTriedAgain) {
  const test::SmtpServer server({.refused_at_first = 1});
  const Config with =
      config("{email: {server: \"" + server.url() +
             "\", from: a@example.org, to: [b@example.org, "
             "c@example.org], user: u, password_file: " +
             secret("password", "p") + ", ca_file: " + server.ca_file().string() + "}}");
  const Delivery sent = tell(with, failed_backup());
  EXPECT_FALSE(sent.error) << sent.error->message();
  EXPECT_EQ(sent.attempts, 2);
  ASSERT_THAT(server.mails(), SizeIs(1));
  EXPECT_THAT(server.mails()[0].to, testing::ElementsAre("b@example.org", "c@example.org"));
  EXPECT_EQ(server.mails()[0].password, "p");
  EXPECT_THAT(server.mails()[0].message, HasSubstr("Date: Wed, 18 Nov 2026"));
  const std::string message = server.mails()[0].message;
  EXPECT_THAT(test::from_base64(message.substr(message.find("\n\n"))), HasSubstr("hint: Look."));
}

TEST_F(NotifyTest, ACommandGetsTheDocument) {
  const fs::path got = folder_ / "got";
  const Config with = config("{command: {run: \"cat > " + got.string() + " <\"}}");
  EXPECT_FALSE(tell(with, failed_backup()).error);
  EXPECT_EQ(nlohmann::json::parse(test::read_text(got))["exit"], 4);
  for (const auto& entry : fs::directory_iterator(folder_ / "state")) {
    ADD_FAILURE() << entry.path() << " was left behind";
  }
}

TEST_F(NotifyTest, ACommandThatFailsOrHangsIsSaid) {
  const Delivery failed =
      tell(config("{command: {run: \"echo why; exit 3; :\"}}"), failed_backup());
  EXPECT_THAT(failed.error->message(), HasSubstr("exited with 3: why"));
  const Delivery hung =
      tell(config("{command: {run: \"sleep 600; :\", timeout: 1s}}"), failed_backup());
  EXPECT_THAT(hung.error->message(), HasSubstr("killed"));
  EXPECT_EQ(hung.attempts, 1);
}

TEST_F(NotifyTest, EachIsToldOfWhatItWants) {
  const auto wants = [&](const std::string& keys, const Notice& notice) {
    const Config with = config("{command: {run: \"true\"}" + keys + "}");
    return is_wanted(with.notify[0], notice);
  };
  Notice warned = good_backup();
  warned.warnings = {"something"};
  EXPECT_TRUE(wants("", failed_backup()));
  EXPECT_FALSE(wants("", good_backup()));
  EXPECT_TRUE(wants(", on: [drill, backup]", good_backup()));
  EXPECT_TRUE(wants(", on: [drill, backup]", failed_backup()));
  EXPECT_FALSE(wants(", on: [drill]", failed_backup()));
  EXPECT_FALSE(wants(", on: backup, minimum: warning", good_backup()));
  EXPECT_TRUE(wants(", on: backup, minimum: warning", warned));
  EXPECT_FALSE(wants(", on: backup, minimum: error", warned));
  EXPECT_EQ(notice_event("recover promote"), "promotion");
  EXPECT_EQ(notice_event("list"), std::nullopt);
}

TEST_F(NotifyTest, WhatIsWrongInTheConfigurationIsRefused) {
  const auto message = [&](const std::string& entry) {
    return refused(request(kSmallConfig + "notify:\n  - " + entry + "\n")).message();
  };
  EXPECT_THAT(message("{on: failure}"), HasSubstr("exactly one way"));
  EXPECT_THAT(message("{command: {run: a}, webhook: {url: \"http://x\"}}"),
              HasSubstr("exactly one way"));
  EXPECT_THAT(message("{command: {run: a}, on: [failure, moon]}"), HasSubstr("a list of failure"));
  EXPECT_THAT(message("{email: {server: \"smtp://x\", from: a@b}}"), HasSubstr("from and to"));
  EXPECT_THAT(message("{email: {server: \"http://x\", from: a@b, to: a@b}}"), HasSubstr("smtp"));
  EXPECT_THAT(message("{email: {server: \"smtp://x\", from: a@b, to: [a, b]}}"),
              HasSubstr("addresses"));
  EXPECT_THAT(message("{email: {server: \"smtp://x\", from: a@b, to: c@d, user: u}}"),
              HasSubstr("belong together"));
  EXPECT_THAT(message("{webhook: {uri: \"http://x\"}}"), HasSubstr("unknown key 'uri'"));
}

TEST_F(NotifyTest, WhatACommandToldIsNotToldAgain) {
  const Config with = config("{command: {run: \"true\"}}");
  EXPECT_FALSE(was_told(with, "abc"));
  remember_told(with, "abc");
  EXPECT_TRUE(was_told(with, "abc"));
  EXPECT_FALSE(was_told(with, "ab"));
  EXPECT_FALSE(was_told(with, ""));
}

TEST_F(NotifyTest, SaysWhatWasReached) {
  Notice notice = good_backup();
  notice.detail = "backup x to the end of the archive: passed, from postgres://u:geheim@db/x";
  const NoticeText text = compose(config("{command: {run: \"true\"}}"), notice);
  EXPECT_THAT(text.body, HasSubstr("\nbackup x to the end of the archive: passed"));
  EXPECT_THAT(text.json, HasSubstr("\"detail\": \"backup x to the end"));
  EXPECT_THAT(text.body + text.json, Not(HasSubstr("geheim")));
}

}  // namespace
}  // namespace holdfast
