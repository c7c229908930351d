#include "cli/recorded.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "app/notify.h"
#include "core/known.h"

namespace holdfast::cli {
namespace {

constexpr std::array<std::string_view, 21> kOnlyLook{
    "archive-get",    "archive-helper", "archive-push", "cat",    "check",
    "checklist",      "config check",   "config show",  "doctor", "help",
    "key list",       "key new-file",   "list",         "log",    "notify",
    "recover status", "show",           "status",       "units",  "version",
    "window"};

constexpr std::array<std::string_view, 5> kDestroy{"delete", "expire", "key remove",
                                                   "recover abandon", "release"};

}  // namespace

ActionEffect effect_of(const std::string& command) {
  return std::ranges::find(kDestroy, command) != kDestroy.end() ? ActionEffect::kDestroys
                                                                : ActionEffect::kOrdinary;
}

std::string reason_in(const std::vector<std::string>& words) {
  for (const std::string_view option : {"--reason", "--lost"}) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string_view word = words[i];
      if (word == option) return i + 1 < words.size() ? words[i + 1] : std::string();
      if (word.starts_with(option) && word.substr(option.size()).starts_with('=')) {
        return std::string(word.substr(option.size() + 1));
      }
    }
  }
  return {};
}

namespace {

constexpr std::string_view kDryRun = "--dry-run";
constexpr std::array<std::string_view, 3> kGlobalSwitches{"--no-progress", "--quiet", "--verbose"};

bool is_switch(const CommandSpec& command, std::string_view word) {
  if (std::ranges::find(kGlobalSwitches, word) != kGlobalSwitches.end()) return true;
  return std::ranges::any_of(command.options, [&](const Option& option) {
    return option.value.empty() &&
           fmt::format(",{},", option.names).find(fmt::format(",{},", word)) != std::string::npos;
  });
}

// The word may also be the value of an option: what stands behind one that is no switch is not
// believed.
bool is_dry_run(const CommandSpec& command, const std::vector<std::string>& words) {
  if (!is_switch(command, kDryRun)) return false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != kDryRun) continue;
    if (i == 0 || !words[i - 1].starts_with("--") || words[i - 1].find('=') != std::string::npos ||
        is_switch(command, words[i - 1])) {
      return true;
    }
  }
  return false;
}

// Of a command that otherwise looks: what somebody vouches for is for the log.
bool attests(const std::vector<std::string>& words) {
  return std::ranges::any_of(words,
                             [](const std::string& word) { return word.starts_with("--attest"); });
}

// One row, perhaps of a job that comes every minute: the log would be of nothing else. The canary
// that goes on is recorded, its begin and its end.
bool is_heartbeat(const CommandSpec& command, const std::vector<std::string>& words) {
  return command.name == "canary" && std::ranges::find(words, "--once") != words.end();
}

std::string subject_of(const CommandEnd& end) {
  if (end.result == nullptr) return {};
  const auto id = end.result->json.find("id");
  return id != end.result->json.end() && id->is_string() ? id->get<std::string>() : std::string();
}

}  // namespace

bool is_recorded(const CommandSpec& command, const std::vector<std::string>& words) {
  if (is_dry_run(command, words) || is_heartbeat(command, words)) return false;
  return attests(words) || std::ranges::find(kOnlyLook, command.name) == kOnlyLook.end();
}

RecordedCommand::RecordedCommand(const CommandSpec& command, const std::vector<std::string>& words,
                                 CommandContext& context)
    : spec_(command), words_(words), context_(context), command_(command.name) {
  if (command.needs != Needs::kConfig) return;
  if (!is_dry_run(command, words)) event_ = notice_event(command.name);
}

void RecordedCommand::begin() {
  if (spec_.needs != Needs::kConfig || !is_recorded(spec_, words_)) return;
  action_.emplace(context_.config(),
                  ActionStart{.command = command_,
                              .arguments = words_,
                              .reason = reason_in(words_),
                              .effect = effect_of(command_)},
                  [&](std::string text) { context_.warn(std::move(text)); });
}

void RecordedCommand::ended(const CommandEnd& end) noexcept {
  if (ended_) return;
  ended_ = true;
  const auto warn = [&](std::string text) { context_.warn(std::move(text)); };
  const ActionEnd action_end{
      .exit = end.exit, .signal = end.signal, .error = end.error, .subject = subject_of(end)};
  if (action_) action_->end(action_end, warn);
  tell_if_wanted(end);
  // Last: it may have to wait for the repository. Who waits for psql does not; the next action
  // copies it.
  if (end.result != nullptr && end.result->becomes) return;
  if (action_) action_->copy(action_end, warn, context_.stop());
}

void RecordedCommand::tell_if_wanted(const CommandEnd& end) noexcept {
  // Who ended it by a signal waits for it, and knows.
  if (!event_ || end.signal != 0 || context_.config().notify.empty()) return;
  try {
    tell(end);
  } catch (const std::exception& error) {
    context_.warn(fmt::format("nobody was told of the end: {}", error.what()));
  }
}

void RecordedCommand::tell(const CommandEnd& end) {
  Notice notice{.event = known(event_),
                .command = command_,
                .exit = end.exit,
                .warnings = context_.warnings(),
                .subject = subject_of(end),
                .detail = end.result != nullptr ? end.result->told : std::string(),
                .duration_seconds = Seconds(std::chrono::steady_clock::now() - began_).count(),
                .time = system_clock().now(),
                .failed = end.exit != 0};
  if (end.error != nullptr) notice.error = *end.error;
  bool told = false, failed = false;
  for (const Delivery& delivery :
       notify(context_.config(), notice, NoticeAudience::kWhoeverWantsIt, context_.stop())) {
    told = true;
    if (!delivery.error) continue;
    failed = true;
    context_.warn(fmt::format("{} was not told: {}", delivery.way, delivery.error->message()));
  }
  const char* invocation = std::getenv("INVOCATION_ID");
  if (notice.failed && told && !failed && invocation != nullptr) {
    remember_told(context_.config(), invocation);
  }
}

}  // namespace holdfast::cli
