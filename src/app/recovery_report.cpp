#include "app/recovery_report.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/redact.h"
#include "core/text.h"
#include "core/time.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Row = std::vector<std::string>;

// A report is sections of facts and tables; both forms are made of these.
struct ReportSection {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts = {};
  Row head = {};
  std::vector<Row> rows = {};
};

std::string duration_between(const std::string& from, const std::string& to) {
  const auto began = parse_rfc3339(from);
  const auto ended = parse_rfc3339(to);
  return began && ended ? human_duration(*ended - *began) : "";
}

ReportSection what_it_is(const RecoveryRecord& record) {
  ReportSection section{.title = "Recovery " + record.name};
  section.facts = {
      {"Cluster", record.cluster},          {"Began", record.began},
      {"Repository", record.repository},    {"Backup", record.backup},
      {"Target", to_string(record.target)}, {"PostgreSQL", std::to_string(record.major_version)}};
  if (!record.steps.empty() && !record.steps.back().ended.empty()) {
    section.facts.emplace_back("Took", duration_between(record.began, record.steps.back().ended));
  }
  return section;
}

ReportSection steps_of(const RecoveryRecord& record) {
  ReportSection section{.title = "Steps",
                        .head = {"Step", "Result", "Began", "Took", "By", "Host", "Detail"}};
  for (const RecoveryStep& step : record.steps) {
    section.rows.push_back({step.name, std::string(to_string(step.result)), step.began,
                            duration_between(step.began, step.ended), step.by, step.host,
                            step.detail});
  }
  return section;
}

ReportSection checks_of(const RecoveryVerdict& verdict) {
  ReportSection section{.title = "Checks", .head = {"Check", "Result", "Detail"}};
  section.facts = {{"Verdict", verdict.passed ? "passed" : "failed"},
                   {"Checked", verdict.time},
                   {"At", verdict.at},
                   {"By", verdict.by}};
  for (const CheckResult& check : verdict.checks) {
    section.rows.push_back({check.name, std::string(to_string(check.verdict)), check.detail});
  }
  return section;
}

ReportSection approvals_of(const RecoveryRecord& record) {
  ReportSection section{.title = "Approvals", .head = {"By", "When", "Recorded by"}};
  for (const RecoveryApproval& approval : record.approvals) {
    section.rows.push_back({approval.by, approval.time, approval.host});
  }
  return section;
}

ReportSection promotion_of(const RecoveryPromotion& promotion) {
  ReportSection section{.title = "Promotion"};
  section.facts = {{"Place", promotion.place.string()}};
  if (!promotion.backup.empty()) {
    section.facts.emplace_back("Backup of what was replaced", promotion.backup);
  }
  if (!promotion.lost.empty()) section.facts.emplace_back("Lost", promotion.lost);
  if (!promotion.aside.empty()) {
    section.facts.emplace_back("Replaced directory", promotion.aside.string());
  }
  for (const RecoveryStandby& standby : promotion.standbys) {
    section.facts.emplace_back(
        "Standby", fmt::format("{}, port {}{}", standby.data_directory.string(), standby.port,
                               standby.dropped ? ", no longer asked for" : ""));
  }
  for (const std::string& file : promotion.differing) {
    section.facts.emplace_back("Differs from the replaced one", file);
  }
  return section;
}

std::vector<ReportSection> sections_of(const RecoveryRecord& record) {
  std::vector<ReportSection> sections{what_it_is(record)};
  if (record.verdict) sections.push_back(checks_of(*record.verdict));
  if (!record.approvals.empty()) sections.push_back(approvals_of(record));
  if (record.promotion) sections.push_back(promotion_of(*record.promotion));
  sections.push_back(steps_of(record));
  return sections;
}

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

std::string markdown_row(const Row& row) {
  std::string line = "|";
  for (const std::string& cell : row) line += fmt::format(" {} |", markdown_cell(cell));
  return line + "\n";
}

std::string html_row(const Row& row, std::string_view cell) {
  std::string line = "<tr>";
  for (const std::string& text : row) line += fmt::format("<{0}>{1}</{0}>", cell, html_text(text));
  return line + "</tr>\n";
}

}  // namespace

std::string recovery_report_markdown(const RecoveryRecord& record) {
  std::string out;
  for (const ReportSection& section : sections_of(record)) {
    out += fmt::format("{}{} {}\n\n", out.empty() ? "" : "\n", out.empty() ? "#" : "##",
                       section.title);
    for (const auto& [name, value] : section.facts) {
      out += fmt::format("- {}: {}\n", name, markdown_cell(value));
    }
    if (section.rows.empty()) continue;
    if (!section.facts.empty()) out += "\n";
    out += markdown_row(section.head) + markdown_row(Row(section.head.size(), "---"));
    for (const Row& row : section.rows) out += markdown_row(row);
  }
  return out;
}

std::string recovery_report_html(const RecoveryRecord& record) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Recovery "
      "{}</title>\n"
      "<style>body{{font:16px sans-serif;margin:2em auto;max-width:75em}}"
      "table{{border-collapse:collapse}}th,td{{border:1px solid #bbb;padding:.3em .6em;"
      "text-align:left;vertical-align:top}}dt{{font-weight:bold}}</style></head><body>\n",
      html_text(record.name));
  for (const ReportSection& section : sections_of(record)) {
    out += fmt::format("<h2>{}</h2>\n", html_text(section.title));
    if (!section.facts.empty()) out += "<dl>\n";
    for (const auto& [name, value] : section.facts) {
      out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(value));
    }
    if (!section.facts.empty()) out += "</dl>\n";
    if (section.rows.empty()) continue;
    out += "<table>\n" + html_row(section.head, "th");
    for (const Row& row : section.rows) out += html_row(row, "td");
    out += "</table>\n";
  }
  return out + "</body></html>\n";
}

std::vector<fs::path> write_recovery_reports(const RecoveryStore& store,
                                             const RecoveryRecord& record) {
  const fs::path stem = store.report_stem(record);
  make_folders(stem.parent_path(), 0700);
  store.give_to_owner(stem.parent_path());
  const fs::path markdown = stem.native() + ".md";
  const fs::path html = stem.native() + ".html";
  write_durably(markdown, as_bytes(recovery_report_markdown(record)), 0600, Overwrite::kYes);
  write_durably(html, as_bytes(recovery_report_html(record)), 0600, Overwrite::kYes);
  for (const fs::path& report : {markdown, html}) store.give_to_owner(report);
  return {markdown, html};
}

}  // namespace holdfast
