// `window`: from when to when recovery is possible.
#include <algorithm>

#include <unistd.h>

#include "app/window.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/window_views.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kMargin = 14, kNarrowest = 30, kWidest = 100;

CommandResult run(CommandContext& context) {
  const auto histories = window(context.config(), context.repository(), context.stop());
  const std::size_t width =
      std::clamp(terminal_width(STDOUT_FILENO), kNarrowest + kMargin, kWidest + kMargin) - kMargin;
  CommandResult result;
  result.json["histories"] = Json::array();
  for (const HistoryWindow& history : histories) {
    result.json["histories"].push_back(json_of(history));
    if (!result.text.empty()) result.text += "\n";
    result.text += text_of(history, context.style(), width);
  }
  return result;
}

}  // namespace

CommandSpec window_command() {
  auto as_of = std::make_shared<std::optional<std::string>>();
  CommandSpec spec;
  spec.name = "window";
  spec.summary = "Show from when to when recovery is possible";
  spec.details =
      "Every point in a recoverable interval can be reached with 'holdfast restore': from the end\n"
      "of its first backup to the last transaction whose WAL is archived. A gap names the WAL\n"
      "segments that are missing, and lasts until the end of the next backup.";
  spec.needs = Needs::kConfig;
  spec.options = {as_of_option(*as_of)};
  spec.examples = {{"holdfast window", "What the first repository can recover"},
                   {"holdfast --repo cold window", "Another repository"},
                   {"holdfast --output json window", "For a program; see docs/json.md"}};
  spec.run = [as_of](CommandContext& context) {
    apply_as_of(*as_of, context);
    return run(context);
  };
  return spec;
}

}  // namespace holdfast::cli
