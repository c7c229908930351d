// `recover approve|promote|rollback`: a recovered copy takes the cluster's place, and gives it
// back.
#include <iostream>

#include <fmt/format.h>
#include <unistd.h>

#include "app/promotion.h"
#include "app/recovery.h"
#include "app/recovery_report.h"
#include "cli/command.h"
#include "cli/recovery_views.h"

namespace holdfast::cli {
namespace {

Argument name_argument(std::string& into) {
  return text_argument("NAME", "Of the recovery (default: the only one)", into,
                       Presence::kOptional);
}

Option confirm_option(std::string& into) {
  return text_option({"--confirm", "CLUSTER", "The cluster's name, typed; asked for on a terminal"},
                     into);
}

// What somebody typed; nothing where nobody can be asked.
std::string typed_name(const std::string& given, std::string_view what) {
  if (!given.empty() || !is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return given;
  std::cerr << what << " Type the cluster's name to go on: " << std::flush;
  std::string typed;
  std::getline(std::cin, typed);
  return typed;
}

CommandResult result_of(const PromotionAnswer& answer, CommandContext& context) {
  for (const std::string& warning : answer.warnings) context.warn(warning);
  const auto views = list_recoveries(context.config(), answer.record.name, context.stop());
  CommandResult result = result_of(views.at(0), context);
  result.told = told_of_promotion(answer.record);
  result.json["record"] = answer.record_file.string();
  result.json["reports"] = Json::array();
  for (const auto& report : answer.reports) {
    result.json["reports"].push_back(report.string());
    result.text += fmt::format("Report: {}\n", report.string());
  }
  return result;
}

}  // namespace

CommandSpec recover_approve_command() {
  auto request = std::make_shared<ApproveRequest>();
  CommandSpec spec;
  spec.name = "recover approve";
  spec.summary = "Record that somebody approves that a recovery is promoted";
  spec.details =
      "Of the last verdict of 'recover check', which must be a good one. As many people as\n"
      "recover.approvals says have to; another check or another target needs new ones.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(request->name)};
  spec.options = {text_option({"--by", "NAME", "Who approves it"}, request->by)};
  spec.examples = {{"holdfast recover approve --by 'Ada Lovelace'", "The only recovery there is"}};
  spec.run = [request](CommandContext& context) {
    const RecoveryRecord record = approve_recovery(context.config(), *request);
    return result_of(list_recoveries(context.config(), record.name, context.stop()).at(0), context);
  };
  return spec;
}

CommandSpec recover_promote_command() {
  struct Arguments {
    PromoteRequest request;
    std::string under;
  };
  auto arguments = std::make_shared<Arguments>();
  const std::shared_ptr<PromoteRequest> request(arguments, &arguments->request);
  CommandSpec spec;
  spec.name = "recover promote";
  spec.summary = "Put a recovered copy in the place of the cluster";
  spec.details =
      "Its checks must have passed, it must be approved, and what it replaces must have a fresh\n"
      "backup, or be --lost. Then: hook stop_application; the old server is stopped, its last WAL\n"
      "archived, and kept from starting; the copy is promoted; the old data directory is renamed,\n"
      "never removed; the copy takes its place and port, and takes over the archive; hook\n"
      "start_application; validation; a fresh backup. Interrupted or failed: repeat it to go on, "
      "or\n"
      "'recover rollback'. With --instances K, K-1 standbys are then restored from that backup, "
      "into\n"
      "directories of this machine, and follow the new primary.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(request->name)};
  spec.options = {
      confirm_option(request->confirmed),
      text_option({"--lost", "REASON", "What is replaced cannot be backed up any more, and why"},
                  request->lost),
      number_option({"--instances", "K", "How many servers in the end, standbys included"},
                    request->standbys.instances),
      text_option({"--standbys-under", "DIR",
                   "Where standbys are made (default: next to the data directory)"},
                  arguments->under),
      number_option({"--standby-port", "PORT",
                     "The first one's (default: behind the cluster's, the next that is free)"},
                    request->standbys.first_port)};
  spec.examples = {
      {"holdfast recover promote --confirm shared-postgres", "The only recovery there is"},
      {"holdfast recover promote --confirm shared-postgres --lost 'disk of pg1 died'",
       "After a total loss, also on another machine"},
      {"holdfast recover promote --confirm shared-postgres --instances 3", "With two standbys"}};
  spec.run = [arguments, request](CommandContext& context) {
    request->standbys.under = arguments->under;
    request->confirmed =
        typed_name(request->confirmed, "The recovered copy takes the place of the cluster.");
    return result_of(
        promote_recovery(context.config(), *request, context.progress(), context.stop()), context);
  };
  return spec;
}

CommandSpec recover_rollback_command() {
  auto request = std::make_shared<RollbackRequest>();
  CommandSpec spec;
  spec.name = "recover rollback";
  spec.summary = "Put back what a promotion replaced";
  spec.details =
      "The promoted server is stopped, what it wrote is archived, it is kept from starting, and "
      "its\n"
      "data directory goes back into the recovery's folder. Then the old server runs again, as it "
      "was.\n"
      "Nothing is removed. Repeat it when it was interrupted.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(request->name)};
  spec.options = {confirm_option(request->confirmed)};
  spec.examples = {{"holdfast recover rollback --confirm shared-postgres", "The old server again"}};
  spec.run = [request](CommandContext& context) {
    request->confirmed =
        typed_name(request->confirmed,
                   "What was written since the promotion is in effect no more after this.");
    return result_of(rollback_recovery(context.config(), *request, context.stop()), context);
  };
  return spec;
}

}  // namespace holdfast::cli
