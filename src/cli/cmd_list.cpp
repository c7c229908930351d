// `list`: the backups of the cluster.
#include <fmt/format.h>

#include "app/operations.h"
#include "cli/as_of_option.h"
#include "cli/backup_views.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

void add_row(Table& table, const CatalogueEntry& entry) {
  if (entry.state == BackupState::kDamaged) {
    table.add_row({entry.name.id.text, Cell(""), Cell("damaged: " + entry.damage, Colour::kRed)});
    return;
  }
  const BackupInfo& info = entry.outcome.info;
  const bool expiring = entry.state == BackupState::kExpiring;
  table.add_row({entry.name.id.text, info.label, info.type, to_rfc3339_seconds(info.stop_time),
                 human_bytes(info.data_bytes), human_bytes(info.stored_bytes),
                 human_duration(Seconds(info.duration_seconds)),
                 expiring ? Cell("expiring", Colour::kYellow)
                 : info.damaged_pages > 0
                     ? Cell(fmt::format("{} damaged pages", info.damaged_pages), Colour::kRed)
                     : Cell(info.recovered ? "copy at " + info.recovered->target : "")});
}

// `list` has no column for this: it would take a listing for every backup.
Json proof_json(const ProofRecord& proof) {
  return {{"number", proof.number},
          {"time", proof.time},
          {"mode", proof.mode},
          {"ok", proof.ok},
          {"objects", proof.objects},
          {"bytes", proof.bytes},
          {"damaged_objects", proof.damaged_objects},
          {"damaged", proof.damaged},
          {"duration_seconds", proof.duration_seconds},
          {"recovery_point_seconds",
           proof.recovery_point_seconds ? Json(*proof.recovery_point_seconds) : Json()},
          {"host", proof.host},
          {"holdfast_version", proof.holdfast_version}};
}

std::string proof_text(const ProofRecord& proof) {
  if (proof.time.empty()) return "the last proof is damaged";
  return fmt::format("{} on {} ({}): {}", proof.time, proof.host, proof.mode,
                     proof.ok ? "good" : fmt::format("{} damaged objects", proof.damaged_objects));
}

Json hold_json(const BackupDetails& details) {
  if (!details.hold) return nullptr;
  const Hold& hold = *details.hold;
  return {{"active", details.held},
          {"until", hold.until ? Json(to_rfc3339(*hold.until)) : Json()},
          {"reason", hold.reason},
          {"time", hold.time},
          {"by", hold.by}};
}

std::string hold_text(const BackupDetails& details) {
  if (!details.hold) return "no";
  return text_of(*details.hold) + (details.held ? "" : " (has ended)");
}

CommandResult show_result(const BackupDetails& details, CommandContext& context) {
  const CatalogueEntry& entry = details.entry;
  CommandResult result{.json = json_of(entry),
                       .text = text_of(entry.outcome.info, context.style())};
  result.json["proof"] = entry.proof ? proof_json(*entry.proof) : Json();
  result.json["hold"] = hold_json(details);
  result.json["freed_by_deletion_bytes"] =
      details.freed_bytes ? Json(*details.freed_bytes) : Json();
  const auto add = [&](std::string_view name, const std::string& value) {
    result.text += fmt::format("{:<19}{}\n", name, value);
  };
  add("verified:", entry.proof ? proof_text(*entry.proof) : "never");
  add("held:", printable(hold_text(details)));
  if (details.freed_bytes) {
    add("deletion frees:", human_bytes(*details.freed_bytes) + ", besides its WAL");
  } else {
    context.warn("what deleting it would free is not known: " + details.unknown_because);
  }
  return result;
}

CommandResult run(CommandContext& context, bool all) {
  CommandResult result;
  result.json["backups"] = Json::array();
  Table table({{"ID"},
               {"NAME"},
               {"TYPE"},
               {"RECOVERABLE FROM"},
               {"SIZE", Align::kRight},
               {"STORED", Align::kRight},
               {"DURATION", Align::kRight},
               {""}});
  for (const CatalogueEntry& entry : list(context.config(), context.repository(), context.stop())) {
    const bool there = is_listed(entry.state);
    if (!there && !all) continue;
    result.json["backups"].push_back(json_of(entry));
    if (there) {
      add_row(table, entry);
    } else {
      table.add_row({entry.name.id.text, Cell(""), Cell(std::string(to_string(entry.state)))});
    }
  }
  result.text = table.empty()
                    ? fmt::format("Cluster '{}' has no backup yet.\n", context.config().cluster)
                    : table.render(context.style());
  return result;
}

}  // namespace

CommandSpec list_command() {
  struct Arguments {
    bool all = false;
    std::optional<std::string> as_of;
  };
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "list";
  spec.summary = "List the backups";
  spec.needs = Needs::kConfig;
  spec.options = {switch_option({"--all", "Unfinished and aborted ones too"}, arguments->all),
                  as_of_option(arguments->as_of)};
  spec.examples = {
      {"holdfast list", "Every backup, oldest first"},
      {"holdfast list --as-of '2026-11-22 13:59'", "Those of then, in a bucket with versioning"},
      {"holdfast --output json list", "For a program"}};
  spec.run = [arguments](CommandContext& context) {
    apply_as_of(arguments->as_of, context);
    return run(context, arguments->all);
  };
  return spec;
}

CommandSpec show_command() {
  struct Arguments {
    std::string id;
    std::optional<std::string> as_of;
  };
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "show";
  spec.summary = "Show one backup";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("ID", "An id, a name, latest or oldest", arguments->id)};
  spec.options = {as_of_option(arguments->as_of)};
  spec.examples = {{"holdfast show latest", "The newest backup"},
                   {"holdfast show before-upgrade", "The one of that name"}};
  spec.run = [arguments](CommandContext& context) {
    apply_as_of(arguments->as_of, context);
    return show_result(show(context.config(), context.repository(), arguments->id, context.stop()),
                       context);
  };
  return spec;
}

}  // namespace holdfast::cli
