#include <algorithm>

#include <fmt/format.h>

#include "cli/render.h"
#include "cli/status_views.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kFactWidth = 14;

void add_fact(std::string& text, std::string_view name, const std::string& value) {
  if (!value.empty()) text += fmt::format("  {:<{}}{}\n", name, kFactWidth, printable(value));
}

std::string finding_text(const Finding& finding, const Style& style) {
  std::string text = fmt::format(
      "{}: {}\n", style.paint(colour_of(finding.severity), holdfast::to_string(finding.severity)),
      style.paint(Colour::kBold, printable(finding.title)));
  for (const std::string& each : finding.evidence) add_fact(text, "seen", each);
  add_fact(text, "means", finding.consequence);
  for (const std::string& each : finding.explains) add_fact(text, "also explains", each);
  add_fact(text, "do", finding.remedy);
  return text;
}

std::size_t count_of_severity(const std::vector<Finding>& findings, ProblemSeverity severity) {
  return static_cast<std::size_t>(std::ranges::count(findings, severity, &Finding::severity));
}

}  // namespace

Json findings_json(const std::vector<Finding>& findings) {
  Json json;
  json["findings"] = Json::array();
  for (const Finding& finding : findings) {
    json["findings"].push_back(
        {{"code", finding.code},
         {"severity", holdfast::to_string(finding.severity)},
         {"repository", finding.repository.empty() ? Json() : Json(finding.repository)},
         {"title", finding.title},
         {"evidence", finding.evidence},
         {"consequence", finding.consequence},
         {"remedy", finding.remedy},
         {"explains", finding.explains}});
  }
  json["critical"] = count_of_severity(findings, ProblemSeverity::kCritical);
  json["warnings"] = count_of_severity(findings, ProblemSeverity::kWarning);
  return json;
}

std::string findings_text(const std::vector<Finding>& findings, const Style& style) {
  std::string text;
  for (const Finding& finding : findings) {
    if (!text.empty()) text += '\n';
    text += finding_text(finding, style);
  }
  if (worst_of(findings) == ProblemSeverity::kNotice) {
    if (!text.empty()) text += '\n';
    text += style.paint(Colour::kGreen, "Nothing is wrong that could be seen.");
    text += '\n';
  }
  return text;
}

}  // namespace holdfast::cli
