#pragma once
// Commands of the site's own around a promotion: `hooks` of the configuration, run by /bin/sh.
//
// The command finds in its environment HF_HOOK (its name in the configuration), HF_CLUSTER,
// HF_RECOVERY and HF_DATA_DIRECTORY. It is done when it exits with 0. What it prints is appended to
// a log. After its timeout, or when holdfast is told to stop, it is killed with everything that it
// started in its session.
// Errors: kCheckFailed with what it printed last; kCancelled; kHost. Threads: one at a time; when
//   holdfast dies, the shell is killed too.

#include <filesystem>
#include <stop_token>
#include <string>

#include "app/config.h"

namespace holdfast {

struct HookCall {
  std::string name;  // "stop_application"
  std::string cluster, recovery;
  std::filesystem::path data_directory;
  std::filesystem::path log;
};
// Says what happened, for the record; "none configured" where nothing is run.
std::string run_hook(const HookConfig& hook, const HookCall& call, const std::stop_token& stop);

}  // namespace holdfast
