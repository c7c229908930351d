// `archive-helper`: what archive-push and archive-get start and leave behind. Not in the help.
#include "app/archive_helper.h"
#include "cli/as_of_option.h"
#include "cli/command.h"

namespace holdfast::cli {

CommandSpec archive_helper_command() {
  auto request = std::make_shared<ArchiveHelperRequest>();
  auto direction = std::make_shared<std::string>();
  auto data_directory = std::make_shared<std::string>();
  auto as_of = std::make_shared<std::optional<std::string>>();
  CommandSpec spec;
  spec.name = "archive-helper";
  spec.summary = "Look ahead for archive-push or archive-get, which start it";
  spec.visibility = Visibility::kHidden;
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("DIRECTION", "push or get", *direction),
                    text_argument("DIR", "The data directory", *data_directory)};
  spec.options = {text_option({"--history", "NNNN-ID", "History to read"}, request->history),
                  as_of_option(*as_of)};
  spec.examples = {{"holdfast archive-helper push /var/lib/postgresql/16/main",
                    "Refused, unless archive-push runs it"}};
  spec.run = [request, direction, data_directory, as_of](CommandContext& context) {
    if (*direction != "push" && *direction != "get") {
      throw Error(ErrorKind::kUsage, "DIRECTION is push or get", {.object = *direction});
    }
    request->direction = *direction == "push" ? ArchiveDirection::kPush : ArchiveDirection::kGet;
    request->data_directory = *data_directory;
    apply_as_of(*as_of, context);
    // Ended by a signal is ended well: whoever adopted this process must not take it for a crash.
    run_archive_helper(context.config(), *request, context.stop());
    return CommandResult{};
  };
  return spec;
}

}  // namespace holdfast::cli
