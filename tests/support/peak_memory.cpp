#include "support/peak_memory.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::test {
namespace {

long status_kib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  }
  return 0;
}

}  // namespace

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

long extra_kib(const std::function<void()>& work) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is that of now
  const long before = status_kib("VmRSS");
  work();
  return status_kib("VmHWM") - before;
}

}  // namespace holdfast::test
