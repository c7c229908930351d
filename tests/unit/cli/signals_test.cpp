#include <csignal>
#include <filesystem>
#include <thread>

#include <sys/stat.h>

#include "program_testing.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class SignalTest : public ProgramTest, public ::testing::WithParamInterface<int> {
 protected:
  // Until the process sleeps in open(2) of the FIFO, which is where it stays without a writer.
  static void wait_until_blocked(test::Process& process) {
    const std::string path = "/proc/" + std::to_string(process.pid()) + "/wchan";
    for (int i = 0; i < 500 && process.running(); ++i) {
      if (test::read_text(path).find("fifo") != std::string::npos) return;
      if (test::read_text(path).find("wait_for_partner") != std::string::npos) return;
      std::this_thread::sleep_for(10ms);
    }
  }
  std::string make_fifo() const {
    const std::string fifo = (folder_ / "fifo").string();
    EXPECT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    return fifo;
  }
};

TEST_P(SignalTest, EndsAtOnceWhileTheConfigurationIsRead) {
  test::Process process(command({"config", "check", "--config", make_fifo()}));
  wait_until_blocked(process);
  ASSERT_TRUE(process.running());
  process.send(GetParam());
  const test::Outcome outcome = process.wait(5s);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, GetParam());
}

// During the operation the first signal asks to stop; one that hangs is ended by the second.
TEST_P(SignalTest, ASecondSignalEndsAnOperationThatHangs) {
  write_config("    encryption: {key_file: " + make_fifo() + "}\n");
  test::Process process(command({"config", "check"}));
  wait_until_blocked(process);
  process.send(GetParam());
  std::this_thread::sleep_for(300ms);
  ASSERT_TRUE(process.running());
  process.send(GetParam());
  const test::Outcome outcome = process.wait(5s);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest, ::testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST_F(ProgramTest, AnIgnoredSignalStaysIgnored) {
  const std::string fifo = (folder_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  write_config("    encryption: {key_file: " + fifo + "}\n");
  test::Command nohup = command({"config", "check"});
  nohup.arguments = {"sh", "-c", "trap '' HUP; exec \"$0\" config check", HOLDFAST_PROGRAM};
  test::Process process(nohup);
  std::this_thread::sleep_for(300ms);
  process.send(SIGHUP);
  process.send(SIGHUP);
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(process.running());
  process.send(SIGKILL);
  EXPECT_EQ(process.wait(5s).signal, SIGKILL);
}

}  // namespace
}  // namespace holdfast
