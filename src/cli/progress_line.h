#pragma once
// One moment of an operation's progress, and the line that shows it.

#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast::cli {

struct ProgressSnapshot {
  std::string phase, note;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // 0: not known
  double bytes_per_second = 0;
};

// "1.0 GiB of 2.0 GiB  100.0 MiB/s  10.2 s left", as far as it is known.
std::string progress_numbers(const ProgressSnapshot& snapshot);

// One line, at most `columns` wide: "Reading files  [####----]  50 %  1.0 GiB of 2.0 GiB  …".
std::string progress_line(const ProgressSnapshot& snapshot, std::size_t columns);

}  // namespace holdfast::cli
