#pragma once
// What every command that changes something has in common, in the one place that they all pass
// (program.cpp): its begin and its end are written into the audit log (app/action.h).

#include <optional>
#include <string>
#include <vector>

#include "app/action.h"
#include "cli/command.h"

namespace holdfast::cli {

// Commands that only look, and archiving, which PostgreSQL's own log tells about, are not recorded.
// A command that nobody thought of is.
bool is_recorded(const std::string& command, const std::vector<std::string>& words);
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
  // `words`: the whole command line. Throws when a destroying command cannot be recorded.
  RecordedCommand(const CommandSpec& command, const std::vector<std::string>& words,
                  CommandContext& context);
  void ended(const CommandEnd& end) noexcept;  // may add warnings to the context

 private:
  CommandContext& context_;
  std::optional<RecordedAction> action_;
};

}  // namespace holdfast::cli
