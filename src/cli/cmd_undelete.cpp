// `undelete`: brings back what was removed from a bucket with versioning.
#include <fmt/format.h>

#include "app/as_of.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  std::string as_of;
  bool dry_run = false, yes = false;
};

void require_sense(const Arguments& arguments) {
  if (arguments.as_of.empty()) {
    throw Error(ErrorKind::kUsage, "undelete needs to know when all was well",
                {.object = "--as-of",
                 .hint = "For example: holdfast undelete --as-of '2026-11-22 13:59' --dry-run"});
  }
  if (arguments.yes == arguments.dry_run) {
    throw Error(ErrorKind::kUsage, "undelete needs either --dry-run or --yes",
                {.object = arguments.as_of,
                 .hint = "--dry-run says what would come back, --yes brings it back."});
  }
}

CommandResult run(const Arguments& arguments, CommandContext& context) {
  require_sense(arguments);
  const UndeleteAnswer answer = undelete(
      context.config(), context.repository(),
      {.as_of = arguments.as_of, .really = arguments.dry_run ? ReallyDo::kNo : ReallyDo::kYes},
      context.stop());
  const Undeleted& done = answer.undeleted;
  CommandResult result;
  result.json = {{"dry_run", arguments.dry_run},
                 {"as_of", to_rfc3339(answer.as_of)},
                 {"objects", done.objects},
                 {"bytes", done.bytes},
                 {"copied_objects", done.copied_objects},
                 {"hidden_records", done.hidden_records},
                 {"failed_objects", done.failed_objects},
                 {"backups", done.backups},
                 {"younger_keys", done.younger_keys}};
  for (const std::string& keys : done.younger_keys) {
    context.warn(fmt::format(
        "the key slots of {} are younger than that: see 'holdfast key list' whether all are yours",
        printable(keys)));
  }
  for (const std::string& backup : done.backups) {
    result.text += fmt::format("backup {}\n", printable(backup));
  }
  const std::string_view verb = arguments.dry_run ? "would come" : "came";
  result.text += fmt::format("{} {} back, {}, as of {}.\n", counted(done.objects, "object"), verb,
                             human_bytes(done.bytes), to_rfc3339(answer.as_of));
  if (done.hidden_records > 0) {
    result.text += fmt::format("{}: {} that something goes.\n",
                               arguments.dry_run ? "Would be withdrawn" : "Withdrawn",
                               counted(done.hidden_records, "younger record"));
  }
  result.text += arguments.dry_run
                     ? "Nothing was done: --dry-run.\n"
                     : "Look at 'holdfast list' and 'holdfast verify --all'; before the next "
                       "'holdfast expire', hold what its policy would remove.\n";
  if (done.failed_objects > 0) {
    result.failure = Error(ErrorKind::kRepository,
                           fmt::format("{} could not be brought back, for example {}",
                                       counted(done.failed_objects, "object"), done.failed_example),
                           {.hint = "The credentials need s3:PutObject and s3:GetObjectVersion, or "
                                    "s3:DeleteObjectVersion; frozen objects need the latter."});
  }
  return result;
}

}  // namespace

CommandSpec undelete_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "undelete";
  spec.summary = "Bring back what was removed from a bucket with versioning";
  spec.details =
      "Everything of the cluster that was there at the time and is not there now comes back, and\n"
      "what was overwritten gets its old content; nothing that is there now is lost. Deletions "
      "that\n"
      "were asked for since then are withdrawn. Stop 'holdfast backup' and 'holdfast expire' "
      "first.\n"
      "Where nothing should change, use --as-of of restore, list, verify and the others instead.";
  spec.needs = Needs::kConfig;
  spec.options = {text_option({"--as-of", "TIME", "When all was well"}, arguments->as_of),
                  switch_option({"--dry-run", "Only say what would come back"}, arguments->dry_run),
                  switch_option({"--yes", "Do it"}, arguments->yes)};
  spec.examples = {
      {"holdfast list --as-of '2026-11-22 13:59'", "First: what was there?"},
      {"holdfast undelete --as-of '2026-11-22 13:59' --dry-run", "What would come back"},
      {"holdfast undelete --as-of '2026-11-22 13:59' --yes", "Bring it back"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
