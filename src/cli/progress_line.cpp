#include "cli/progress_line.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/terminal.h"
#include "core/text.h"
#include "core/time.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kBarColumns = 24, kBarColumnsMin = 6;

unsigned percent_of(const ProgressSnapshot& snapshot) {
  const double share =
      static_cast<double>(snapshot.done_bytes) / static_cast<double>(snapshot.total_bytes);
  return static_cast<unsigned>(std::clamp(share, 0.0, 1.0) * 100);
}

std::string bar_of(unsigned percent, std::size_t columns) {
  const std::size_t full = columns * percent / 100;
  return fmt::format("[{}{}] {:3} %", std::string(full, '#'), std::string(columns - full, '-'),
                     percent);
}

}  // namespace

std::string progress_numbers(const ProgressSnapshot& snapshot) {
  std::string out;
  if (snapshot.total_bytes > 0) {
    out = fmt::format("{} of {}", human_bytes(snapshot.done_bytes),
                      human_bytes(snapshot.total_bytes));
  } else if (snapshot.done_bytes > 0) {
    out = human_bytes(snapshot.done_bytes);
  }
  if (snapshot.bytes_per_second < 1) return out;
  out += fmt::format("  {}/s", human_bytes(static_cast<std::uint64_t>(snapshot.bytes_per_second)));
  if (snapshot.total_bytes > snapshot.done_bytes) {
    const double left = static_cast<double>(snapshot.total_bytes - snapshot.done_bytes);
    out += fmt::format("  {} left", human_duration(Seconds{left / snapshot.bytes_per_second}));
  }
  return out;
}

// On a narrow terminal the bar becomes shorter, before the numbers lose their end.
std::string progress_line(const ProgressSnapshot& snapshot, std::size_t columns) {
  const std::string phase = printable(snapshot.phase);
  std::string numbers = progress_numbers(snapshot);
  if (!numbers.empty()) numbers.insert(0, "  ");
  const auto with_bar = [&](std::size_t bar_columns) {
    if (snapshot.total_bytes == 0) return phase + numbers;
    return fmt::format("{}  {}{}", phase, bar_of(percent_of(snapshot), bar_columns), numbers);
  };
  std::string line = with_bar(kBarColumns);
  if (line.size() > columns) {
    const std::size_t missing = line.size() - columns;
    line = with_bar(kBarColumns - std::min(missing, kBarColumns - kBarColumnsMin));
  }
  if (!snapshot.note.empty()) line += fmt::format("  {}", printable(snapshot.note));
  return fit(line, columns);
}

}  // namespace holdfast::cli
