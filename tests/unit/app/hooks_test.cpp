// Hooks run by a real shell: what they are told, what is said when they fail, and that nothing of
// one that took too long goes on.
#include "app/hooks.h"

#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

class Hooks : public testing::Test {
 protected:
  std::string run(const std::string& command, std::chrono::milliseconds timeout) {
    return run_hook({.run = command, .timeout = timeout},
                    {.name = "validate",
                     .cluster = "demo",
                     .recovery = "look",
                     .data_directory = "/srv/it's data",
                     .log = folder_ / "hooks.log"},
                    {});
  }
  std::string failure_of(const std::string& command,
                         std::chrono::milliseconds timeout = std::chrono::minutes(1)) {
    try {
      run(command, timeout);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCheckFailed);
      EXPECT_EQ(error.object(), "hooks.validate.run");
      return error.message();
    }
    return "none";
  }

  test::TempFolder folder_;
};

TEST_F(Hooks, AreToldWhatTheyAreFor) {
  const std::string command =
      "printf '%s|%s|%s|%s' \"$HF_HOOK\" \"$HF_CLUSTER\" \"$HF_RECOVERY\" \"$HF_DATA_DIRECTORY\"";
  EXPECT_EQ(run(command, std::chrono::minutes(1)), "done");
  EXPECT_EQ(test::read_text(folder_ / "hooks.log"), "validate|demo|look|/srv/it's data");
  EXPECT_EQ(run("", std::chrono::minutes(1)), "none configured");
}

TEST_F(Hooks, SayWhatTheyPrintedWhenTheyFail) {
  test::write_text(folder_ / "hooks.log", "of an earlier one\n");
  EXPECT_EQ(failure_of("echo 'no such unit' >&2; exit 4"),
            "the hook validate failed with exit code 4: no such unit");
  EXPECT_EQ(failure_of("exit 1"), "the hook validate failed with exit code 1: it printed nothing");
}

TEST_F(Hooks, AreKilledWithEverythingTheyStarted) {
  const std::filesystem::path pid_file = folder_ / "pid";
  const std::string message =
      failure_of("sleep 600 & echo $! > " + pid_file.string() + "; wait", std::chrono::seconds(2));
  EXPECT_EQ(message, "the hook validate did not end within 2.0 s: it printed nothing");
  const pid_t child = std::stoi(test::read_text(pid_file));
  const auto is_gone = [&] {
    const std::string stat = "/proc/" + std::to_string(child) + "/stat";
    // Whoever inherits it may let it be a zombie for a while.
    return !std::filesystem::exists(stat) ||
           test::read_text(stat).find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 1000 && !is_gone(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(is_gone());
}

}  // namespace
}  // namespace holdfast
