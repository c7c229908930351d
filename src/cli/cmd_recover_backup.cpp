// `recover backup`: a safety backup of a recovered copy.
#include <fmt/format.h>

#include "app/recovery_backup.h"
#include "cli/backup_views.h"
#include "cli/command.h"
#include "core/known.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  SafetyBackupRequest request;
  PipelineOptions pipeline;
};

CommandResult run(const Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  const SafetyBackupAnswer done =
      back_up_recovery(context.config(), arguments.request, context.progress(), context.stop());
  for (const std::string& warning : done.backup.warnings) context.warn(warning);
  const BackupInfo& info = done.backup.info;
  CommandResult result;
  result.json = json_of(info);
  result.json["swept"] = done.backup.swept;
  result.json["held_until"] = done.held_until ? Json(to_rfc3339(*done.held_until)) : Json();
  result.text = fmt::format(
      "Safety backup {} of recovery {} is complete: {} in {} files, {} stored, {}.\n"
      "Restoring it ends at {} ({}), whatever is archived: holdfast restore {} --to DIR\n",
      info.name.id.text, done.record.name, human_bytes(info.data_bytes), info.files,
      human_bytes(info.stored_bytes), human_duration(Seconds(info.duration_seconds)),
      holdfast::to_string(info.stop_lsn), known(info.recovered).target, info.name.id.text);
  if (done.held_until) {
    result.text += fmt::format("It is held until {}: 'holdfast release {}' ends that.\n",
                               to_rfc3339_seconds(*done.held_until), info.name.id.text);
  }
  return result;
}

}  // namespace

CommandSpec recover_backup_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "recover backup";
  spec.summary = "Take a safety backup of a recovered copy, as it stands at its target";
  spec.details =
      "Into a history of its own, apart from the cluster's: neither 'latest' nor a recovery meets\n"
      "it, unless it is named. Restored, it is what the copy is now, and goes no further. It is\n"
      "held for 30 days. The copy goes on standing where it stands.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("NAME", "Of the recovery (default: the only one)",
                                  arguments->request.name, Presence::kOptional)};
  spec.options = {text_option({"--name", "NAME", "A name to call the backup by besides its id"},
                              arguments->request.label),
                  text_option({"--reason", "TEXT", "Why it was taken"}, arguments->request.reason)};
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {
      {"holdfast recover backup", "The only recovery there is"},
      {"holdfast recover backup look --name before-promotion", "With a name to restore it by"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
