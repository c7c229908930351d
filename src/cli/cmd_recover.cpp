// `recover start|status|connect|check|forward|abandon`: a recovered copy that stays, apart from
// everything, until it is abandoned. Its promotion: cmd_promote.cpp.
#include <fmt/format.h>

#include "app/copy_checks.h"
#include "app/recovery.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/recovery_views.h"
#include "cli/target_options.h"
#include "cli/thaw_options.h"

namespace holdfast::cli {
namespace {

struct StartArguments {
  RecoveryStart request;
  std::string scratch;
  std::optional<std::string> as_of;
  ThawOptions thaw;
  PipelineOptions pipeline;
};

CommandResult run_start(StartArguments& arguments, CommandContext& context) {
  apply_as_of(arguments.as_of, context);
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
    if (!result.text.empty()) result.text += '\n';
    result.text += text_of(view, context.style());
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
  const auto& checks = view.record.verdict->checks;
  if (verdict_of(checks) == CopyVerdict::kNotChecked) {
    result.failure =
        Error(ErrorKind::kCheckFailed,
              "nobody has looked into the recovered copy: skipped were " + not_looked_at(checks),
              {.object = view.record.name, .hint = let_recovery_be_checked(view.record.name)});
  } else if (!view.record.verdict->passed) {
    result.failure = Error(
        ErrorKind::kCheckFailed, "the checks of the recovered copy failed",
        {.object = view.record.name,
         .hint = fmt::format("'holdfast recover connect {}' opens psql on it.", view.record.name)});
  }
  return result;
}

struct ConnectArguments {
  std::string name, database = "postgres", statement;
  bool print = false;
};

CommandResult run_connect(const ConnectArguments& arguments, CommandContext& context) {
  if (arguments.print && !arguments.statement.empty()) {
    throw Error(ErrorKind::kUsage, "either a connection string or a statement",
                {.object = "--print --command"});
  }
  const RecoverySession session =
      recovery_session(context.config(), arguments.name, arguments.database, context.stop());
  if (arguments.print) return {.text = session.connection + "\n"};
  return {
      .becomes = [session, statement = arguments.statement] { become_psql(session, statement); }};
}

struct ForwardArguments {
  std::string name, history;
  TargetRequest point;
  ThawOptions thaw;
};

struct AbandonArguments {
  std::string name;
  bool yes = false;
};

[[noreturn]] void ask_before_abandoning(const std::vector<RecoveryView>& views) {
  std::string ended;
  bool serves = false;
  for (const RecoveryView& view : views) {
    ended += fmt::format("{}{} in {}", ended.empty() ? "" : ", ", view.record.name,
                         view.record.folder.string());
    serves = serves || view.state == RecoveryView::State::kPromoted;
  }
  throw Error(ErrorKind::kRefused,
              serves ? "the recovery would be ended, and with it the way back to the old server; "
                       "its files stay"
                     : "the recovered copy would be removed, with its server",
              {.object = ended, .hint = "Add --yes when that is what you want."});
}

std::string text_of(const EndedRecovery& ended) {
  std::string text = fmt::format("The copy's folder: {}.\n", ended.outcome);
  if (ended.promotion) {
    text += fmt::format("The cluster goes on in {}.\n", ended.promotion->place.string());
    if (!ended.promotion->aside.empty()) {
      text += fmt::format("What it replaced stays in {}: yours to remove.\n",
                          ended.promotion->aside.string());
    }
  }
  return text + fmt::format("The record is kept: {}\n", ended.record.string());
}

CommandResult run_abandon(const AbandonArguments& arguments, CommandContext& context) {
  if (!arguments.yes) {
    ask_before_abandoning(list_recoveries(context.config(), arguments.name, context.stop()));
  }
  const EndedRecovery ended = abandon_recovery(context.config(), arguments.name, context.stop());
  return {.json = {{"record", ended.record.string()}}, .text = text_of(ended)};
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
  spec.options = {text_option({"--name", "NAME", "What to call it (default: recovery)"},
                              arguments->request.name),
                  text_option({"--scratch", "DIR",
                               "Where to make the copy (default: the state directory, or beside\n"
                               "the data directory if that is on another file system)"},
                              arguments->scratch),
                  as_of_option(arguments->as_of)};
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
  spec.summary = "Open psql on a recovered copy, or print how other programs get there";
  spec.details =
      "As its first superuser. The copy can only be read. Who opened it is in the audit log.\n"
      "--print is for pg_dump: a table out of the copy, and back into the cluster.";
  spec.needs = Needs::kConfig;
  spec.stdout_use = Stdout::kRaw;
  spec.arguments = {name_argument(arguments->name)};
  spec.options = {
      text_option({"--database", "NAME", "Which database (default: postgres)"},
                  arguments->database),
      text_option({"--command", "SQL", "Run this and end, as psql -c"}, arguments->statement),
      switch_option({"--print", "Print the connection string, for pg_dump and other programs"},
                    arguments->print)};
  spec.examples = {
      {"holdfast recover connect --database app", "Look around"},
      {"holdfast recover connect --database app --command 'select count(*) from orders'",
       "One question"},
      {"pg_dump \"$(holdfast recover connect --print --database app)\" --table orders",
       "One table, as it was"}};
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
  add_thaw_options(spec.options, arguments->thaw);
  spec.examples = {{"holdfast recover forward --target-time '2026-11-22 14:05+01'", "A bit later"}};
  spec.run = [arguments](CommandContext& context) {
    return result_of(forward_recovery(context.config(), arguments->name,
                                      {.point = arguments->point, .thaw = arguments->thaw.choice()},
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
  spec.details =
      "After a promotion only the recovery ends, and with it the way back: the cluster goes on\n"
      "where it is, and the directory that was set aside stays until you remove it.";
  spec.needs = Needs::kConfig;
  spec.arguments = {name_argument(arguments->name)};
  spec.options = {switch_option({"--yes", "Do it"}, arguments->yes)};
  spec.examples = {{"holdfast recover abandon --yes", "The only recovery there is"}};
  spec.run = [arguments](CommandContext& context) { return run_abandon(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
