// `hold` and `release`: backups that must not be deleted for a time.
#include <fmt/format.h>

#include "app/retention.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/known.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

CommandResult run_hold(const HoldRequest& request, CommandContext& context) {
  if (request.until.empty() || request.reason.empty()) {
    throw Error(ErrorKind::kUsage, "a hold needs a date and a reason",
                {.object = request.until.empty() ? "--until" : "--reason",
                 .hint = "For example: holdfast hold latest --until 2027-01-01 --reason audit"});
  }
  const HoldAnswer answer =
      hold_backup(context.config(), context.repository(), request, context.stop());
  CommandResult result;
  result.json = {{"id", answer.backup.id.text},
                 {"history", holdfast::to_string(answer.backup.history)},
                 {"until", to_rfc3339(known(answer.hold.until))},
                 {"reason", answer.hold.reason},
                 {"brought_back", answer.brought_back}};
  result.text =
      fmt::format("{} is held {}.\n", answer.backup.id.text, printable(text_of(answer.hold)));
  if (answer.brought_back) result.text += "It was going to be deleted; now it stays.\n";
  return result;
}

CommandResult run_release(const std::string& wanted, CommandContext& context) {
  const ReleaseAnswer answer =
      release_backup(context.config(), context.repository(), wanted, context.stop());
  CommandResult result;
  result.json = {{"id", answer.backup.id.text},
                 {"history", holdfast::to_string(answer.backup.history)},
                 {"was_held", answer.was_held}};
  result.text = fmt::format("{} {}.\n", answer.backup.id.text,
                            answer.was_held ? "is held no longer" : "was not held");
  return result;
}

}  // namespace

CommandSpec hold_command() {
  auto request = std::make_shared<HoldRequest>();
  CommandSpec spec;
  spec.name = "hold";
  spec.summary = "Keep a backup until a date, whatever the retention policy says";
  spec.details =
      "A later hold of the same backup replaces the earlier one. A backup that is going to be\n"
      "deleted comes back, unless its deletion has begun.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("ID", "An id, a name, latest or oldest", request->backup)};
  spec.options = {
      text_option({"--until", "DATE", "A date, or a time as --target-time takes it"},
                  request->until),
      text_option({"--reason", "TEXT", "Why, for those who find the hold later"}, request->reason)};
  spec.examples = {{"holdfast hold latest --until 2027-01-01 --reason audit", "The newest backup"}};
  spec.run = [request](CommandContext& context) { return run_hold(*request, context); };
  return spec;
}

CommandSpec release_command() {
  auto wanted = std::make_shared<std::string>();
  CommandSpec spec;
  spec.name = "release";
  spec.summary = "End the hold of a backup";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("ID", "An id, a name, latest or oldest", *wanted)};
  spec.examples = {{"holdfast release 20261122T020000Z-3f9a", "Retention decides again"}};
  spec.run = [wanted](CommandContext& context) { return run_release(*wanted, context); };
  return spec;
}

}  // namespace holdfast::cli
