#include "system/process.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kReportVariable = "HOLDFAST_TEST_DETACHED";

// What the detached process says of itself. It is this test program, which does nothing else when
// the variable is in its environment.
void report_to(const std::string& path) {
  std::ostringstream out;
  out << "pid " << ::getpid() << "\nparent " << ::getppid() << "\nsession " << ::getsid(0)
      << "\nfolder " << fs::current_path().string() << "\n";
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (target.string().starts_with("/proc/")) continue;  // of this listing
    out << "descriptor " << entry.path().filename().string() << " " << target.string() << "\n";
  }
  sigset_t blocked{};
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction hangup{};
  ::sigaction(SIGHUP, nullptr, &hangup);
  out << "blocked " << ::sigismember(&blocked, SIGTERM) << "\nignored "
      << (hangup.sa_handler == SIG_IGN) << "\n";
  std::ofstream(path + ".new") << out.str();
  fs::rename(path + ".new", path);
  if (fs::exists(path + ".stay")) std::this_thread::sleep_for(30s);
}

[[maybe_unused]] const bool kIsTheDetachedProcess = [] {
  const char* const path = std::getenv(kReportVariable);
  if (path == nullptr) return false;
  report_to(path);
  std::_Exit(0);
}();

std::string wait_for(const fs::path& path) {
  for (int i = 0; i < 1000 && !fs::exists(path); ++i) std::this_thread::sleep_for(10ms);
  return fs::exists(path) ? read_text(path) : "";
}

std::string value_of(const std::string& report, const std::string& key) {
  const auto at = report.find(key + " ");
  if (at == std::string::npos) return "";
  const auto begin = at + key.size() + 1;
  return report.substr(begin, report.find('\n', begin) - begin);
}

class Detached : public testing::Test {
 protected:
  Detached() { ::setenv(kReportVariable, report_.c_str(), 1); }
  ~Detached() override { ::unsetenv(kReportVariable); }

  std::string start(const DetachedStart& how) {
    start_detached(how);
    return wait_for(report_);
  }

  TempFolder folder_;
  const fs::path report_ = folder_ / "report";
};

TEST_F(Detached, IsNoChildLeavesNoZombieAndHasASessionOfItsOwn) {
  const std::string report = start({});
  ASSERT_NE(report, "");
  EXPECT_NE(value_of(report, "parent"), std::to_string(::getpid()));
  EXPECT_EQ(value_of(report, "session"), value_of(report, "pid"));
  EXPECT_EQ(value_of(report, "folder"), "/");
  // No child of any kind is left to this process, running or dead.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Detached, InheritsNoDescriptorButTheOneToKeep) {
  // As PostgreSQL has them: some without close-on-exec, and high ones.
  const int leaked = ::open("/dev/zero", O_RDONLY);
  const int high = ::fcntl(leaked, F_DUPFD, 200);
  const FileDescriptor kept = open_or_throw(folder_ / "lock", O_RDWR | O_CREAT);
  const std::string report = start({.log = folder_ / "log", .keep = &kept});
  ::close(leaked);
  ::close(high);
  EXPECT_EQ(value_of(report, "descriptor 0"), "/dev/null");
  EXPECT_EQ(value_of(report, "descriptor 1"), (folder_ / "log").string());
  EXPECT_EQ(value_of(report, "descriptor 2"), (folder_ / "log").string());
  EXPECT_EQ(value_of(report, "descriptor 3"), (folder_ / "lock").string());
  EXPECT_EQ(report.find("/dev/zero"), std::string::npos) << report;
  EXPECT_EQ(value_of(report, "descriptor 4"), "") << report;
}

TEST_F(Detached, HasDefaultSignals) {
  sigset_t set{};
  sigset_t before{};
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, &before);
  const auto hangup = ::signal(SIGHUP, SIG_IGN);
  const std::string report = start({});
  ::signal(SIGHUP, hangup);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(value_of(report, "blocked"), "0");
  EXPECT_EQ(value_of(report, "ignored"), "0");
}

TEST_F(Detached, HoldsTheLockThatWasHandedOver) {
  write_text(report_.string() + ".stay", "");
  std::string report;
  {
    const auto lock = FileLock::try_acquire(folder_ / "lock");
    ASSERT_TRUE(lock);
    report = start({.keep = &lock->descriptor()});
  }
  const pid_t pid = std::stoi(value_of(report, "pid"));
  EXPECT_FALSE(FileLock::try_acquire(folder_ / "lock"));
  ::kill(pid, SIGKILL);
  bool released = false;
  for (int i = 0; i < 500 && !released; ++i) {
    std::this_thread::sleep_for(10ms);
    released = FileLock::try_acquire(folder_ / "lock").has_value();
  }
  EXPECT_TRUE(released);
}

// Where PostgreSQL is process 1, it adopts the helper and must not see it die by a signal.
TEST_F(Detached, GuardEndsWellWhenTheHelperIsKilled) {
  write_text(report_.string() + ".stay", "");
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const std::string report = start({.guard = Guard::kAlways});
  ::kill(std::stoi(value_of(report, "pid")), SIGKILL);
  int status = -1;
  const pid_t adopted = ::waitpid(-1, &status, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  EXPECT_EQ(std::to_string(adopted), value_of(report, "parent"));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Detached, EmptiesALogThatGrewTooLong) {
  write_text(folder_ / "log", std::string(2000, 'x'));
  start({.log = folder_ / "log", .log_bytes_max = 1000});
  EXPECT_EQ(read_text(folder_ / "log").find('x'), std::string::npos);
}

}  // namespace
}  // namespace holdfast::test
