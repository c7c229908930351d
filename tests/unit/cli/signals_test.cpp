#include <csignal>
#include <filesystem>
#include <thread>

#include <sys/stat.h>

#include "program_testing.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class HangingProgramTest : public ProgramTest {
 protected:
  // Reads its credentials from a pipe that nobody writes to, in the midst of an operation.
  test::Command hanging_operation() const {
    test::write_text(folder_ / "a.yaml",
                     "cluster: demo\npostgres: {data_directory: /srv/pg}\n"
                     "repositories:\n  - name: hot\n    url: s3://bucket/prefix\n"
                     "    region: us-east-1\n    credentials: {profile: backup}\n");
    test::Command list = command({"list"});
    list.environment["AWS_SHARED_CREDENTIALS_FILE"] = make_fifo();
    return list;
  }
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

class SignalTest : public HangingProgramTest, public ::testing::WithParamInterface<int> {};

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
  test::Process process(hanging_operation());
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

TEST_F(HangingProgramTest, AnIgnoredSignalStaysIgnored) {
  test::Command nohup = hanging_operation();
  nohup.arguments.insert(nohup.arguments.begin(), {"sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""});
  test::Process process(nohup);
  wait_until_blocked(process);
  process.send(SIGHUP);
  process.send(SIGHUP);
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(process.running());
  process.send(SIGKILL);
  EXPECT_EQ(process.wait(5s).signal, SIGKILL);
}

}  // namespace
}  // namespace holdfast
