#include "cli/signals.h"

#include <pthread.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

// Sent to the waiting thread alone, to end it. Its default action is none, wherever it might land.
constexpr int kWake = SIGURG;

bool was_ignored(int signal) {
  struct sigaction action{};
  return ::sigaction(signal, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

SignalWatcher::SignalWatcher() {
  ::sigemptyset(&watched_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!was_ignored(signal)) ::sigaddset(&watched_, signal);
  }
  ::sigaddset(&watched_, kWake);
  ::pthread_sigmask(SIG_BLOCK, &watched_, nullptr);
  thread_ = std::jthread([this](const std::stop_token& ended) { watch(ended); });
}

SignalWatcher::~SignalWatcher() {
  thread_.request_stop();
  ::pthread_kill(thread_.native_handle(), kWake);
  thread_.join();
  // Still blocked on purpose: a signal from here on finds a program that is about to end.
}

void SignalWatcher::watch(const std::stop_token& ended) {
  while (!ended.stop_requested()) {
    int signal = 0;
    if (::sigwait(&watched_, &signal) != 0 || signal == kWake) continue;
    if (received_.exchange(signal) != 0) end_by_signal(signal);
    source_.request_stop();
  }
}

void ignore_sigpipe() {
  ::signal(SIGPIPE, SIG_IGN);
}

void end_by_signal(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t only{};
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::kill(::getpid(), signal);
  // Delivered before kill returns, unless an outer process (init in a container) has no default
  // action for it: then the exit status says it as a shell would.
  ::_exit(128 + signal);
}

}  // namespace holdfast::cli
