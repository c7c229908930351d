// `expire`: removes what the retention policy does not keep.
#include <fmt/format.h>

#include "app/retention.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  bool dry_run = false, yes = false;
};

Json json_of_reasons(const std::vector<KeepReason>& reasons) {
  Json json = Json::array();
  for (const KeepReason& reason : reasons) {
    json.push_back({{"why", to_string(reason.why)}, {"detail", reason.detail}});
  }
  return json;
}

Json json_of_planned(const PlannedBackup& backup) {
  return {{"id", backup.name.id.text},
          {"history", holdfast::to_string(backup.name.history)},
          {"action", to_string(backup.action)},
          {"requested", backup.requested},
          {"reasons", json_of_reasons(backup.reasons)},
          {"waits_for", backup.waits_for.empty() ? Json() : Json(backup.waits_for)},
          {"due", backup.due ? Json(to_rfc3339(*backup.due)) : Json()}};
}

Json json_of_result(const ExpireResult& result, bool dry_run) {
  Json json;
  json["dry_run"] = dry_run;
  json["configured"] = result.configured;
  json["now"] = to_rfc3339(result.now);
  json["versioning"] = to_string(result.versioning);
  json["backups"] = Json::array();
  for (const PlannedBackup& backup : result.backups) {
    json["backups"].push_back(json_of_planned(backup));
  }
  json["swept"] = result.swept;
  json["needs_consent"] = !result.needs_consent.empty();
  json["freed_bytes"] = result.freed_bytes ? Json(*result.freed_bytes) : Json();
  json["removed_objects"] = result.removed.objects;
  json["removed_bytes"] = result.removed.bytes;
  json["not_removed_objects"] = result.removed.failed;
  json["foreign_objects"] = result.removed.foreign;
  json["wal"] = {
      {"kept_because", result.wal.kept_because.empty() ? Json() : Json(result.wal.kept_because)},
      {"waiting_segments", result.wal.marked_segments},
      {"removed_segments", result.wal.removed_segments}};
  json["window"] = Json::array();
  for (const WindowLeft& left : result.window) {
    json["window"].push_back({{"history", holdfast::to_string(left.history)},
                              {"timeline", left.timeline.value},
                              {"from", to_rfc3339(left.time)},
                              {"backup", left.from.id.text}});
  }
  return json;
}

std::string reasons_text(const std::vector<KeepReason>& reasons) {
  std::string text;
  for (const KeepReason& reason : reasons) {
    if (!text.empty()) text += ", ";
    text += to_string(reason.why);
    if (!reason.detail.empty()) text += " (" + reason.detail + ")";
  }
  return text;
}

std::string action_text(const PlannedBackup& backup) {
  const std::string due = backup.due ? to_rfc3339_seconds(*backup.due) : std::string();
  switch (backup.action) {
    case ExpireAction::kKeep:
      return "kept";
    case ExpireAction::kMark:
      return "expires; removed from " + due + " on";
    case ExpireAction::kWithdraw:
      return "kept after all";
    case ExpireAction::kWait:
      return fmt::format("going; waits for {}", backup.waits_for) +
             (due.empty() ? "" : ", until " + due);
    case ExpireAction::kDelete:
      return "removed";
  }
  return "";
}

std::string text_of_backups(const ExpireResult& result, const Style& style) {
  Table table({{"ID"}, {"RECOVERABLE FROM"}, {"WHAT"}, {"WHY"}});
  for (const PlannedBackup& backup : result.backups) {
    const bool goes =
        backup.action != ExpireAction::kKeep && backup.action != ExpireAction::kWithdraw;
    const std::string time =
        backup.info.name.id.text.empty() ? "" : to_rfc3339_seconds(backup.info.stop_time);
    table.add_row({backup.name.id.text, time,
                   Cell(action_text(backup), goes ? Colour::kYellow : Colour::kNone),
                   goes && backup.requested ? "asked for" : reasons_text(backup.reasons)});
  }
  return table.empty() ? "No backups.\n" : table.render(style);
}

std::string text_of_wal(const WalPlanned& wal) {
  if (!wal.kept_because.empty()) {
    return fmt::format("No WAL goes: {}.\n", printable(wal.kept_because));
  }
  return fmt::format(
      "WAL: {} removed; that nothing needs, and waits for the grace period: {} more.\n",
      counted(wal.removed_segments, "segment"), wal.marked_segments);
}

CommandResult run(const Arguments& arguments, CommandContext& context) {
  const ExpireResult result =
      expire(context.config(), context.repository(),
             {.really = arguments.dry_run ? ReallyDo::kNo : ReallyDo::kYes,
              .consent = arguments.yes ? ExpireConsent::kUnusualShare : ExpireConsent::kNone},
             context.stop());
  for (const std::string& warning : result.warnings) context.warn(warning);
  if (!result.configured) {
    context.warn(
        "no retention is configured for this repository, so no backup expires; only what "
        "'holdfast delete' named goes");
  }
  if (!result.needs_consent.empty()) {
    context.warn(fmt::format(
        "'holdfast expire' will refuse: {}; if that is what you want, run 'holdfast expire --yes'",
        result.needs_consent));
  }
  if (result.removed.failed > 0) {
    context.warn(fmt::format("{} could not be removed, for example {}",
                             counted(result.removed.failed, "object"),
                             result.removed.failed_example));
  }
  if (result.removed.foreign > 0) {
    context.warn(fmt::format("{} left that Holdfast does not know, for example {}",
                             counted(result.removed.foreign, "object"),
                             result.removed.foreign_example));
  }
  CommandResult answer{.json = json_of_result(result, arguments.dry_run)};
  answer.text = text_of_backups(result, context.style());
  if (!result.swept.empty()) {
    answer.text += "Swept " + counted(result.swept.size(), "backup") + " that had died.\n";
  }
  answer.text += text_of_wal(result.wal);
  for (const WindowLeft& left : result.window) {
    answer.text += fmt::format("Window of history {}, timeline {}: from {} on (backup {}).\n",
                               holdfast::to_string(left.history), left.timeline.value,
                               to_rfc3339_seconds(left.time), left.from.id.text);
  }
  if (result.freed_bytes) {
    answer.text +=
        fmt::format("What goes frees {}, besides its WAL.\n", human_bytes(*result.freed_bytes));
  }
  if (arguments.dry_run) {
    answer.text += "Nothing was done: --dry-run.\n";
  } else {
    answer.text += fmt::format("Removed {}, {}.\n", counted(result.removed.objects, "object"),
                               human_bytes(result.removed.bytes));
  }
  answer.text += space_note(result.versioning);
  return answer;
}

}  // namespace

CommandSpec expire_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "expire";
  spec.summary = "Remove what the retention policy does not keep";
  spec.details =
      "Backups that repositories[].retention does not keep are marked, and removed by a later run\n"
      "when the grace period is over (24 hours, unless retention.grace says otherwise). WAL that\n"
      "no kept backup needs goes the same way. A pack that a kept backup cites is never removed.\n"
      "Also removes what backups that died left. Run it once a day; it can be interrupted at any\n"
      "moment.";
  spec.needs = Needs::kConfig;
  spec.options = {switch_option({"--dry-run", "Only say what would go, and why the rest is kept"},
                                arguments->dry_run),
                  switch_option({"--yes", "Also when an unusual share of the backups would expire"},
                                arguments->yes)};
  spec.examples = {{"holdfast expire --dry-run", "What would go, and what would stay"},
                   {"holdfast expire", "Once a day"},
                   {"holdfast --repo cold expire", "By the policy of another repository"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
