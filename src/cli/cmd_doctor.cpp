// `doctor`: what is wrong, where it comes from, and what mends it.
#include "app/diagnosis.h"
#include "app/evidence.h"
#include "cli/command.h"
#include "cli/status_views.h"

namespace holdfast::cli {
namespace {

CommandResult run_doctor(CommandContext& context) {
  const Evidence evidence = gather_evidence(
      context.loaded(), {.depth = EvidenceDepth::kDoctor, .repository = context.globals().repo},
      context.stop());
  const std::vector<Finding> findings = diagnose(context.config(), evidence);
  CommandResult result{.json = findings_json(findings),
                       .text = findings_text(findings, context.style())};
  if (worst_of(findings) != ProblemSeverity::kNotice) {
    result.failure.emplace(
        ErrorKind::kCheckFailed, findings.front().title,
        ErrorContext{.object = evidence.cluster, .hint = "The findings say what mends them."});
  }
  return result;
}

}  // namespace

CommandSpec doctor_command() {
  CommandSpec spec;
  spec.name = "doctor";
  spec.summary = "Find what is wrong, what it comes from, and what mends it";
  spec.details =
      "Looks at what `status` looks at, at settings, rights and retention too, and at what limits "
      "a\n"
      "slow replay. Names causes: what only follows from them is told with them. Writes a few "
      "small\n"
      "objects into each repository, as `check` does, and removes them. Exit 1 when something is\n"
      "wrong; notices alone are 0.";
  spec.needs = Needs::kConfig;
  spec.examples = {{"holdfast doctor", "Something is wrong; what, and what to do?"},
                   {"holdfast --output json doctor", "For a program; codes are stable"}};
  spec.run = run_doctor;
  return spec;
}

}  // namespace holdfast::cli
