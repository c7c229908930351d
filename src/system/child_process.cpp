#include "system/child_process.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/after_fork.h"
#include "system/files.h"

extern char** environ;

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kPoll{20};

// Everything that the child needs, made before the fork: behind it only async-signal-safe calls.
struct ChildPlan {
  const char* program = nullptr;
  std::vector<char*> arguments, environment;
  int log = -1;
  int null = -1;
  int report = -1;  // told an errno when the program could not be executed; closed by exec
  pid_t parent = -1;
  std::optional<ChildUser> user;
  int on_our_death = SIGKILL;
};

[[noreturn]] void become_child(const ChildPlan& plan) {
  reset_signals_after_fork();
  ::setsid();
  if (::dup2(plan.null, 0) < 0 || ::dup2(plan.log, 1) < 0 || ::dup2(plan.log, 2) < 0) {
    report_exec_failure(plan.report);
  }
  if (plan.user && (::setgroups(0, nullptr) != 0 || ::setgid(plan.user->gid) != 0 ||
                    ::setuid(plan.user->uid) != 0)) {
    report_exec_failure(plan.report);
  }
  // Behind the change of user, which forgets it. Our parent may be gone before it was set.
  ::prctl(PR_SET_PDEATHSIG, plan.on_our_death);
  if (::getppid() != plan.parent) ::_exit(kExitNotStarted);
  if (::chdir("/") != 0) report_exec_failure(plan.report);
  constexpr int kReport = 3;
  const bool kept = plan.report == kReport || ::dup3(plan.report, kReport, O_CLOEXEC) == kReport;
  if (!kept) report_exec_failure(plan.report);
  close_descriptors_from(kReport + 1);
  ::execve(plan.program, plan.arguments.data(), plan.environment.data());
  report_exec_failure(kReport);
}

// "NAME=value" of each.
std::vector<std::string> variables_of(const ChildStart& start) {
  std::vector<std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const bool replaced = std::ranges::any_of(
        start.environment, [&](const auto& set) { return variable.starts_with(set.first + "="); });
    if (!replaced) variables.emplace_back(variable);
  }
  for (const auto& [name, value] : start.environment) variables.push_back(name + "=" + value);
  return variables;
}

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ChildProcess::ChildProcess(const ChildStart& start) {
  const FileDescriptor log = open_or_throw(start.log, O_WRONLY | O_CREAT | O_APPEND, 0640);
  // Whom it is for may go on with it; and whom the folder belongs to may have put a link there.
  if (start.user && ::lchown(start.log.c_str(), start.user->uid, start.user->gid) != 0) {
    throw_file_error(errno, "set the owner of", start.log.native());
  }
  const FileDescriptor null = open_or_throw("/dev/null", O_RDONLY);
  int pipe_ends[2] = {-1, -1};
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw_errno(errno, "start", start.program.native());
  const FileDescriptor told(pipe_ends[0]);
  FileDescriptor report(pipe_ends[1]);
  std::vector<std::string> words{start.program.native()};
  words.insert(words.end(), start.arguments.begin(), start.arguments.end());
  ChildPlan plan{.program = start.program.c_str(),
                 .arguments = {},
                 .environment = {},
                 .log = log.get(),
                 .null = null.get(),
                 .report = report.get(),
                 .parent = ::getpid(),
                 .user = start.user,
                 .on_our_death = start.on_our_death};
  for (std::string& word : words) plan.arguments.push_back(word.data());
  plan.arguments.push_back(nullptr);
  std::vector<std::string> variables = variables_of(start);
  for (std::string& variable : variables) plan.environment.push_back(variable.data());
  plan.environment.push_back(nullptr);

  pid_ = ::fork();
  if (pid_ < 0) throw_errno(errno, "start", start.program.native());
  if (pid_ == 0) become_child(plan);
  report.close("a pipe");
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(told.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got != ssize_t{sizeof error}) return;
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  throw_errno(error, "start", start.program.native());
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0 || ended()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<int> ChildProcess::ended() {
  int status = 0;
  if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) ended_ = exit_code_of(status);
  return ended_;
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds patience,
                                      const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!ended() && !stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPoll);
  }
  return ended_;
}

void ChildProcess::send(int signal) {
  if (!ended()) ::kill(pid_, signal);
}

}  // namespace holdfast
