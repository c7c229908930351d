// `checklist`: is this set-up ready to be relied on?
#include <fmt/format.h>

#include "cli/checklist_views.h"
#include "cli/command.h"

namespace holdfast::cli {
namespace {

enum class ListForm { kText, kMarkdown };

struct ChecklistArguments {
  ListForm form = ListForm::kText;
  std::optional<std::string> line;
  std::string by, note;
};

CommandResult run_attest(const ChecklistArguments& arguments, CommandContext& context) {
  const Attestation made = attest(
      context.config(), {.line = *arguments.line, .by = arguments.by, .note = arguments.note});
  CommandResult result;
  result.json = {{"line", made.line},
                 {"by", made.by},
                 {"note", made.note},
                 {"time", made.time},
                 {"host", made.host}};
  result.text = fmt::format("{} confirmed by {} at {}, for a year.\n", made.line,
                            printable(made.by), made.time);
  return result;
}

CommandResult run_checklist(const ChecklistArguments& arguments, CommandContext& context) {
  if (arguments.line) return run_attest(arguments, context);
  if (!arguments.by.empty() || !arguments.note.empty()) {
    throw Error(ErrorKind::kUsage, "--by and --note are for --attest");
  }
  const ChecklistEvidence evidence = gather_checklist(context.loaded(), context.stop());
  const AnsweredList list{.cluster = evidence.evidence.cluster,
                          .time = evidence.evidence.now,
                          .lines = answer_checklist(context.config(), evidence)};
  CommandResult result{.json = checklist_json(list),
                       .text = arguments.form == ListForm::kMarkdown
                                   ? checklist_markdown(list)
                                   : checklist_text(list, context.style())};
  const std::size_t failed = list.count(ChecklistLine::Answer::kNo);
  if (failed > 0) {
    result.failure.emplace(
        ErrorKind::kCheckFailed, fmt::format("{} of {} lines fail", failed, list.lines.size()),
        ErrorContext{.object = list.cluster, .hint = "Each of them says what is missing."});
  }
  return result;
}

}  // namespace

CommandSpec checklist_command() {
  auto arguments = std::make_shared<ChecklistArguments>();
  CommandSpec spec;
  spec.name = "checklist";
  spec.summary = "Answer whether this set-up is ready to be relied on";
  spec.details =
      "Answers each line of the readiness list from what it sees: backups, drills, times, keys, "
      "and\n"
      "all that `doctor` looks at. What only people know is \"not known\" until somebody confirms "
      "it\n"
      "with --attest, for a year. Exit 1 when a line is answered with no.";
  spec.needs = Needs::kConfig;
  spec.options = {
      choice_option<ListForm>({"--format", "Of the text"},
                              {{"text", ListForm::kText}, {"markdown", ListForm::kMarkdown}},
                              arguments->form),
      text_option({"--attest", "LINE", "Confirm a line that is not known"}, arguments->line),
      text_option({"--by", "NAME", "Who confirms it"}, arguments->by),
      text_option({"--note", "TEXT", "What it rests on"}, arguments->note)};
  spec.examples = {
      {"holdfast checklist", "May we go live?"},
      {"holdfast checklist --format markdown", "For a wiki page or a ticket"},
      {"holdfast checklist --attest key_elsewhere --by 'A. Sample' --note 'safe, 2nd floor'",
       "What no program can see"}};
  spec.run = [arguments](CommandContext& context) { return run_checklist(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
