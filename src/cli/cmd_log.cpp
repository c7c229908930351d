// `log`: the audit log.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/audit_view.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  std::string since;
  std::optional<std::string> as_of;
  bool verify = false;
};

Json json_of(const ActionView& action) {
  const bool ended = action.ended.has_value();
  return {{"action", action.id},
          {"command", action.command},
          {"arguments", action.arguments},
          {"reason", action.reason},
          {"host", action.host},
          {"user", action.user},
          {"login", action.login},
          {"pid", action.pid},
          {"began", to_rfc3339(action.began)},
          {"ended", ended ? Json(to_rfc3339(*action.ended)) : Json()},
          {"duration_seconds", ended ? Json(action.duration_seconds) : Json()},
          {"exit", ended ? Json(action.exit) : Json()},
          {"signal", action.signal == 0 ? Json() : Json(action.signal)},
          {"error", action.error_kind.empty() ? Json()
                                              : Json{{"kind", action.error_kind},
                                                     {"message", action.error},
                                                     {"object", action.error_object}}},
          {"subject", action.subject}};
}

Cell outcome_of(const ActionView& action) {
  if (!action.ended) return {"no end recorded: it runs, or was killed", Colour::kYellow};
  if (action.signal != 0) {
    return {fmt::format("ended by signal {}", action.signal), Colour::kYellow};
  }
  if (action.exit == 0) return {action.subject.empty() ? "done" : "done: " + action.subject};
  return {action.error.empty() ? fmt::format("exit {}", action.exit)
                               : fmt::format("exit {}: {}", action.exit, action.error),
          Colour::kRed};
}

std::string text_of(const AuditView& view, const Style& style) {
  Table table({{"BEGAN"}, {"WHO"}, {"COMMAND"}, {"TOOK", Align::kRight}, {"OUTCOME"}, {"REASON"}});
  for (const ActionView& action : view.actions) {
    std::string who = action.user;
    if (!action.login.empty() && action.login != action.user) who = action.login + " as " + who;
    table.add_row({to_rfc3339_seconds(action.began), who + "@" + action.host, action.command,
                   action.ended ? human_duration(Seconds(action.duration_seconds)) : std::string(),
                   outcome_of(action), action.reason});
  }
  return table.empty() ? "The audit log has nothing to show.\n" : table.render(style);
}

std::optional<Error> failure_of(const AuditView& view) {
  if (!view.findings.empty()) {
    return Error(ErrorKind::kDamage,
                 fmt::format("the audit log is not what was written: {}", view.findings.front()),
                 {.hint = "What the repository has of it: 'holdfast log --repo NAME'."});
  }
  if (!view.not_compared) return std::nullopt;
  Error error = *view.not_compared;
  return error.during("the audit log was not compared with its copy");
}

CommandResult run(const Arguments& arguments, CommandContext& context) {
  apply_as_of(arguments.as_of, context);
  AuditQuery query;
  if (!arguments.since.empty()) query.since = parse_since(context.config(), arguments.since);
  if (arguments.verify) query.verify = AuditVerify::kYes;
  const bool local = context.globals().repo.empty() && !arguments.as_of;
  const AuditView view =
      local ? show_audit_log(context.config(), query, context.stop())
            : show_audit_copies(context.config(), context.repository(), query, context.stop());
  CommandResult result;
  result.json["source"] = local ? "local" : "repository";
  result.json["actions"] = Json::array();
  for (const ActionView& action : view.actions) {
    result.json["actions"].push_back(json_of(action));
  }
  result.json["lines"] = view.lines;
  result.json["verified"] = arguments.verify;
  result.json["findings"] = view.findings;
  for (const std::string& note : view.notes) context.warn(note);
  result.text = text_of(view, context.style());
  if (!arguments.verify) {
    for (const std::string& finding : view.findings) context.warn(finding);
    return result;
  }
  for (const std::string& finding : view.findings) result.text += printable(finding) + "\n";
  result.failure = failure_of(view);
  if (!result.failure) result.text += counted(view.lines, "line") + ", all as written.\n";
  return result;
}

}  // namespace

CommandSpec log_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "log";
  spec.summary = "Show what was done, by whom, and how it ended";
  spec.details =
      "The audit log of this machine, from the state directory; with --repo or --as-of, what all\n"
      "machines copied to the repository. --verify proves that no line was changed, removed or "
      "moved: "
      "each\n"
      "has the hash of the one before it. The log here is compared with its copy in the first\n"
      "repository, too, which tells that its end was cut off.";
  spec.needs = Needs::kConfig;
  spec.options = {
      text_option({"--since", "TIME", "A date, a time as --target-time takes it, or 7d"},
                  arguments->since),
      switch_option({"--verify", "Prove that it is what was written; exit 1 if not"},
                    arguments->verify),
      as_of_option(arguments->as_of)};
  spec.examples = {{"holdfast log --since 7d", "The last week on this machine"},
                   {"holdfast log --verify", "Was anything of it changed?"},
                   {"holdfast --repo hot log", "Every machine's, from the repository"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
