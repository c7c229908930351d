#include "support/peak_memory.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::test {

long peak_kib(HoldfastProgram& holdfast, const std::vector<std::string>& arguments) {
  Process process = holdfast.start(arguments);
  long peak = 0;
  const std::string status = fmt::format("/proc/{}/status", process.pid());
  // VmHWM only grows, so the last look before the end is the peak, but for its last moment.
  while (process.running()) {
    try {
      const std::string text = read_text(status);
      const auto at = text.find("VmHWM:");
      if (at != std::string::npos) peak = std::max(peak, std::stol(text.substr(at + 6)));
    } catch (const std::exception&) {
      continue;  // it has ended meanwhile
    }
    ::usleep(2000);
  }
  const Outcome outcome = process.wait(std::chrono::seconds{1});
  if (!outcome.ok()) throw std::runtime_error(outcome.out + outcome.err);
  return peak;
}

}  // namespace holdfast::test
