#pragma once
// What a new process does between fork(2) and exec(2), where only async-signal-safe calls are
// allowed. Shared by process.h and child_process.h; nobody else forks.

namespace holdfast {

inline constexpr int kExitNotStarted = 127;

// Default actions, nothing blocked.
void reset_signals_after_fork();
void close_descriptors_from(unsigned first);
// Tells the parent, which reads the other end, why the program could not be executed: errno.
[[noreturn]] void report_exec_failure(int report);

}  // namespace holdfast
