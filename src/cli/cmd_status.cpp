// `status`: how is everything, on one screen.
#include "app/diagnosis.h"
#include "app/evidence.h"
#include "cli/command.h"
#include "cli/status_views.h"

namespace holdfast::cli {
namespace {

CommandResult as_nagios(const NagiosLine& line) {
  return {.text = line.text, .exit = line.exit};
}

CommandResult run_status(CommandContext& context, bool nagios) {
  if (nagios && context.globals().output == OutputFormat::kJson) {
    throw Error(ErrorKind::kUsage, "--nagios prints a line of text, and has no JSON form");
  }
  const Evidence evidence =
      gather_evidence(context.loaded(), {.repository = context.globals().repo}, context.stop());
  const std::vector<Finding> findings = diagnose(context.config(), evidence);
  if (nagios) return as_nagios(nagios_line(context.config(), evidence, findings));
  CommandResult result{.json = status_json(evidence, findings),
                       .text = status_text(evidence, findings, context.style())};
  if (worst_of(findings) == ProblemSeverity::kCritical) {
    result.failure.emplace(
        ErrorKind::kCheckFailed, findings.front().title,
        ErrorContext{.object = evidence.cluster,
                     .hint = "'holdfast doctor' says what it comes from, and what to do."});
  }
  return result;
}

}  // namespace

CommandSpec status_command() {
  auto nagios = std::make_shared<bool>(false);
  CommandSpec spec;
  spec.name = "status";
  spec.summary = "Show how everything is, on one screen";
  spec.details =
      "PostgreSQL and its archiver, each repository (or the one of --repo) with its last good "
      "backup\n"
      "and what can be recovered, the last drill, what is running. Reads only. Exit 1 when "
      "something\n"
      "is critical. With --nagios: one line with numbers, and the exit codes of a Nagios plugin.";
  spec.needs = Needs::kConfig;
  spec.options = {
      switch_option({"--nagios", "One line, and exit 0 to 3, for Nagios and its like"}, *nagios)};
  spec.examples = {{"holdfast status", "How is everything?"},
                   {"holdfast status --nagios", "As a check of Nagios, Icinga, Checkmk"}};
  spec.run = [nagios](CommandContext& context) { return run_status(context, *nagios); };
  spec.on_error = [nagios](const Error& error) {
    return *nagios ? std::optional(as_nagios(nagios_unknown(error))) : std::nullopt;
  };
  return spec;
}

}  // namespace holdfast::cli
