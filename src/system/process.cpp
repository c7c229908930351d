#include "system/process.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/after_fork.h"

namespace holdfast {
namespace {

constexpr const char* kThisProgram = "/proc/self/exe";

// Everything that the new process needs, made before the fork.
struct Plan {
  std::vector<char*> arguments;
  int log = -1;
  int keep = -1;
  int report = -1;  // told an errno when the program could not be executed; closed by exec
  pid_t middle = -1;
  Guard guard = Guard::kWhereNeeded;
};

// Puts the descriptors where they belong: 0 to 2, kKeptDescriptor, and `report` behind them.
void arrange_descriptors(Plan& plan) {
  constexpr int kReport = kKeptDescriptor + 1;
  // Copies far above, so that no target is overwritten before it was used as a source.
  constexpr int kAbove = 64;
  const int report = ::fcntl(plan.report, F_DUPFD_CLOEXEC, kAbove);
  if (report < 0) report_exec_failure(plan.report);
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = plan.log >= 0 ? plan.log : ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const int high_input = ::fcntl(input, F_DUPFD_CLOEXEC, kAbove);
  const int high_output = ::fcntl(output, F_DUPFD_CLOEXEC, kAbove);
  const int high_keep = plan.keep >= 0 ? ::fcntl(plan.keep, F_DUPFD_CLOEXEC, kAbove) : -1;
  if (high_input < 0 || high_output < 0 || (plan.keep >= 0 && high_keep < 0))
    report_exec_failure(report);
  const bool placed = ::dup2(high_input, STDIN_FILENO) >= 0 &&
                      ::dup2(high_output, STDOUT_FILENO) >= 0 &&
                      ::dup2(high_output, STDERR_FILENO) >= 0 &&
                      (high_keep < 0 || ::dup2(high_keep, kKeptDescriptor) >= 0);
  if (!placed || ::dup3(report, kReport, O_CLOEXEC) < 0) report_exec_failure(report);
  plan.report = kReport;
  if (high_keep < 0) ::close(kKeptDescriptor);
  close_descriptors_from(kReport + 1);
}

// Whether PostgreSQL is the parent once the process in the middle has ended.
bool adopted_by_postgres(pid_t middle) {
  constexpr int kPolls = 1000;
  const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
  for (int i = 0; i < kPolls && ::getppid() == middle; ++i) ::nanosleep(&pause, nullptr);
  std::array<char, 32> link{"/proc/"};
  std::size_t length = 6;
  std::array<char, 12> digits{};
  std::size_t count = 0;
  for (auto rest = static_cast<unsigned>(::getppid()); rest > 0 || count == 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) link[length++] = digits[--count];
  for (const char c : {'/', 'e', 'x', 'e'}) link[length++] = c;
  std::array<char, 4096> target{};
  // Not readable: it belongs to another user, so it is not the server that called us.
  const ssize_t got = ::readlink(link.data(), target.data(), target.size());
  const std::string_view program(target.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  return program.ends_with("/postgres") || program.ends_with("/postgres (deleted)");
}

// Waits for the helper and ends well, however the helper ended. Holds nothing open.
[[noreturn]] void guard(pid_t child) {
  close_descriptors_from(0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

[[noreturn]] void become_helper(Plan plan) {
  reset_signals_after_fork();
  if (::setsid() < 0 || ::chdir("/") != 0) report_exec_failure(plan.report);
  if (plan.guard == Guard::kAlways || adopted_by_postgres(plan.middle)) {
    const pid_t child = ::fork();
    if (child < 0) report_exec_failure(plan.report);
    if (child > 0) guard(child);
  }
  arrange_descriptors(plan);
  ::execv(kThisProgram, plan.arguments.data());
  report_exec_failure(plan.report);
}

FileDescriptor open_log(const DetachedStart& start) {
  if (start.log.empty()) return {};
  FileDescriptor log = open_or_throw(start.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  struct stat info{};
  if (::fstat(log.get(), &info) == 0 &&
      static_cast<std::uint64_t>(info.st_size) > start.log_bytes_max) {
    if (::ftruncate(log.get(), 0) != 0) throw_file_error(errno, "empty", start.log.native());
  }
  return log;
}

std::array<FileDescriptor, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "make a pipe to", "the helper");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// The errno with which the start failed, or 0.
int told_error(int fd) {
  int error = 0;
  for (;;) {
    const ssize_t count = ::read(fd, &error, sizeof error);
    if (count < 0 && errno == EINTR) continue;
    return count == sizeof error ? error : 0;
  }
}

}  // namespace

void start_detached(const DetachedStart& start) {
  std::vector<std::string> words{"holdfast"};
  words.insert(words.end(), start.arguments.begin(), start.arguments.end());
  Plan plan;
  for (std::string& word : words) plan.arguments.push_back(word.data());
  plan.arguments.push_back(nullptr);
  const FileDescriptor log = open_log(start);
  auto [reader, writer] = make_pipe();
  plan.log = log.get();
  plan.keep = start.keep == nullptr ? -1 : start.keep->get();
  plan.report = writer.get();
  plan.guard = start.guard;
  const pid_t middle = ::fork();
  if (middle < 0) throw_errno(errno, "start", "the helper");
  if (middle == 0) {
    plan.middle = ::getpid();
    const pid_t helper = ::fork();
    if (helper < 0) report_exec_failure(plan.report);
    if (helper == 0) become_helper(plan);
    ::_exit(0);
  }
  writer = {};
  int status = 0;
  while (::waitpid(middle, &status, 0) < 0 && errno == EINTR) {
  }
  if (const int error = told_error(reader.get()); error != 0) {
    throw_errno(error, "start", "the helper");
  }
}

}  // namespace holdfast
