#include "support/process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace holdfast::test {
namespace {

constexpr std::chrono::milliseconds kPollInterval{5};
constexpr const char* kServerUser = "postgres";

[[noreturn]] void fail(int error_number, const std::string& doing) {
  throw std::system_error(error_number, std::generic_category(), doing);
}

int nameless_file() {
  const int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string pattern = "/tmp/hft-out-XXXXXX";  // file systems without O_TMPFILE
  const int named = mkostemp(pattern.data(), O_CLOEXEC);
  if (named < 0) fail(errno, "temporary file");
  unlink(pattern.c_str());
  return named;
}

std::string content_of(int fd) {
  std::string text;
  std::array<char, 65536> part{};
  for (ssize_t count = 1; count > 0;) {
    count = pread(fd, part.data(), part.size(), static_cast<off_t>(text.size()));
    if (count > 0) text.append(part.data(), static_cast<std::size_t>(count));
  }
  return text;
}

std::vector<std::string> environment_with(
    const std::map<std::string, std::optional<std::string>>& changes) {
  std::vector<std::string> result;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string entry = *at;
    if (!changes.contains(entry.substr(0, entry.find('=')))) result.push_back(entry);
  }
  for (const auto& [name, value] : changes) {
    if (value) result.push_back(name + "=" + *value);
  }
  return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

struct SpawnSettings {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    // Whoever started the tests may have ignored SIGINT, as shells do for what runs in the
    // background.
    sigset_t ordinary;
    sigemptyset(&ordinary);
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE}) {
      sigaddset(&ordinary, number);
    }
    posix_spawnattr_setsigdefault(&attributes, &ordinary);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

int input_file(const std::string& text) {
  if (text.empty()) return open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int fd = nameless_file();
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    fail(errno, "write the input of a program");
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

}  // namespace

Process::Process(const Command& command)
    : out_fd_(nameless_file()),
      err_fd_(nameless_file()),
      started_(std::chrono::steady_clock::now()) {
  SpawnSettings settings;
  const int in_fd = input_file(command.input);
  posix_spawn_file_actions_adddup2(&settings.actions, in_fd, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&settings.actions, out_fd_, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&settings.actions, err_fd_, STDERR_FILENO);
  if (!command.folder.empty()) {
    posix_spawn_file_actions_addchdir_np(&settings.actions, command.folder.c_str());
  }
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_with(command.environment);
  const int error_number =
      posix_spawnp(&pid_, arguments.at(0).c_str(), &settings.actions, &settings.attributes,
                   pointers_to(arguments).data(), pointers_to(environment).data());
  close(in_fd);
  if (error_number != 0) {
    pid_ = -1;
    close(out_fd_);
    close(err_fd_);
    fail(error_number, "run " + arguments[0]);
  }
}

Process::Process(Process&& other) noexcept {
  *this = std::move(other);
}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(out_fd_, other.out_fd_);
  std::swap(err_fd_, other.err_fd_);
  std::swap(started_, other.started_);
  std::swap(outcome_, other.outcome_);
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && running()) {
    send_to_group(SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
  }
  if (out_fd_ >= 0) close(out_fd_);
  if (err_fd_ >= 0) close(err_fd_);
}

bool Process::running() {
  if (outcome_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  reap(status);
  return false;
}

void Process::reap(int status) {
  Outcome& outcome = outcome_.emplace();
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.elapsed = std::chrono::steady_clock::now() - started_;
}

void Process::send(int signal) {
  if (running()) ::kill(pid_, signal);
}

void Process::send_to_group(int signal) {
  if (running()) ::kill(-pid_, signal);
}

std::string Process::out() const {
  return content_of(out_fd_);
}
std::string Process::err() const {
  return content_of(err_fd_);
}

Outcome Process::wait(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool timed_out = false;
  while (running()) {
    if (!timed_out && std::chrono::steady_clock::now() >= deadline) {
      timed_out = true;
      send_to_group(SIGKILL);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  Outcome outcome = *outcome_;
  outcome.timed_out = timed_out;
  outcome.out = out();
  outcome.err = err();
  return outcome;
}

void wait_until_stopped(const Process& process) {
  siginfo_t info{};
  const int waited =
      ::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WSTOPPED | WEXITED | WNOWAIT);
  if (waited != 0 || info.si_code != CLD_STOPPED) {
    throw std::runtime_error("it ended instead of stopping: " + process.err());
  }
}

Outcome run(const Command& command) {
  return Process(command).wait(command.timeout);
}

std::string run_or_throw(const Command& command) {
  const Outcome outcome = run(command);
  if (outcome.ok()) return outcome.out;
  std::string line;
  for (const std::string& argument : command.arguments) line += argument + " ";
  throw std::runtime_error(line + "failed: exit " + std::to_string(outcome.exit_code) +
                           ", signal " + std::to_string(outcome.signal) + "\n" + outcome.out +
                           outcome.err);
}

std::vector<std::string> as_server_user(std::vector<std::string> arguments) {
  if (geteuid() != 0) return arguments;
  const std::string user = kServerUser;
  const std::array<std::string, 4> prefix{"setpriv", "--reuid=" + user, "--regid=" + user,
                                          "--clear-groups"};
  arguments.insert(arguments.begin(), prefix.begin(), prefix.end());
  return arguments;
}

void copy_while_in_use(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Outcome copied = run(
      {.arguments = as_server_user({"env", "LC_ALL=C", "cp", "-a", from.string(), to.string()})});
  std::istringstream complaints(copied.err);
  bool only_vanished = true;
  for (std::string line; std::getline(complaints, line);) {
    only_vanished = only_vanished && line.ends_with(": No such file or directory");
  }
  if (!copied.ok() && !(only_vanished && !copied.err.empty() && std::filesystem::exists(to))) {
    throw std::runtime_error("cannot copy " + from.string() + ": " + copied.err);
  }
}

void give_to_server_user(const std::filesystem::path& path) {
  if (geteuid() != 0) return;
  const std::string user = kServerUser;
  run_or_throw({.arguments = {"chown", "-R", user + ":" + user, path.string()}});
}

}  // namespace holdfast::test
