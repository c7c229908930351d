#pragma once
// A program that runs beside this one: PostgreSQL on a restored copy, and PostgreSQL's own tools.
//
// Guarantees: the child leads a session of its own, so that Ctrl-C reaches this process only, which
//   then ends the child in its way. The kernel sends it `on_our_death` when the thread that started
//   it ends, also by SIGKILL of this process: so no server stays behind. It reads
//   /dev/null, appends both outputs to `log`, has default signal actions, nothing blocked, and none
//   of this process's descriptors. The environment is inherited, but for what `environment` sets.
// Lifetime: destroying a ChildProcess whose child still runs kills it (SIGKILL) and waits, unless
// it
//   was left running.
// Errors: Error(kHost) when the program could not be started. Threads: one at a time; start it on
//   a thread that lives as long as the child shall.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace holdfast {

struct ChildUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct ChildStart {
  std::filesystem::path program;
  std::vector<std::string> arguments;  // behind the program's name
  std::filesystem::path log;
  std::optional<ChildUser> user = {};  // for a caller that is root
  std::vector<std::pair<std::string, std::string>> environment = {};
  int on_our_death = SIGKILL;  // 0: nothing
};

class ChildProcess {
 public:
  explicit ChildProcess(const ChildStart& start);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // How it ended: its exit code, or 128 and its signal. nullopt: it runs.
  std::optional<int> ended();
  // As ended(), after waiting so long at most; a stop ends the waiting, not the child.
  std::optional<int> wait(std::chrono::milliseconds patience, const std::stop_token& stop);
  void send(int signal);               // nothing when it has ended
  void leave_running() { pid_ = -1; }  // it is nobody's child any more; nothing else may follow

 private:
  pid_t pid_ = -1;
  std::optional<int> ended_;
};

}  // namespace holdfast
