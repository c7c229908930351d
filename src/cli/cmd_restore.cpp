// `restore`: write a data directory that is ready to start.
#include <fmt/format.h>

#include "app/restore.h"
#include "cli/as_of_option.h"
#include "cli/backup_views.h"
#include "cli/command.h"
#include "cli/target_options.h"
#include "cli/thaw_options.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  RestoreRequest request;
  std::string to, tablespaces_under, wal_dir;
  std::vector<std::string> tablespaces;
  bool delta = false;
  bool dry_run = false;
  bool standby = false;
  std::optional<RecoverySettings::Archiving> archiving;
  ThawOptions thaw;
  std::optional<std::string> as_of;
  PipelineOptions pipeline;
};

TargetOptions target_of(const Arguments& arguments) {
  if (arguments.to.empty()) {
    throw Error(ErrorKind::kUsage, "restore needs a place to restore to",
                {.object = "--to", .hint = "For example: holdfast restore --to /srv/restored"});
  }
  if (arguments.delta && !arguments.thaw.yes && !arguments.dry_run) {
    throw Error(
        ErrorKind::kRefused, "--delta overwrites what is in the target directory",
        {.object = arguments.to,
         .hint = "Add --yes when that is what you want. WAL in it is set aside, not deleted."});
  }
  TargetOptions target{.data_directory = arguments.to,
                       .tablespaces_under = arguments.tablespaces_under,
                       .wal_directory = arguments.wal_dir,
                       .delta = arguments.delta ? Delta::kYes : Delta::kNo};
  for (const std::string& text : arguments.tablespaces) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      throw Error(ErrorKind::kUsage, "--tablespace is OLD=NEW", {.object = text});
    }
    target.tablespaces[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return target;
}

bool archives(RecoverySettings::Archiving archiving) {
  return archiving == RecoverySettings::Archiving::kKeep;
}

Json recovery_json(const std::optional<RecoverySettings>& recovery) {
  if (!recovery) return nullptr;
  const RecoverySettings& settings = *recovery;
  const RecoveryTarget& target = settings.target;
  return {{"mode", settings.mode == RecoverySettings::Mode::kStandby ? "standby" : "recovery"},
          {"target", to_string(target)},
          {"target_time", target.kind == RecoveryTarget::Kind::kTime ? Json(to_rfc3339(target.time))
                                                                     : Json(nullptr)},
          {"timeline", to_string(target.timeline)},
          {"action", to_string(target.action)},
          {"archiving", archives(settings.archiving)},
          {"restore_command", settings.restore_command}};
}

Json thawed_json(const RestoreAnswer& answer) {
  if (!answer.thawed) return nullptr;
  return {{"objects", answer.thawed->objects},
          {"bytes", answer.thawed->bytes},
          {"storage_class", answer.thawed->storage_class},
          {"waited_seconds", answer.thawed->waited_seconds}};
}

std::string archiving_text(RecoverySettings::Archiving archiving) {
  return archives(archiving)
             ? "Its WAL is not archived before 'holdfast init --take-over'.\n"
             : "Archiving is switched off in it (archive_mode = off in postgresql.auto.conf).\n";
}

// `done`: an answer or a preview.
std::string what_comes_next(const auto& done) {
  if (!done.recovery) {
    return "Start PostgreSQL on it: it becomes consistent by itself.\n" +
           archiving_text(done.archiving);
  }
  const RecoverySettings& settings = *done.recovery;
  if (settings.mode == RecoverySettings::Mode::kStandby) {
    return "Start PostgreSQL on it: it follows the primary as a standby.\n";
  }
  return fmt::format("Start PostgreSQL on it: it recovers to {}{}.\n", to_string(settings.target),
                     settings.target.kind == RecoveryTarget::Kind::kLatest
                         ? ""
                         : fmt::format(", then: {}", to_string(settings.target.action))) +
         archiving_text(settings.archiving);
}

Json tablespaces_json(const RestoreTarget& target) {
  Json list = Json::array();
  for (const TablespaceTarget& space : target.tablespaces) {
    list.push_back({{"oid", space.oid}, {"location", space.location.string()}});
  }
  return list;
}

Json stood_in_json(const std::vector<StoodIn>& all) {
  Json list = Json::array();
  for (const StoodIn& each : all) {
    list.push_back({{"object", each.object},
                    {"problem", each.problem},
                    {"repository", each.repository},
                    {"bytes", each.bytes}});
  }
  return list;
}

std::string_view state_text(TargetState state) {
  switch (state) {
    case TargetState::kFresh:
      return "fresh";
    case TargetState::kResume:
      return "unfinished restore";
    case TargetState::kDelta:
      break;
  }
  return "delta";
}

Json preview_json(const RestorePreview& preview) {
  Json json{{"dry_run", true},
            {"backup", json_of(preview.backup)},
            {"data_directory", preview.target.data_directory.string()},
            {"tablespaces", tablespaces_json(preview.target)},
            {"target_state", state_text(preview.target.state)},
            {"bytes", preview.backup.content_bytes},
            {"space", Json::array()},
            {"wal", nullptr},
            {"recovery", recovery_json(preview.recovery)},
            {"archiving", archives(preview.archiving)}};
  for (const SpaceNeed& need : preview.space) {
    json["space"].push_back({{"path", need.path.string()},
                             {"needed_bytes", need.bytes},
                             {"wal_bytes", need.wal_bytes},
                             {"free_bytes", need.free}});
  }
  if (preview.wal) {
    json["wal"] = {{"from_lsn", to_string(preview.wal->from)},
                   {"to_lsn", to_string(preview.wal->to)},
                   {"segments", preview.wal->segments}};
  }
  return json;
}

std::string preview_text(const RestorePreview& preview) {
  std::string text =
      fmt::format("Nothing was written. Backup {} ({}) would be restored in {}{}.\n",
                  preview.backup.name.id.text, human_bytes(preview.backup.content_bytes),
                  preview.target.data_directory.string(),
                  preview.target.state == TargetState::kFresh
                      ? ""
                      : fmt::format(" ({})", state_text(preview.target.state)));
  for (const TablespaceTarget& space : preview.target.tablespaces) {
    text += fmt::format("Tablespace {} goes to {}.\n", space.oid, space.location.string());
  }
  for (const SpaceNeed& need : preview.space) {
    text += fmt::format(
        "Space at {}: {} needed{}, {} free.\n", need.path.string(), human_bytes(need.bytes),
        need.wal_bytes == 0
            ? ""
            : fmt::format(", {} of it for WAL while it is replayed", human_bytes(need.wal_bytes)),
        human_bytes(need.free));
  }
  if (preview.wal) {
    text += fmt::format("WAL from the archive: {} to {}, {}.\n", to_string(preview.wal->from),
                        to_string(preview.wal->to), counted(preview.wal->segments, "segment"));
  }
  return text + what_comes_next(preview);
}

CommandResult dry_run(const Arguments& arguments, CommandContext& context) {
  const RestorePreview preview =
      preview_restore(context.config(), context.repository(), arguments.request, context.stop());
  for (const std::string& warning : preview.warnings) context.warn(warning);
  return {.json = preview_json(preview), .text = preview_text(preview)};
}

Json result_json(const RestoreAnswer& answer) {
  const RestoreResult& done = answer.restored;
  return {{"dry_run", false},
          {"backup", json_of(done.backup)},
          {"data_directory", done.target.data_directory.string()},
          {"tablespaces", tablespaces_json(done.target)},
          {"resumed", done.target.state == TargetState::kResume},
          {"files", done.files},
          {"bytes_written", done.bytes_written},
          {"bytes_kept", done.bytes_kept},
          {"files_removed", done.files_removed},
          {"saved_wal", done.saved_wal.string()},
          {"duration_seconds", done.duration_seconds},
          {"stood_in", stood_in_json(done.stood_in)},
          {"recovery", recovery_json(answer.recovery)},
          {"archiving", archives(answer.archiving)},
          {"thawed", thawed_json(answer)}};
}

std::string result_text(const RestoreAnswer& answer) {
  const RestoreResult& done = answer.restored;
  const double seconds = std::max(done.duration_seconds, 0.001);
  std::string text = fmt::format(
      "Backup {} is restored in {}: {}, {} written{}, {} ({}/s).\n", done.backup.name.id.text,
      done.target.data_directory.string(), counted(done.files, "file"),
      human_bytes(done.bytes_written),
      done.bytes_kept == 0 ? "" : fmt::format(", {} were there", human_bytes(done.bytes_kept)),
      human_duration(Seconds(done.duration_seconds)),
      human_bytes(
          static_cast<std::uint64_t>(static_cast<double>(done.backup.data_bytes) / seconds)));
  if (answer.thawed) {
    text +=
        fmt::format("For it {} thawed from {}, {}.\n", counted(answer.thawed->objects, "object"),
                    answer.thawed->storage_class, human_bytes(answer.thawed->bytes));
  }
  if (!done.saved_wal.empty()) {
    text += fmt::format("The directory's old WAL is kept in {}.\n", done.saved_wal.string());
  }
  return text + what_comes_next(answer);
}

CommandResult run(Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  apply_as_of(arguments.as_of, context);
  arguments.request.target = target_of(arguments);
  arguments.request.mode = arguments.standby ? RestoreMode::kStandby : RestoreMode::kRecovery;
  arguments.request.archiving = arguments.archiving;
  arguments.request.thaw = arguments.thaw.choice();
  if (arguments.dry_run) return dry_run(arguments, context);
  const RestoreAnswer answer = restore(context.config(), context.repository(), arguments.request,
                                       context.progress(), context.stop());
  for (const std::string& warning : answer.restored.warnings) context.warn(warning);
  return {.json = result_json(answer), .text = result_text(answer)};
}

void add_recovery_options(std::vector<Option>& options, Arguments& arguments) {
  using Archiving = RecoverySettings::Archiving;
  add_target_options(options, arguments.request.point, arguments.request.history);
  options.push_back(text_option(
      {"--target-action", "ACTION", "At the target: pause (default), promote or shutdown"},
      arguments.request.point.action));
  options.push_back(switch_option(
      {"--standby", "Make a standby that follows postgres.primary_connection and the archive"},
      arguments.standby));
  options.push_back(choice_option<Archiving>(
      {"--archive",
       "on: as the copied settings say; off: archive_mode = off (default: off while another may "
       "archive)"},
      {{"on", Archiving::kKeep}, {"off", Archiving::kOff}}, arguments.archiving));
}

}  // namespace

CommandSpec restore_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "restore";
  spec.summary = "Write a backup into a data directory that is ready to start";
  spec.details =
      "The directory must not exist, be empty, or hold an unfinished restore of the same backup "
      "to\n"
      "the same target, which is then finished. Without a target the server recovers to the end "
      "of\n"
      "the archive when it starts.\n"
      "Times: '2026-11-22 14:00:00+01', without a zone in that of the configuration, -1h, now.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument(
      "ID", "An id, a name, latest or oldest (default: the newest that reaches the target)",
      arguments->request.backup, Presence::kOptional)};
  spec.options = {
      text_option({"--to", "DIR", "The data directory to write"}, arguments->to),
      list_option({"--tablespace", "OLD=NEW", "Put the tablespace that was at OLD to NEW"},
                  arguments->tablespaces),
      text_option({"--tablespaces-under", "DIR", "Put every other tablespace to DIR/<oid>"},
                  arguments->tablespaces_under),
      text_option({"--wal-dir", "DIR", "Make pg_wal a link to DIR"}, arguments->wal_dir),
      switch_option({"--delta", "Rewrite only what differs in a stopped data directory"},
                    arguments->delta),
      switch_option({"--dry-run", "Say what would be restored, and write nothing"},
                    arguments->dry_run),
      as_of_option(arguments->as_of)};
  add_thaw_options(spec.options, arguments->thaw, "Confirm --delta, and what --thaw costs");
  add_recovery_options(spec.options, *arguments);
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {
      {"holdfast restore --to /srv/restored", "To the end of the archive"},
      {"holdfast restore --to /srv/restored --target-time '2026-11-22 13:59:59+01'",
       "To just before a mistake; the server pauses there"},
      {"holdfast restore before-upgrade --to /srv/restored --tablespaces-under /srv/spaces",
       "A named one, with its tablespaces beside it"},
      {"holdfast restore --to /var/lib/postgresql/16/main --delta --yes",
       "In place, writing only what differs"},
      {"holdfast restore --as-of '2026-11-22 13:59' --to /srv/restored",
       "After somebody emptied the bucket, which has versioning"},
      {"holdfast restore --repo cold --to /srv/restored --thaw bulk --yes",
       "Out of GLACIER or DEEP_ARCHIVE, waiting until it is back"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
