// `notify`, and that every end of a command is told where the configuration wants it.
#include <filesystem>

#include <gmock/gmock.h>

#include "support/test_http_server.h"
#include "unit/cli/program_testing.h"

namespace holdfast {
namespace {

using test::TestAnswer;
using test::TestHttpServer;
using test::TestRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class NotifyCommandTest : public ProgramTest {
 protected:
  void configure(const std::string& url, const std::string& more = "") const {
    write_config("state_directory: " + (folder_ / "state").string() +
                 "\nnotify:\n  - {webhook: {url: \"" + url + "\"}" + more + "}\n");
  }
  int status_ = 200;
  TestHttpServer server_{[this](const TestRequest&) { return TestAnswer{.status = status_}; }};
};

TEST_F(NotifyCommandTest, ATestGoesToEverybody) {
  configure(server_.url(), ", on: drill");
  const auto sent = json({"notify", "--test"});
  ASSERT_THAT(sent["result"]["deliveries"], SizeIs(1));
  EXPECT_EQ(
      sent["result"]["deliveries"][0],
      nlohmann::json(
          {{"way", "notify.1 (webhook)"}, {"ok", true}, {"attempts", 1}, {"error", nullptr}}));
  ASSERT_THAT(server_.requests(), SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(server_.requests()[0].body)["event"], "test");
  status_ = 403;
  EXPECT_EQ(json({"notify", "--test"})["error"]["exit"], 1);
  EXPECT_EQ(json({"notify"})["error"]["exit"], 2);
  write_config();
  EXPECT_EQ(json({"notify", "--test"})["error"]["exit"], 2);
}

// There is no repository: `verify` fails, and says so wherever it is wanted.
TEST_F(NotifyCommandTest, AFailureIsTold) {
  configure(server_.url());
  const auto failed = json({"verify", "--all"});
  EXPECT_EQ(failed["error"]["exit"], 4);
  EXPECT_THAT(failed["warnings"], IsEmpty());
  ASSERT_THAT(server_.requests(), SizeIs(1));
  const auto notice = nlohmann::json::parse(server_.requests()[0].body);
  EXPECT_EQ(notice["event"], "verify");
  EXPECT_EQ(notice["exit"], 4);
  EXPECT_EQ(notice["error"]["message"], failed["error"]["message"]);
  json({"list"});  // nobody waits for this
  json({"expire", "--dry-run"});
  EXPECT_THAT(server_.requests(), SizeIs(1));
}

TEST_F(NotifyCommandTest, ACheckThatFailedIsToldWithWhatFailed) {
  configure(server_.url());
  EXPECT_EQ(json({"check"})["error"]["exit"], 1);
  ASSERT_THAT(server_.requests(), SizeIs(1));
  const auto notice = nlohmann::json::parse(server_.requests()[0].body);
  EXPECT_THAT(std::string(notice["detail"]), HasSubstr("PostgreSQL"));
}

TEST_F(NotifyCommandTest, AFailingNotifierChangesNothingButAddsAWarning) {
  configure(server_.url());
  status_ = 403;
  const auto failed = json({"verify", "--all"});
  EXPECT_EQ(failed["error"]["exit"], 4);
  ASSERT_THAT(failed["warnings"], SizeIs(1));
  EXPECT_THAT(failed["warnings"][0], HasSubstr("notify.1 (webhook) was not told"));
}

// systemd starts the unit that tells of a failed one. It stays silent where the command has told.
TEST_F(NotifyCommandTest, AUnitThatFailedIsToldOnce) {
  configure(server_.url());
  const auto of_unit = [&](const std::string& invocation) {
    test::Command tell = command({"notify", "--unit", "holdfast-verify@demo.service"});
    tell.environment["MONITOR_INVOCATION_ID"] = invocation;
    tell.environment["MONITOR_SERVICE_RESULT"] = "timeout";
    return test::run(tell).exit_code;
  };
  test::Command verify = command({"verify", "--all"});
  verify.environment["INVOCATION_ID"] = "aaaa";
  EXPECT_EQ(test::run(verify).exit_code, 4);
  EXPECT_THAT(server_.requests(), SizeIs(1));
  EXPECT_EQ(of_unit("aaaa"), 0);
  EXPECT_THAT(server_.requests(), SizeIs(1));
  EXPECT_EQ(of_unit("bbbb"), 0);
  ASSERT_THAT(server_.requests(), SizeIs(2));
  const auto notice = nlohmann::json::parse(server_.requests()[1].body);
  EXPECT_EQ(notice["event"], "unit");
  EXPECT_THAT(std::string(notice["summary"]),
              HasSubstr("holdfast-verify@demo.service FAILED (timeout)"));
}

}  // namespace
}  // namespace holdfast
