// `check`: does the set-up work?
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "app/check.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Mark {
  std::string_view word;
  Colour colour;
};
Mark mark_of(FindingLevel level) {
  static constexpr std::array<Mark, 3> kMarks{
      Mark{"ok", Colour::kGreen}, {"warning", Colour::kYellow}, {"failed", Colour::kRed}};
  return kMarks.at(static_cast<std::size_t>(level));
}
Mark mark_of(CheckOutcome outcome) {
  static constexpr std::array<Mark, 3> kMarks{
      Mark{"ok", Colour::kGreen}, {"failed", Colour::kRed}, {"unsupported", Colour::kYellow}};
  return kMarks.at(static_cast<std::size_t>(outcome));
}

Json json_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string label_of(const CheckFinding& finding) {
  return finding.repository.empty() ? finding.name : finding.repository + ": " + finding.name;
}

CommandResult render(const std::vector<CheckFinding>& findings, const Style& style) {
  CommandResult result;
  std::size_t width = 20;
  for (const CheckFinding& finding : findings) width = std::max(width, label_of(finding).size());
  width += 2;
  result.json["findings"] = Json::array();
  for (const CheckFinding& finding : findings) {
    const Mark mark = mark_of(finding.level);
    result.json["findings"].push_back({{"name", finding.name},
                                       {"repository", json_or_null(finding.repository)},
                                       {"status", mark.word},
                                       {"detail", finding.detail},
                                       {"hint", finding.hint}});
    result.text += style.paint(mark.colour, fmt::format("{:<9}", mark.word)) +
                   fmt::format("{:<{}}{}\n", label_of(finding), width, printable(finding.detail));
    if (finding.level == FindingLevel::kFailed) {
      result.told += fmt::format("{}{}: {}", result.told.empty() ? "" : "; ", label_of(finding),
                                 finding.detail);
    }
    if (!finding.hint.empty()) {
      result.text += fmt::format("{:{}}{}\n", "", width + 9, printable(finding.hint));
    }
  }
  const std::size_t failed = count_of(findings, FindingLevel::kFailed);
  result.json["failed"] = failed;
  result.json["warnings"] = count_of(findings, FindingLevel::kWarning);
  if (failed > 0) {
    result.failure.emplace(ErrorKind::kCheckFailed,
                           fmt::format("{} of {} checks failed", failed, findings.size()),
                           ErrorContext{.hint = "The findings say what is wrong."});
  }
  return result;
}

CommandResult render(const std::vector<ConformanceCheck>& checks,
                     const RepositoryConfig& repository, const Style& style) {
  CommandResult result{.json = {{"repository", repository.url}, {"conforms", conforms(checks)}}};
  result.json["checks"] = Json::array();
  Table table({{""}, {"CHECK"}, {"TIME", Align::kRight}, {"DETAIL"}});
  for (const ConformanceCheck& check : checks) {
    const Mark mark = mark_of(check.outcome);
    result.json["checks"].push_back({{"name", check.name},
                                     {"status", mark.word},
                                     {"detail", check.detail},
                                     {"seconds", json_of(check.time)}});
    table.add_row({Cell(std::string(mark.word), mark.colour), check.name,
                   human_duration(check.time), check.detail});
  }
  result.text = table.render(style);
  if (!conforms(checks)) {
    result.failure.emplace(ErrorKind::kCheckFailed,
                           "the store does not do what Holdfast needs of it",
                           ErrorContext{.object = repository.url,
                                        .hint = "Use another store; this one would lose backups."});
  }
  return result;
}

}  // namespace

CommandSpec check_command() {
  auto repo_only = std::make_shared<bool>(false);
  CommandSpec spec;
  spec.name = "check";
  spec.summary = "Prove that the set-up works";
  spec.details =
      "Looks at the configuration, PostgreSQL, its data directory, every repository (or the one "
      "of\n"
      "--repo), the clocks and the space. Exit 1 when anything failed, an unreachable PostgreSQL "
      "or\n"
      "repository included.";
  spec.needs = Needs::kConfig;
  spec.options = {switch_option(
      {"--repo-only", "Test instead whether the store does all that Holdfast needs"}, *repo_only)};
  spec.examples = {{"holdfast check", "Before the first backup, and whenever something changed"},
                   {"holdfast check --repo-only", "Is this S3 server good enough?"}};
  spec.run = [repo_only](CommandContext& context) {
    if (*repo_only) {
      const RepositoryConfig& repository = context.repository();
      return render(check_store(repository, context.stop()), repository, context.style());
    }
    const auto findings = check_setup(context.loaded(), context.globals().repo, {}, context.stop());
    return render(findings, context.style());
  };
  return spec;
}

}  // namespace holdfast::cli
