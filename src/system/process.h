#pragma once
// Starts this program once more, detached from everything that started it: for helpers that go on
// when the call that PostgreSQL waits for has ended.
//
// Guarantees: the new process is no child of this one (so PostgreSQL gets no child that it does not
//   know, and no zombie), leads a session of its own, works in "/", reads /dev/null, writes to
//   `log` or /dev/null, has default signal actions and nothing blocked, and none of this process's
//   descriptors but `keep`, which it finds as descriptor kKeptDescriptor. It runs the very file
//   that this process runs, also after an upgrade replaced that on disk. The environment is
//   inherited.
// The process that adopts it is the nearest subreaper, else process 1. Where that is PostgreSQL
//   itself (containers), the server takes the death by signal of a process that it adopted for a
//   crash of its own and restarts: there a small parent stands in between, which only waits and
//   exits 0.
// Returns when the program was executed; Error(kHost) when it was not.
// Threads: any; between fork and exec only async-signal-safe calls are made.

#include <filesystem>
#include <string>
#include <vector>

#include "system/files.h"

namespace holdfast {

inline constexpr int kKeptDescriptor = 3;

enum class Guard { kWhereNeeded, kAlways };

struct DetachedStart {
  std::vector<std::string> arguments;                       // behind the program's name
  std::filesystem::path log = {};                           // appended to; empty: /dev/null
  std::uint64_t log_bytes_max = std::uint64_t{256} << 10U;  // a longer one is emptied first
  const FileDescriptor* keep = nullptr;
  Guard guard = Guard::kWhereNeeded;
};
void start_detached(const DetachedStart& start);

}  // namespace holdfast
