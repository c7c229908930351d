#include "app/report.h"

#include <fmt/format.h>

#include "core/redact.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Secrets go too: reports are passed around.
std::string replaced(std::string_view text,
                     const std::vector<std::pair<char, std::string_view>>& escapes) {
  std::string out;
  for (const char c : redact_secrets(text)) {
    bool escaped = false;
    for (const auto& [from, to] : escapes) {
      if (c != from) continue;
      out += to;
      escaped = true;
    }
    if (!escaped) out += c;
  }
  return out;
}

// What people and programs wrote may hold anything.
std::string markdown_cell(std::string_view text) {
  return replaced(text, {{'|', "\\|"}, {'\n', " "}, {'<', "&lt;"}, {'&', "&amp;"}});
}

std::string html_text(std::string_view text) {
  return replaced(text, {{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&quot;"}});
}

std::string markdown_row(const ReportRow& row) {
  std::string line = "|";
  for (const std::string& cell : row) line += fmt::format(" {} |", markdown_cell(cell));
  return line + "\n";
}

std::string html_row(const ReportRow& row, std::string_view cell) {
  std::string line = "<tr>";
  for (const std::string& text : row) line += fmt::format("<{0}>{1}</{0}>", cell, html_text(text));
  return line + "</tr>\n";
}

}  // namespace

std::string repository_fact(const std::string& name, const std::string& as_of) {
  return as_of.empty() ? name : name + ", as of " + as_of;
}

std::string report_markdown(const Report& report) {
  std::string out;
  for (const ReportSection& section : report) {
    out += fmt::format("{}{} {}\n\n", out.empty() ? "" : "\n", out.empty() ? "#" : "##",
                       section.title);
    for (const auto& [name, value] : section.facts) {
      out += fmt::format("- {}: {}\n", name, markdown_cell(value));
    }
    if (section.rows.empty()) continue;
    if (!section.facts.empty()) out += "\n";
    out += markdown_row(section.head) + markdown_row(ReportRow(section.head.size(), "---"));
    for (const ReportRow& row : section.rows) out += markdown_row(row);
  }
  return out;
}

std::string report_html(const Report& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n"
      "<style>body{{font:16px sans-serif;margin:2em auto;max-width:75em}}"
      "table{{border-collapse:collapse}}th,td{{border:1px solid #bbb;padding:.3em .6em;"
      "text-align:left;vertical-align:top}}dt{{font-weight:bold}}</style></head><body>\n",
      html_text(report.at(0).title));
  for (const ReportSection& section : report) {
    out += fmt::format("<h2>{}</h2>\n", html_text(section.title));
    if (!section.facts.empty()) out += "<dl>\n";
    for (const auto& [name, value] : section.facts) {
      out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(value));
    }
    if (!section.facts.empty()) out += "</dl>\n";
    if (section.rows.empty()) continue;
    out += "<table>\n" + html_row(section.head, "th");
    for (const ReportRow& row : section.rows) out += html_row(row, "td");
    out += "</table>\n";
  }
  return out + "</body></html>\n";
}

std::vector<fs::path> write_report(const fs::path& stem, const Report& report) {
  const fs::path markdown = stem.native() + ".md";
  const fs::path html = stem.native() + ".html";
  write_durably(markdown, as_bytes(report_markdown(report)), 0600, Overwrite::kYes);
  write_durably(html, as_bytes(report_html(report)), 0600, Overwrite::kYes);
  return {markdown, html};
}

}  // namespace holdfast
