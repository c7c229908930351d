#pragma once
// Programs run by tests: in the foreground with everything they printed, or in the background.
//
// Output goes to files without a name, so a program may print any amount, and one that leaves a
// daemon behind does not block the test. Each program leads a process group of its own. A
// background process is killed when its object goes. Throws std::runtime_error when a program
// cannot be started. Threads: an object belongs to one thread at a time.

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

struct Command {
  std::vector<std::string> arguments;  // the program first; looked for in PATH
  // On top of this process's environment; nullopt removes a variable.
  std::map<std::string, std::optional<std::string>> environment = {};
  std::filesystem::path folder = {};  // to run in; empty: this process's
  std::string input = {};
  std::chrono::milliseconds timeout = std::chrono::minutes{5};
};

struct Outcome {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;  // then it was killed
  std::string out, err;
  std::chrono::duration<double> elapsed{};
  bool ok() const { return exit_code == 0; }
};

class Process {
 public:
  explicit Process(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // SIGKILL to its group, if it still runs

  pid_t pid() const { return pid_; }
  bool running();
  void send(int signal);  // to the process alone
  void send_to_group(int signal);
  std::string out() const;  // so far
  std::string err() const;
  // Kills it when `timeout` passes.
  Outcome wait(std::chrono::milliseconds timeout);

 private:
  void reap(int status);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  std::chrono::steady_clock::time_point started_{};
  std::optional<Outcome> outcome_;
};

// Until a SIGSTOP has stopped it; throws when it ended instead.
void wait_until_stopped(const Process& process);

Outcome run(const Command& command);
// Its standard output; throws with its standard error when it does not exit with 0.
std::string run_or_throw(const Command& command);

// `arguments` as the user that may run PostgreSQL: this one, or "postgres" when this is root.
std::vector<std::string> as_server_user(std::vector<std::string> arguments);
// Copies `from` to `to` as that user, while a server or an archive command works on it: files that
// vanish before they are copied are left out, all else that goes wrong is thrown.
void copy_while_in_use(const std::filesystem::path& from, const std::filesystem::path& to);
// Gives `path`, and all in it, to that user.
void give_to_server_user(const std::filesystem::path& path);

}  // namespace holdfast::test
