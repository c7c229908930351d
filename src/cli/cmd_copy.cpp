// `copy`: backups into another repository.

#include <fmt/format.h>

#include "app/copy.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/render.h"
#include "cli/thaw_options.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  std::string id;
  CopyRequest request;
  std::string from, to;
  bool all = false, standalone = false, wal = false, verify = false, dry_run = false;
  ThawOptions thaw;
  std::optional<std::string> as_of;
  PipelineOptions pipeline;
};

CopyRequest request_of(const Arguments& arguments, const CommandContext& context) {
  CopyRequest request = arguments.request;
  const int selections =
      (arguments.id.empty() ? 0 : 1) + (arguments.all ? 1 : 0) + (request.since ? 1 : 0);
  if (selections != 1) {
    throw Error(ErrorKind::kUsage,
                selections == 0 ? "which backup is to be copied?"
                                : "an ID, --all and --since exclude each other",
                {.hint = "For example: holdfast copy latest --to cold"});
  }
  if (arguments.to.empty()) {
    throw Error(ErrorKind::kUsage, "copy needs a repository to copy to",
                {.object = "--to", .hint = "For example: holdfast copy latest --to cold"});
  }
  if (arguments.verify && arguments.dry_run) {
    throw Error(ErrorKind::kUsage, "--verify and --dry-run contradict each other");
  }
  if (!arguments.id.empty()) request.backup = arguments.id;
  request.from = arguments.from.empty() ? context.globals().repo : arguments.from;
  request.to = arguments.to;
  request.form = arguments.standalone ? CopyForm::kStandalone : CopyForm::kPlain;
  request.wal = arguments.wal ? CopiedWal::kOnward : CopiedWal::kNeeded;
  request.thaw = arguments.thaw.choice();
  request.verify = arguments.verify ? VerifyCopies::kYes : VerifyCopies::kNo;
  return request;
}

Json failures_json(const std::vector<FailedCopy>& failed) {
  Json json = Json::array();
  for (const FailedCopy& failure : failed) {
    json.push_back({{"id", failure.id},
                    {"kind", holdfast::to_string(failure.error.kind())},
                    {"message", failure.error.message()},
                    {"object", failure.error.object()}});
  }
  return json;
}

Json json_of(const CopiedBackup& copy) {
  return {{"id", copy.name.id.text},
          {"history", holdfast::to_string(copy.name.history)},
          {"state", holdfast::to_string(copy.state)},
          {"form", holdfast::to_string(copy.form)},
          {"packs_copied", copy.packs_copied},
          {"packs_there", copy.packs_there},
          {"bytes_copied", copy.bytes_copied},
          {"wal_files_copied", copy.wal_copied},
          {"wal_files_there", copy.wal_there}};
}

Json json_of(const CopyAnswer& answer) {
  Json json;
  json["from"] = answer.from;
  json["to"] = answer.to;
  json["dry_run"] = false;
  json["backups"] = Json::array();
  for (const CopiedBackup& copy : answer.copied) json["backups"].push_back(json_of(copy));
  json["failed"] = failures_json(answer.failed);
  json["damaged_objects"] = answer.verified ? Json(answer.verified->damaged_objects) : Json();
  return json;
}

std::string text_of(const CopiedBackup& copy) {
  if (copy.state == CopiedBackup::State::kThereAlready) {
    std::string text = fmt::format("{} is there already", copy.name.id.text);
    if (copy.wal_copied > 0) text += "; copied " + counted(copy.wal_copied, "WAL file");
    return text + ".\n";
  }
  std::string text =
      fmt::format("Copied {} ({}): {}, {}", copy.name.id.text, holdfast::to_string(copy.form),
                  counted(copy.packs_copied, "pack"), human_bytes(copy.bytes_copied));
  if (copy.packs_there > 0)
    text += fmt::format("; {} there already", counted(copy.packs_there, "pack"));
  if (copy.wal_copied + copy.wal_there > 0) {
    text +=
        fmt::format("; {}, {} there already", counted(copy.wal_copied, "WAL file"), copy.wal_there);
  }
  return text + ".\n";
}

std::string text_of(const CopyPlan& plan) {
  if (plan.state == CopiedBackup::State::kThereAlready) {
    std::string text = fmt::format("{} is there already", plan.name.id.text);
    if (plan.wal_missing > 0) text += "; would copy " + counted(plan.wal_missing, "WAL file");
    return text + ".\n";
  }
  std::string text =
      fmt::format("Would copy {} ({}): {}, {}; {} there already", plan.name.id.text,
                  holdfast::to_string(plan.form), counted(plan.packs_missing, "pack"),
                  human_bytes(plan.bytes_missing), counted(plan.packs_there, "pack"));
  if (plan.wal_missing + plan.wal_there > 0) {
    text += fmt::format("; {}, {} there already", counted(plan.wal_missing, "WAL file"),
                        plan.wal_there);
  }
  return text + ".\n";
}

std::string text_of(const std::vector<FailedCopy>& failed, const Style& style) {
  std::string text;
  for (const FailedCopy& failure : failed) {
    text += fmt::format("{} {}: {}\n", style.paint(Colour::kRed, "not copied:"), failure.id,
                        printable(failure.error.message()));
    if (!failure.error.object().empty()) {
      text += fmt::format("  {}\n", printable(failure.error.object()));
    }
  }
  return text;
}

void fail_for(const std::vector<FailedCopy>& failed, CommandResult& result) {
  if (failed.empty()) return;
  result.failure =
      Error(ErrorKind::kDamage, counted(failed.size(), "backup") + " could not be copied",
            {.object = failed.front().error.object(),
             .hint = "'holdfast verify' says what is damaged; the other backups were copied."});
}

CommandResult copy_now(const Arguments& arguments, CommandContext& context) {
  const CopyAnswer answer = copy_backups(context.config(), request_of(arguments, context),
                                         context.progress(), context.stop());
  for (const std::string& warning : answer.warnings) context.warn(warning);
  CommandResult result{.json = json_of(answer)};
  for (const CopiedBackup& copy : answer.copied) result.text += text_of(copy);
  result.text += text_of(answer.failed, context.style());
  if (answer.copied.empty() && answer.failed.empty()) {
    result.text += fmt::format("No backup in {} to copy.\n", answer.from);
  }
  fail_for(answer.failed, result);
  if (answer.verified) {
    for (const std::string& warning : answer.verified->warnings) context.warn(warning);
    result.text +=
        fmt::format("Verified {} in {}: {}.\n", counted(answer.verified->backups.size(), "backup"),
                    answer.to, counted(answer.verified->damaged_objects, "damaged object"));
    if (answer.verified->damaged_objects > 0) {
      result.failure =
          Error(ErrorKind::kDamage,
                counted(answer.verified->damaged_objects, "damaged object") + " in the copies",
                {.object = answer.verified->findings.front().object,
                 .hint = "See 'holdfast verify --repo " + answer.to + "'."});
    }
  }
  return result;
}

CommandResult preview(const Arguments& arguments, CommandContext& context) {
  const CopyPreview preview =
      preview_copy(context.config(), request_of(arguments, context), context.stop());
  for (const std::string& warning : preview.warnings) context.warn(warning);
  CommandResult result;
  result.json["from"] = preview.from;
  result.json["to"] = preview.to;
  result.json["dry_run"] = true;
  result.json["backups"] = Json::array();
  for (const CopyPlan& plan : preview.plans) {
    result.json["backups"].push_back(
        {{"id", plan.name.id.text},
         {"state", plan.state == CopiedBackup::State::kCopied ? "missing" : "there already"},
         {"form", holdfast::to_string(plan.form)},
         {"packs_missing", plan.packs_missing},
         {"packs_there", plan.packs_there},
         {"bytes_missing", plan.bytes_missing},
         {"wal_files_missing", plan.wal_missing},
         {"wal_files_there", plan.wal_there}});
    result.text += text_of(plan);
  }
  result.json["failed"] = failures_json(preview.failed);
  result.text += text_of(preview.failed, context.style());
  if (preview.plans.empty() && preview.failed.empty()) {
    result.text += fmt::format("No backup in {} to copy.\n", preview.from);
  }
  fail_for(preview.failed, result);
  return result;
}

CommandResult run(Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  apply_as_of(arguments.as_of, context,
              arguments.from.empty() ? context.globals().repo : arguments.from);
  return arguments.dry_run ? preview(arguments, context) : copy_now(arguments, context);
}

}  // namespace

CommandSpec copy_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "copy";
  spec.summary = "Copy backups to another repository";
  spec.details =
      "Neither PostgreSQL nor its server is needed, and nothing is decompressed; what is "
      "encrypted\n"
      "with another key there is encrypted anew. A copy keeps its id. It needs nothing of the\n"
      "repository that it came from: the WAL from its start to its stop is copied with it. Run "
      "again\n"
      "after an interruption: it goes on where it was. What is there already is skipped.";
  spec.needs = Needs::kConfig;
  spec.arguments = {
      text_argument("ID", "An id, a name, latest or oldest", arguments->id, Presence::kOptional)};
  spec.options = {
      switch_option({"--all", "Every backup"}, arguments->all),
      text_option({"--since", "TIME", "Every backup that ended at or after this day or time"},
                  arguments->request.since),
      text_option({"--to", "REPO", "The repository to copy to, by its name"}, arguments->to),
      text_option({"--from", "REPO", "The one to copy from (default: --repo, else the first)"},
                  arguments->from),
      switch_option({"--standalone", "A copy that depends on no other backup and carries its WAL"},
                    arguments->standalone),
      switch_option({"--wal", "Also all WAL that was archived behind its start"}, arguments->wal),
      switch_option({"--verify", "Then read and authenticate every byte of the copy"},
                    arguments->verify),
      switch_option({"--dry-run", "Only say what would be copied"}, arguments->dry_run),
      as_of_option(arguments->as_of)};
  add_thaw_options(spec.options, arguments->thaw);
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {{"holdfast copy latest --to cold", "The newest backup"},
                   {"holdfast copy --all --to second --wal", "Everything that can be recovered"},
                   {"holdfast copy --since 2026-11-01 --to second", "Those of this month"},
                   {"holdfast copy latest --to cold --standalone",
                    "The yearly archive: a backup that needs nothing else"},
                   {"holdfast copy before-upgrade --from cold --to hot", "And back"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
