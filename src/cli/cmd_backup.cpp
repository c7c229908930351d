// `backup`: take a backup.
#include <fmt/format.h>

#include "app/operations.h"
#include "cli/backup_views.h"
#include "cli/command.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  BackupRequest request;
  std::vector<std::string> annotations;
  bool fail_on_damage = false;
  PipelineOptions pipeline;
};

std::map<std::string, std::string> parse_annotations(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> annotations;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw Error(ErrorKind::kUsage, "an annotation is KEY=VALUE", {.object = text});
    }
    annotations[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return annotations;
}

CommandResult run(Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  arguments.request.annotations = parse_annotations(arguments.annotations);
  const BackupResult done = backup(context.config(), context.repository(), arguments.request,
                                   context.progress(), context.stop());
  for (const std::string& warning : done.warnings) context.warn(warning);
  const BackupInfo& info = done.info;
  CommandResult result;
  result.json = json_of(info);
  result.json["swept"] = done.swept;
  const double seconds = std::max(info.duration_seconds, 0.001);
  result.text = fmt::format(
      "Backup {} is complete: {}, {} in {}, {} stored, {} ({}/s).\n", info.name.id.text,
      info.incremental ? "incremental" : "full", human_bytes(info.data_bytes),
      counted(info.files, "file"), human_bytes(info.stored_bytes),
      human_duration(Seconds(info.duration_seconds)),
      human_bytes(static_cast<std::uint64_t>(static_cast<double>(info.data_bytes) / seconds)));
  if (const auto& facts = info.incremental) {
    const std::string why =
        facts->source_reason.empty() ? "" : fmt::format(" ({})", facts->source_reason);
    result.text += fmt::format("It builds on {}: {} read, {} changed; changes from {}{}.\n",
                               facts->parent.id.text, human_bytes(facts->read_bytes),
                               human_bytes(facts->changed_bytes), facts->source, why);
  }
  if (!done.swept.empty()) {
    result.text += fmt::format("Swept what {} dead backups had left behind.\n", done.swept.size());
  }
  if (info.damaged_pages > 0 && arguments.fail_on_damage) {
    result.failure.emplace(ErrorKind::kDamage,
                           fmt::format("the cluster has {} damaged pages", info.damaged_pages),
                           ErrorContext{.object = info.damaged.front().path});
  }
  return result;
}

}  // namespace

CommandSpec backup_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "backup";
  spec.summary = "Take a backup of the running cluster";
  spec.details =
      "Stores what changed since an older backup; the first one, or one with '--type full',\n"
      "stores everything. Every backup can be restored by itself, also when those before it are "
      "deleted.\n"
      "It is complete when the WAL that it needs is in the archive too; a standalone one carries\n"
      "that WAL inside, and needs no archive.";
  spec.needs = Needs::kConfig;
  spec.options = {
      choice_option<BackupType>(
          {"--type", "What to store: everything, or what changed since an older backup"},
          {{"full", BackupType::kFull}, {"incr", BackupType::kIncremental}},
          arguments->request.type),
      switch_option({"--reread", "Read and compare everything, whatever the WAL says of changes"},
                    arguments->request.reread),
      text_option({"--name", "NAME", "A name to call it by besides its id"},
                  arguments->request.label),
      text_option({"--reason", "TEXT", "Why it was taken"}, arguments->request.reason),
      list_option({"--annotate", "KEY=VALUE", "A note to keep with it"}, arguments->annotations),
      switch_option({"--standalone", "Carry the WAL for its own consistency inside the backup"},
                    arguments->request.standalone),
      switch_option({"--fail-on-damage", "Exit 1 when the cluster has damaged pages"},
                    arguments->fail_on_damage)};
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {
      {"holdfast backup", "A backup now"},
      {"holdfast backup --name before-upgrade --reason 'ticket 4711'", "Before a risky change"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
