#pragma once
// SIGINT, SIGTERM and SIGHUP become a stop request; the operation cleans up, and the program then
// ends by the signal that it got, so that a shell, systemd or PostgreSQL sees the truth. A second
// signal ends it at once.
//
// How: from construction on these signals are blocked in the calling thread, and so in every thread
// that it starts later; one thread waits for them with sigwait. No code runs in a signal handler.
// A signal that was ignored when the program started (nohup, a shell's background job) stays so.
// Construct it before any other thread is started, once. A child process inherits the blocked
// signals and the ignored SIGPIPE: whoever starts one must reset both.

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace holdfast::cli {

class SignalWatcher {
 public:
  SignalWatcher();
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  int received() const { return received_.load(); }  // 0: none

 private:
  void watch(const std::stop_token& ended);

  sigset_t watched_{};
  std::stop_source source_;
  std::atomic<int> received_ = 0;
  std::jthread thread_;
};

// Libraries write to sockets whose other end may be gone: that is an error code, not a signal.
void ignore_sigpipe();

// Restores the default action and raises the signal in the whole process. Does not return.
[[noreturn]] void end_by_signal(int signal);

}  // namespace holdfast::cli
