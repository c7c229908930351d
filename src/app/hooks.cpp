#include "app/hooks.h"

#include <csignal>
#include <fstream>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "core/error.h"
#include "core/text.h"
#include "core/time.h"
#include "recover/copy_start.h"
#include "system/child_process.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kOutputShownBytes = 600;

// The end of what the command printed.
std::string output_of(const fs::path& log, std::uintmax_t from) {
  const std::uintmax_t size = end_of_log(log);
  std::ifstream in(log, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(size > from + kOutputShownBytes ? size - kOutputShownBytes
                                                                       : from));
  std::string text(std::istreambuf_iterator<char>(in), {});
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text.empty() ? "it printed nothing" : text;
}

ChildStart start_of(const HookConfig& hook, const HookCall& call) {
  return {
      .program = "/usr/bin/env",
      .arguments = {"HF_HOOK=" + call.name, "HF_CLUSTER=" + call.cluster,
                    "HF_RECOVERY=" + call.recovery,
                    "HF_DATA_DIRECTORY=" + call.data_directory.native(), "/bin/sh", "-c", hook.run},
      .log = call.log};
}

[[noreturn]] void fail(const HookCall& call, const std::string& how, std::uintmax_t from) {
  throw Error(ErrorKind::kCheckFailed,
              fmt::format("the hook {} {}: {}", call.name, how, output_of(call.log, from)),
              {.object = "hooks." + call.name + ".run",
               .hint = fmt::format("All that it printed: {}.", call.log.native())});
}

}  // namespace

std::string run_hook(const HookConfig& hook, const HookCall& call, const std::stop_token& stop) {
  if (hook.run.empty()) return "none configured";
  const std::uintmax_t from = end_of_log(call.log);
  ChildProcess shell(start_of(hook, call));
  const auto ended = shell.wait(hook.timeout, stop);
  if (!ended) {
    ::kill(-shell.pid(), SIGKILL);  // it leads a session, and so a group
    check_cancelled(stop);
    fail(call, fmt::format("did not end within {}", human_duration(hook.timeout)), from);
  }
  if (*ended != 0) fail(call, fmt::format("failed with exit code {}", *ended), from);
  return "done";
}

}  // namespace holdfast
