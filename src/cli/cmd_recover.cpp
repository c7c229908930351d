// `recover start|status|connect|check|forward|abandon`: a recovered copy that stays, apart from
// everything, until it is abandoned.
#include <fmt/format.h>

#include "app/copy_checks.h"
#include "app/recovery.h"
#include "cli/command.h"
#include "cli/render.h"
#include "cli/target_options.h"
#include "cli/thaw_options.h"

namespace holdfast::cli {
namespace {

using State = RecoveryView::State;

Json optional_text(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json steps_json(const RecoveryRecord& record) {
  Json steps = Json::array();
  for (const RecoveryStep& step : record.steps) {
    steps.push_back({{"name", step.name},
                     {"began", step.began},
                     {"ended", optional_text(step.ended)},
                     {"result", holdfast::to_string(step.result)},
                     {"detail", step.detail},
                     {"by", step.by},
                     {"host", step.host}});
  }
  return steps;
}

Json json_of(const RecoveryView& view) {
  const RecoveryRecord& record = view.record;
  Json json;
  json["name"] = record.name;
  json["state"] = holdfast::to_string(view.state);
  json["began"] = record.began;
  json["repository"] = record.repository;
  json["backup"] = record.backup;
  json["target"] = holdfast::to_string(record.target);
  json["target_lsn"] = holdfast::to_string(record.to);
  json["folder"] = record.folder.string();
  json["data_directory"] = record.data_directory().string();
  json["replayed_lsn"] =
      view.position ? Json(holdfast::to_string(view.position->replayed)) : Json();
  json["last_transaction"] = view.position && view.position->last_transaction
                                 ? Json(to_rfc3339(*view.position->last_transaction))
                                 : Json();
  json["steps"] = steps_json(record);
  json["verdict"] = Json();
  if (record.verdict) {
    json["verdict"] = {{"time", record.verdict->time},
                       {"at", record.verdict->at},
                       {"by", record.verdict->by},
                       {"passed", record.verdict->passed},
                       {"checks", check_results_json(record.verdict->checks)}};
  }
  json["next"] = view.next;
  return json;
}

Colour colour_of(State state) {
  if (state == State::kPaused) return Colour::kGreen;
  if (state == State::kFailed || state == State::kInterrupted) return Colour::kRed;
  return Colour::kYellow;
}

std::string verdict_text(const RecoveryVerdict& verdict, const Style& style) {
  std::string text = fmt::format(
      "Checked {} at {}: {}.\n", verdict.time, verdict.at,
      verdict.passed ? style.paint(Colour::kGreen, "passed") : style.paint(Colour::kRed, "failed"));
  Table table({{"CHECK"}, {"RESULT"}, {"DETAIL"}});
  for (const CheckResult& check : verdict.checks) {
    using Verdict = CheckResult::Verdict;
    const Colour colour = check.verdict == Verdict::kFailed    ? Colour::kRed
                          : check.verdict == Verdict::kSkipped ? Colour::kYellow
                                                               : Colour::kNone;
    table.add_row(
        {check.name, Cell(std::string(holdfast::to_string(check.verdict)), colour), check.detail});
  }
  return text + table.render(style);
}

std::string text_of(const RecoveryView& view, const Style& style) {
  const RecoveryRecord& record = view.record;
  std::string text = fmt::format(
      "Recovery {}: {}\n  backup  {}\n  target  {}\n  copy    {}\n", record.name,
      style.paint(colour_of(view.state), std::string(holdfast::to_string(view.state))),
      record.backup, holdfast::to_string(record.target), record.data_directory().string());
  if (view.position) {
    text += fmt::format("  stands  at {}{}\n", holdfast::to_string(view.position->replayed),
                        view.position->last_transaction
                            ? ", last transaction " + to_rfc3339(*view.position->last_transaction)
                            : "");
  }
  Table table({{"STEP"}, {"RESULT"}, {"BEGAN"}, {"ENDED"}, {"BY"}, {"DETAIL"}});
  for (const RecoveryStep& step : record.steps) {
    table.add_row({step.name, Cell(std::string(holdfast::to_string(step.result))), step.began,
                   step.ended, step.by, step.detail});
  }
  text += table.render(style);
  if (record.verdict) text += verdict_text(*record.verdict, style);
  return text + fmt::format("Next: {}\n", view.next);
}

CommandResult result_of(const RecoveryView& view, const CommandContext& context) {
  return {.json = json_of(view), .text = text_of(view, context.style())};
}

struct StartArguments {
  RecoveryStart request;
  std::string scratch;
  ThawOptions thaw;
  PipelineOptions pipeline;
};

CommandResult run_start(StartArguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  arguments.request.scratch = arguments.scratch;
  arguments.request.thaw = arguments.thaw.choice();
  return result_of(start_recovery(context.config(), context.repository(), arguments.request,
                                  context.progress(), context.stop()),
                   context);
}

CommandResult run_status(const std::string& name, CommandContext& context) {
  CommandResult result;
  result.json["recoveries"] = Json::array();
  for (const RecoveryView& view : list_recoveries(context.config(), name, context.stop())) {
    result.json["recoveries"].push_back(json_of(view));
    result.text += (result.text.empty() ? "" : "\n") + text_of(view, context.style());
  }
  if (result.text.empty()) {
    result.text = "There is no recovery. 'holdfast recover start' begins one.\n";
  }
  return result;
}

CommandResult run_check(const std::string& name, CommandContext& context) {
  const RecoveryView view =
      check_recovery(context.config(), name, context.progress(), context.stop());
  CommandResult result = result_of(view, context);
  if (!view.record.verdict->passed) {
    result.failure = Error(
        ErrorKind::kCheckFailed, "the checks of the recovered copy failed",
        {.object = view.record.name,
         .hint = fmt::format("'holdfast recover connect {}' opens psql on it.", view.record.name)});
  }
  return result;
}

struct ConnectArguments {
  std::string name, database = "postgres", statement;
};

CommandResult run_connect(const ConnectArguments& arguments, CommandContext& context) {
  become_psql(
      recovery_session(context.config(), arguments.name, arguments.database, context.stop()),
      arguments.statement);
}

struct ForwardArguments {
  std::string name, history;
  TargetRequest point;
  PipelineOptions pipeline;
};

struct AbandonArguments {
  std::string name;
  bool yes = false;
};

CommandResult run_abandon(const AbandonArguments& arguments, CommandContext& context) {
  if (!arguments.yes) {
    const auto views = list_recoveries(context.config(), arguments.name, context.stop());
    std::string lost;
    for (const RecoveryView& view : views) {
      lost += fmt::format("{}{} in {}", lost.empty() ? "" : ", ", view.record.name,
                          view.record.folder.string());
    }
    throw Error(ErrorKind::kRefused, "the recovered copy would be removed, with its server",
                {.object = lost, .hint = "Add --yes when that is what you want."});
  }
  const std::filesystem::path record =
      abandon_recovery(context.config(), arguments.name, context.stop());
  return {.json = {{"record", record.string()}},
          .text = fmt::format("The copy is gone. Its record is kept: {}\n", record.string())};
}

Argument name_argument(std::string& into) {
  return text_argument("NAME", "Of the recovery (default: the only one)", into,
                       Presence::kOptional);
}

}  // namespace

CommandSpec recover_start_command() {
  auto arguments = std::make_shared<StartArguments>();
  CommandSpec spec;
  spec.name = "recover start";
  spec.summary = "Recover a copy beside the running cluster, paused at a point in time";
  spec.details =
      "Restores into a folder of its own and starts PostgreSQL there, cut off from everything "
      "else,\n"
      "until it stands at the target: paused, readable, and so until 'recover abandon'. Nothing of "
      "the\n"
      "cluster is touched. Repeat it with nothing but --name to go on with one that was "
      "interrupted.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument(
      "ID", "An id, a name, latest or oldest (default: the newest that reaches the target)",
      arguments->request.backup, Presence::kOptional)};
  spec.options = {
      text_option({"--name", "NAME", "What to call it (default: recovery)"},
                  arguments->request.name),
      text_option({"--scratch", "DIR", "Where to make the copy (default: the state directory)"},
                  arguments->scratch)};
  add_thaw_options(spec.options, arguments->thaw);
  add_target_options(spec.options, arguments->request.point, arguments->request.history);
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {
      {"holdfast recover start --target-time '2026-11-22 13:59:59+01'", "Just before a mistake"},
      {"holdfast recover start --name look --scratch /srv/recovery", "The end of the archive"},
      {"holdfast recover start --name look", "Go on with it after a restart of the machine"}};
  spec.run = [arguments](CommandContext& context) { return run_start(*arguments, context); };
  return spec;
}

CommandSpec recover_status_command() {
  auto name = std::make_shared<std::string>();
  CommandSpec spec;
  spec.name = "recover status";
  spec.summary = "Show every recovery: its steps, where it stands, and what comes next";
  spec.needs = Needs::kConfig;
  spec.arguments = {
      text_argument("NAME", "Only this one (default: all)", *name, Presence::kOptional)};
  spec.examples = {{"holdfast recover status", "All of them"}};
  spec.run = [name](CommandContext& context) { return run_status(*name, context); };
  return spec;
}

CommandSpec recover_connect_command() {
  auto arguments = std::make_shared<ConnectArguments>();
  CommandSpec spec;
  spec.name = "recover connect";
  spec.summary = "Open psql on a recovered copy";
  spec.details = "As its first superuser. The copy can only be read.";
  spec.needs = Needs::kConfig;
  spec.stdout_use = Stdout::kRaw;
  spec.arguments = {name_argument(arguments->name)};
  spec.options = {
      text_option({"--database", "NAME", "Which database (default: postgres)"},
                  arguments->database),
      text_option({"--command", "SQL", "Run this and end, as psql -c"}, arguments->statement)};
  spec.examples = {
      {"holdfast recover connect --database app", "Look around"},
      {"holdfast recover connect --database app --command 'select count(*) from orders'",
       "One question"}};
  spec.run = [arguments](CommandContext& context) { return run_connect(*arguments, context); };
  return spec;
}

CommandSpec recover_check_command() {
  auto name = std::make_shared<std::string>();
  CommandSpec spec;
  spec.name = "recover check";
  spec.summary = "Check a recovered copy, and record the verdict";
  spec.details =
      "Files, indexes and tables (amcheck, where the backup's databases have it), the `checks` of "
      "the\n"
      "configuration, and page checksums, for which its server is stopped and started again. "
      "Exits 1\n"
      "when anything failed.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(*name)};
  spec.examples = {{"holdfast recover check", "The only recovery there is"}};
  spec.run = [name](CommandContext& context) { return run_check(*name, context); };
  return spec;
}

CommandSpec recover_forward_command() {
  auto arguments = std::make_shared<ForwardArguments>();
  CommandSpec spec;
  spec.name = "recover forward";
  spec.summary = "Take a recovered copy on to a later point, without restoring again";
  spec.details = "Without a target: to what is the end of the archive now.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(arguments->name)};
  add_target_options(spec.options, arguments->point, arguments->history);
  std::erase_if(spec.options, [](const Option& option) {
    return option.names == "--history" || option.names == "--target-immediate";
  });
  spec.examples = {{"holdfast recover forward --target-time '2026-11-22 14:05+01'", "A bit later"}};
  spec.run = [arguments](CommandContext& context) {
    return result_of(forward_recovery(context.config(), arguments->name, arguments->point,
                                      context.progress(), context.stop()),
                     context);
  };
  return spec;
}

CommandSpec recover_abandon_command() {
  auto arguments = std::make_shared<AbandonArguments>();
  CommandSpec spec;
  spec.name = "recover abandon";
  spec.summary = "Remove a recovered copy and its server; the record is kept";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(arguments->name)};
  spec.options = {switch_option({"--yes", "Do it"}, arguments->yes)};
  spec.examples = {{"holdfast recover abandon --yes", "The only recovery there is"}};
  spec.run = [arguments](CommandContext& context) { return run_abandon(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
