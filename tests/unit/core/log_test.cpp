#include "core/log.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

class Log : public testing::Test {
 protected:
  ~Log() override { configure_log(LogLevel::kWarning, LogFormat::kText); }

  // What `action` logs, without the time at the front of a text line.
  template <class Action>
  static std::string logged(Action&& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(Log, WritesFromItsLevelOnly) {
  configure_log(LogLevel::kInfo, LogFormat::kText);
  EXPECT_EQ(logged([] { log_debug("hidden"); }), "");
  EXPECT_NE(logged([] { log_info("shown"); }).find(" info shown\n"), std::string::npos);
  configure_log(LogLevel::kOff, LogFormat::kText);
  EXPECT_EQ(logged([] { log(LogLevel::kError, "hidden"); }), "");
}

TEST_F(Log, TextHasTheFields) {
  const std::string line =
      logged([] { log_warning("slow store", {{"object", "a/b"}, {"path", "with blank"}}); });
  EXPECT_NE(line.find(" warning slow store object=a/b path=\"with blank\"\n"), std::string::npos)
      << line;
}

TEST_F(Log, HidesSecretsInBothForms) {
  const auto write = [] {
    log_warning("tried postgres://u:geheim@h", {{"error", "host=a password=geheim"}});
  };
  EXPECT_NE(logged(write).find("tried postgres://u:***@h error=\"host=a password=***\"\n"),
            std::string::npos);
  configure_log(LogLevel::kInfo, LogFormat::kJson);
  EXPECT_EQ(logged(write).find("geheim"), std::string::npos);
}

TEST_F(Log, ALineOverAProgressBarClearsItFirst) {
  configure_log(LogLevel::kInfo, LogFormat::kText);
  set_last_line(LastLine::kProgressBar);
  EXPECT_TRUE(logged([] { log_info("shown"); }).starts_with("\r\x1b[K2"));
  EXPECT_EQ(logged([] { log_debug("hidden"); }), "");
  set_last_line(LastLine::kFree);
  EXPECT_TRUE(logged([] { log_info("shown"); }).starts_with("2"));
}

// A relation or file may have any name; it must not forge a line.
TEST_F(Log, HostileNamesStayOnOneLine) {
  const std::string line = logged([] {
    log_warning("odd\nfile", {{"path", "x\n2026-01-01T00:00:00Z error forged"}, {"none", ""}});
  });
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  EXPECT_NE(line.find("none=\"\""), std::string::npos) << line;
}

TEST_F(Log, JsonIsOneObjectALine) {
  configure_log(LogLevel::kInfo, LogFormat::kJson);
  const std::string line = logged([] { log_info("say \"hi\"", {{"path", "a\nb"}}); });
  EXPECT_TRUE(line.starts_with("{\"time\":\"")) << line;
  EXPECT_TRUE(line.ends_with(R"(,"level":"info","message":"say \"hi\"","path":"a\nb"})"
                             "\n"))
      << line;
}

}  // namespace
}  // namespace holdfast
