// `status`: how is everything, on one screen.
#include "app/diagnosis.h"
#include "app/evidence.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/status_views.h"

namespace holdfast::cli {
namespace {

CommandResult as_nagios(const NagiosLine& line) {
  return {.text = line.text, .exit = line.exit};
}

struct Arguments {
  bool nagios = false;
  std::optional<std::string> as_of;
};

// Not a repository in trouble, but one of which this cannot be asked.
void refuse_unversioned(const Evidence& evidence) {
  for (const RepositoryEvidence& repository : evidence.repositories) {
    const auto& trouble = repository.trouble;
    if (!repository.as_of || !trouble || trouble->kind != ErrorKind::kUsage) continue;
    throw Error(ErrorKind::kUsage, trouble->message, {.hint = trouble->hint});
  }
}

CommandResult run_status(CommandContext& context, const Arguments& arguments) {
  const bool nagios = arguments.nagios;
  if (nagios && context.globals().output == OutputFormat::kJson) {
    throw Error(ErrorKind::kUsage, "--nagios prints a line of text, and has no JSON form");
  }
  apply_as_of(arguments.as_of, context);
  std::string only = context.globals().repo;
  if (arguments.as_of) only = context.repository().name;
  const Evidence evidence = gather_evidence(context.loaded(), {.repository = only}, context.stop());
  refuse_unversioned(evidence);
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
  auto arguments = std::make_shared<Arguments>();
  const std::shared_ptr<bool> nagios(arguments, &arguments->nagios);
  CommandSpec spec;
  spec.name = "status";
  spec.summary = "Show how everything is, on one screen";
  spec.details =
      "PostgreSQL and its archiver, each repository (or the one of --repo) with its last good "
      "backup\n"
      "and what can be recovered, the last drill, what is running. Reads only. Exit 1 when "
      "something\n"
      "is critical. With --nagios: one line with numbers, and the exit codes of a Nagios plugin.\n"
      "With --as-of: one repository as it was, beside the server of now.";
  spec.needs = Needs::kConfig;
  spec.options = {
      switch_option({"--nagios", "One line, and exit 0 to 3, for Nagios and its like"}, *nagios),
      as_of_option(arguments->as_of)};
  spec.examples = {{"holdfast status", "How is everything?"},
                   {"holdfast status --nagios", "As a check of Nagios, Icinga, Checkmk"}};
  spec.run = [arguments](CommandContext& context) { return run_status(context, *arguments); };
  spec.on_error = [nagios](const Error& error) {
    return *nagios ? std::optional(as_nagios(nagios_unknown(error))) : std::nullopt;
  };
  return spec;
}

}  // namespace holdfast::cli
