#include "system/child_process.h"

#include <cerrno>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "support/temp_folder.h"
#include "system/files.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class Child : public testing::Test {
 protected:
  ChildStart shell(const std::string& script, int on_our_death = SIGKILL) const {
    return {.program = "/bin/sh",
            .arguments = {"-c", script},
            .log = folder_ / "log",
            .on_our_death = on_our_death};
  }
  std::string log() const { return test::read_text(folder_ / "log"); }

  test::TempFolder folder_;
};

TEST_F(Child, TellsHowItEndedAndLogsBothOutputs) {
  ChildProcess child(shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(child.wait(30s, {}), 7);
  EXPECT_EQ(child.ended(), 7);
  EXPECT_EQ(log(), "out\nerr\n");
  ChildProcess killed(shell("kill -TERM $$"));
  EXPECT_EQ(killed.wait(30s, {}), 128 + SIGTERM);
}

TEST_F(Child, InheritsTheEnvironmentButForWhatIsSet) {
  ::setenv("HOLDFAST_TEST_CHILD", "old", 1);
  ::setenv("HOLDFAST_TEST_CHILDREN", "kept", 1);
  ChildStart start = shell("echo $HOLDFAST_TEST_CHILD $HOLDFAST_TEST_CHILDREN $HOLDFAST_TEST_NEW");
  start.environment = {{"HOLDFAST_TEST_CHILD", "other"}, {"HOLDFAST_TEST_NEW", "new"}};
  ChildProcess child(start);
  EXPECT_EQ(child.wait(30s, {}), 0);
  EXPECT_EQ(log(), "other kept new\n");
}

TEST_F(Child, ThatDoesNotExistIsAnError) {
  EXPECT_THROW(ChildProcess({.program = folder_ / "nothing", .log = folder_ / "log"}), Error);
}

TEST_F(Child, WaitingEndsWithTimeOrStopAndDoesNotEndTheChild) {
  ChildProcess child(shell("exec sleep 600"));
  EXPECT_EQ(child.wait(10ms, {}), std::nullopt);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(child.wait(600s, stop.get_token()), std::nullopt);
  child.send(SIGTERM);
  EXPECT_EQ(child.wait(30s, {}), 128 + SIGTERM);
}

TEST_F(Child, IsKilledWithItsObject) {
  pid_t pid = 0;
  {
    const ChildProcess child(shell("trap '' TERM INT; exec sleep 600"));
    pid = child.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(Child, HoldsNothingOfOursOpenAndLeadsItsGroup) {
  const FileDescriptor folder(::open(folder_.path().c_str(), O_RDONLY | O_CLOEXEC));
  // Inherited if nothing is done, and no number that a shell gives to a pipe of its own.
  const int ours = ::fcntl(folder.get(), F_DUPFD, 200);
  ASSERT_GE(ours, 200);
  ChildProcess child(shell("ls /proc/$$/fd | tr '\\n' ' '; cut -d' ' -f5 /proc/$$/stat; echo $$"));
  EXPECT_EQ(child.wait(30s, {}), 0);
  ::close(ours);
  const std::string text = log();
  EXPECT_EQ(text.find(fmt::format("{} ", ours)), std::string::npos) << text;
  EXPECT_NE(text.find(fmt::format("{0}\n{0}\n", child.pid())), std::string::npos) << text;
}

// The process in the middle starts a child and is killed: the kernel tells the child.
TEST_F(Child, IsToldWhenWeAreKilled) {
  const pid_t middle = ::fork();
  if (middle == 0) {
    const ChildProcess child(
        shell("trap 'echo told; exit 0' QUIT; echo began; "
              "while :; do sleep 0.05; done",
              SIGQUIT));
    for (;;) ::pause();
  }
  ASSERT_GT(middle, 0);
  const auto wait_for = [&](const std::string& text) {
    for (int i = 0; i < 3000 && log().find(text) == std::string::npos; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    return log().find(text) != std::string::npos;
  };
  while (!std::filesystem::exists(folder_ / "log")) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(wait_for("began"));
  ::kill(middle, SIGKILL);
  ::waitpid(middle, nullptr, 0);
  EXPECT_TRUE(wait_for("told"));
}

}  // namespace
}  // namespace holdfast
