#include "system/after_fork.h"

#include <cerrno>
#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

// close_range(2) is not in every libc that we build with.
void close_descriptors_from(unsigned first) {
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, first, ~0U, 0U) == 0) return;
#endif
  const long open_max = ::sysconf(_SC_OPEN_MAX);
  const int end = open_max > 0 && open_max < 65536 ? static_cast<int>(open_max) : 65536;
  for (int fd = static_cast<int>(first); fd < end; ++fd) ::close(fd);
}

void reset_signals_after_fork() {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) static_cast<void>(::signal(signal, SIG_DFL));
  }
  sigset_t none{};
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void report_exec_failure(int report) {
  const int error = errno;
  [[maybe_unused]] const ssize_t told = ::write(report, &error, sizeof error);
  ::_exit(kExitNotStarted);
}

}  // namespace holdfast
