#include "cli/recorded.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace holdfast::cli {
namespace {

constexpr std::array<std::string_view, 23> kOnlyLook{
    "archive-get", "archive-helper",  "archive-push",   "canary",      "cat",
    "check",       "checklist",       "config check",   "config show", "doctor",
    "help",        "key list",        "key new-file",   "list",        "log",
    "notify",      "recover connect", "recover status", "show",        "status",
    "units",       "version",         "window"};

constexpr std::array<std::string_view, 5> kDestroy{"delete", "expire", "key remove",
                                                   "recover abandon", "release"};

}  // namespace

bool is_recorded(const std::string& command, const std::vector<std::string>& words) {
  if (std::ranges::find(words, "--dry-run") != words.end()) return false;
  return std::ranges::find(kOnlyLook, command) == kOnlyLook.end();
}

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

RecordedCommand::RecordedCommand(const CommandSpec& command, const std::vector<std::string>& words,
                                 CommandContext& context)
    : context_(context) {
  if (command.needs != Needs::kConfig || !is_recorded(command.name, words)) return;
  action_.emplace(context.config(),
                  ActionStart{.command = command.name,
                              .arguments = words,
                              .reason = reason_in(words),
                              .effect = effect_of(command.name)},
                  [&](std::string text) { context_.warn(std::move(text)); });
}

void RecordedCommand::ended(const CommandEnd& end) noexcept {
  if (!action_) return;
  std::string subject;
  if (end.result != nullptr && end.result->json.contains("id") &&
      end.result->json["id"].is_string()) {
    subject = end.result->json["id"].get<std::string>();
  }
  action_->end(
      {.exit = end.exit, .signal = end.signal, .error = end.error, .subject = subject},
      [&](std::string text) { context_.warn(std::move(text)); }, context_.stop());
}

}  // namespace holdfast::cli
