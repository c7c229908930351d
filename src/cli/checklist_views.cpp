#include "cli/checklist_views.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/render.h"
#include "core/counted.h"

namespace holdfast::cli {
namespace {

using ListAnswer = ChecklistLine::Answer;

std::string summary_of(const AnsweredList& list) {
  const std::size_t failed = list.count(ListAnswer::kNo);
  const std::size_t unknown = list.count(ListAnswer::kNotKnown);
  if (failed == 0 && unknown == 0) return "Ready: every line is answered with yes.";
  if (failed == 0) return "Ready, once somebody confirms " + counted(unknown, "line") + ".";
  return fmt::format("Not ready: {} of {} answered with no, {} not known.", failed,
                     counted(list.lines.size(), "line"), unknown);
}

Cell answer_cell(ListAnswer answer) {
  static constexpr std::array<Colour, 3> kColours{Colour::kGreen, Colour::kRed, Colour::kYellow};
  return {std::string(holdfast::to_string(answer)), kColours.at(static_cast<std::size_t>(answer))};
}

// Text that Markdown shows as it is.
std::string markdown_text(const std::string& text) {
  std::string safe;
  for (const char c : printable(text)) {
    if (std::string_view("\\`*_[]<>#|").find(c) != std::string_view::npos) safe += '\\';
    safe += c;
  }
  return safe;
}

}  // namespace

std::size_t AnsweredList::count(ListAnswer answer) const {
  return static_cast<std::size_t>(std::ranges::count(lines, answer, &ChecklistLine::answer));
}

Json checklist_json(const AnsweredList& list) {
  Json json{{"cluster", list.cluster}, {"time", json_of(list.time)}};
  json["failed"] = list.count(ListAnswer::kNo);
  json["not_known"] = list.count(ListAnswer::kNotKnown);
  json["lines"] = Json::array();
  for (const ChecklistLine& line : list.lines) {
    Json attested;
    if (line.attested) {
      attested = {{"by", line.attested->by},
                  {"note", line.attested->note},
                  {"time", line.attested->time},
                  {"host", line.attested->host}};
    }
    json["lines"].push_back({{"code", line.code},
                             {"question", line.question},
                             {"answer", holdfast::to_string(line.answer)},
                             {"because", line.because},
                             {"remedy", line.remedy},
                             {"attested", attested}});
  }
  return json;
}

std::string checklist_text(const AnsweredList& list, const Style& style) {
  constexpr std::size_t kMargin = 11;
  std::string text;
  for (const ChecklistLine& line : list.lines) {
    const Cell answer = answer_cell(line.answer);
    text += style.paint(answer.colour, fmt::format("{:<{}}", answer.text, kMargin));
    text += fmt::format("{}\n{:{}}{}\n", line.question, "", kMargin, printable(line.because));
    if (!line.remedy.empty()) {
      text += fmt::format("{:{}}{}\n", "", kMargin, printable(line.remedy));
    }
  }
  text += summary_of(list);
  text += '\n';
  return text;
}

std::string checklist_markdown(const AnsweredList& list) {
  std::string text = fmt::format("# Readiness of {}\n\n{}: {}\n\n", markdown_text(list.cluster),
                                 to_rfc3339_seconds(list.time), summary_of(list));
  for (const ChecklistLine& line : list.lines) {
    const bool yes = line.answer == ListAnswer::kYes;
    text += fmt::format("- [{}] {}{}  \n  {}\n", yes ? 'x' : ' ', line.question,
                        yes ? "" : fmt::format(": **{}**", holdfast::to_string(line.answer)),
                        markdown_text(line.because));
    if (line.remedy.empty()) continue;
    text.insert(text.size() - 1, "  ");
    text += fmt::format("  {}\n", markdown_text(line.remedy));
  }
  return text;
}

}  // namespace holdfast::cli
