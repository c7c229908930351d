#include "core/fault_point.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "core/error.h"

namespace holdfast {
namespace {

struct Plan {
  std::string name;
  int pass = 1;
  int signal = 0;
  std::string trace_path;
  bool active() const { return signal != 0 || !trace_path.empty(); }
};

Plan read_plan() {
  Plan plan;
  if (const char* trace = std::getenv("HOLDFAST_FAULT_TRACE")) plan.trace_path = trace;
  const char* text = std::getenv("HOLDFAST_FAULT_POINT");
  if (text == nullptr) return plan;
  const std::string_view spec = text;
  const auto colon = spec.rfind(':');
  const std::string_view action = colon == std::string_view::npos ? "" : spec.substr(colon + 1);
  plan.name = spec.substr(0, colon);
  if (const auto hash = plan.name.find('#'); hash != std::string::npos) {
    const char* const end = plan.name.data() + plan.name.size();
    const auto read = std::from_chars(plan.name.data() + hash + 1, end, plan.pass);
    if (read.ec != std::errc{} || read.ptr != end) plan.pass = 0;
    plan.name.resize(hash);
  }
  plan.signal = action == "kill" ? SIGKILL : action == "stop" ? SIGSTOP : 0;
  if (plan.signal == 0 || plan.pass < 1 ||
      std::ranges::find(kFaultPoints, plan.name) == kFaultPoints.end()) {
    throw Error(ErrorKind::kUsage, "HOLDFAST_FAULT_POINT is not NAME[#PASS]:kill|stop",
                {.object = std::string(spec)});
  }
  return plan;
}

void append_line(const std::string& path, std::string_view name) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const std::string line = std::string(name) + "\n";
  [[maybe_unused]] const ssize_t written = ::write(fd, line.data(), line.size());
  ::close(fd);
}

}  // namespace

void fault_point(std::string_view name) {
  static const Plan plan = read_plan();
  if (!plan.active()) return;
  HF_INVARIANT(std::ranges::find(kFaultPoints, name) != kFaultPoints.end());
  if (!plan.trace_path.empty()) append_line(plan.trace_path, name);
  static std::atomic<int> passes{0};
  if (name == plan.name && ++passes == plan.pass) ::raise(plan.signal);
}

}  // namespace holdfast
