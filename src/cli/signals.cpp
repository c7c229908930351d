#include "cli/signals.h"

#include <cerrno>
#include <ctime>

#include <pthread.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

// sigtimedwait's pause, after which the thread looks whether the program is over.
constexpr long kPollNanoseconds = 50'000'000;

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
  ::pthread_sigmask(SIG_BLOCK, &watched_, nullptr);
  thread_ = std::jthread([this](const std::stop_token& ended) { watch(ended); });
}

SignalWatcher::~SignalWatcher() {
  thread_.request_stop();
  thread_.join();
  // Still blocked on purpose: a signal from here on finds a program that is about to end.
}

void SignalWatcher::watch(const std::stop_token& ended) {
  while (!ended.stop_requested()) {
    const timespec pause{.tv_sec = 0, .tv_nsec = kPollNanoseconds};
    const int signal = ::sigtimedwait(&watched_, nullptr, &pause);
    if (signal <= 0) continue;
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
