#pragma once
// What commands have in common beside their work, in the one place that they all pass
// (program.cpp): begin and end of what changes something are written into the audit log
// (app/action.h), and those who want to know are told of the end (app/notify.h).

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "app/action.h"
#include "cli/command.h"

namespace holdfast::cli {

// Commands that only look, and archiving, which PostgreSQL's own log tells about, are not recorded.
// To open a copy is more than a look: who saw the data is for the log.
// A command that nobody thought of is. Nor is one that only says what it would do.
bool is_recorded(const CommandSpec& command, const std::vector<std::string>& words);
ActionEffect effect_of(const std::string& command);
// What stands behind --reason or --lost; empty where neither was given.
std::string reason_in(const std::vector<std::string>& words);

struct CommandEnd {
  const CommandResult* result = nullptr;
  const Error* error = nullptr;
  int exit = 0;
  int signal = 0;
};

class RecordedCommand {
 public:
  // `words`: the whole command line.
  RecordedCommand(const CommandSpec& command, const std::vector<std::string>& words,
                  CommandContext& context);
  void begin();  // throws when a destroying command cannot be recorded
  void ended(const CommandEnd& end) noexcept;  // may add warnings to the context

 private:
  void tell_if_wanted(const CommandEnd& end) noexcept;
  void tell(const CommandEnd& end);

  const CommandSpec& spec_;
  const std::vector<std::string>& words_;
  CommandContext& context_;
  bool ended_ = false;  // once: what fails while the result is printed is another matter
  std::string command_;
  std::optional<std::string> event_;  // that somebody may want to be told of
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::optional<RecordedAction> action_;
};

}  // namespace holdfast::cli
