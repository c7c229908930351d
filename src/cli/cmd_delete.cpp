// `delete`: marks one backup for deletion.
#include <fmt/format.h>

#include "app/retention.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  DeleteRequest request;
  bool dry_run = false, yes = false;
};

CommandResult run(const Arguments& arguments, CommandContext& context) {
  DeleteRequest request = arguments.request;
  request.really = arguments.dry_run ? ReallyDo::kNo : ReallyDo::kYes;
  if (!arguments.dry_run && !arguments.yes) {
    throw Error(ErrorKind::kUsage, "deleting a backup needs --yes",
                {.object = request.backup,
                 .hint = "'holdfast delete " + request.backup + " --dry-run' says what goes."});
  }
  const DeleteAnswer answer =
      delete_backup(context.config(), context.repository(), request, context.stop());
  const std::string& id = answer.entry.name.id.text;
  const std::string due = to_rfc3339_seconds(answer.deletion.due);
  CommandResult result;
  result.json = {{"id", id},
                 {"history", holdfast::to_string(answer.entry.name.history)},
                 {"dry_run", arguments.dry_run},
                 {"marked_before", answer.deletion.marked_before},
                 {"due", to_rfc3339(answer.deletion.due)},
                 {"versioning", to_string(answer.deletion.versioning)}};
  if (arguments.dry_run) {
    result.text =
        fmt::format("{} would be marked, and removed by 'holdfast expire' from {} on.\n", id, due);
  } else if (answer.deletion.marked_before) {
    result.text = fmt::format(
        "{} is going to be deleted already, by 'holdfast expire' from {} on.\n", id, due);
  } else {
    result.text = fmt::format(
        "{} is marked. The first 'holdfast expire' at or after {} removes it; until then 'holdfast "
        "hold' brings it back.\n",
        id, due);
  }
  result.text += "Backups that build on it keep what they need.\n";
  result.text += space_note(answer.deletion.versioning);
  return result;
}

}  // namespace

CommandSpec delete_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "delete";
  spec.summary = "Delete one backup";
  spec.details =
      "The backup is marked and no longer used; 'holdfast expire' removes it after the grace\n"
      "period. Incremental backups that build on it stay whole: packs that they cite are kept.\n"
      "A held backup, and the last good one, are refused.";
  spec.needs = Needs::kConfig;
  spec.arguments = {
      text_argument("ID", "An id, a name, latest or oldest", arguments->request.backup)};
  spec.options = {
      text_option({"--reason", "TEXT", "Why, for the record"}, arguments->request.reason),
      switch_option({"--dry-run", "Only say whether it could be deleted"}, arguments->dry_run),
      switch_option({"--yes", "Do it"}, arguments->yes)};
  spec.examples = {
      {"holdfast delete 20261122T020000Z-3f9a --dry-run", "Whether it can be deleted"},
      {"holdfast delete before-upgrade --yes --reason 'upgrade is done'", "By its name"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
