#pragma once
// Reports for people, of recoveries and of drills: sections of facts and tables, as Markdown and as
// one HTML page. What they tell may come from anywhere: nothing in it becomes markup, and secrets
// in it are left out.
// Errors: kHost. Threads: any.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

using ReportRow = std::vector<std::string>;
struct ReportSection {
  std::string title;  // of the first: of the whole report
  std::vector<std::pair<std::string, std::string>> facts = {};
  ReportRow head = {};
  std::vector<ReportRow> rows = {};
};
using Report = std::vector<ReportSection>;

// "hot", or "hot, as of 2026-11-22T13:00:00Z" of one that was seen as it was then.
std::string repository_fact(const std::string& name, const std::string& as_of);

std::string report_markdown(const Report& report);
std::string report_html(const Report& report);

// STEM.md and STEM.html, which are replaced whole and durably.
std::vector<std::filesystem::path> write_report(const std::filesystem::path& stem,
                                                const Report& report);

}  // namespace holdfast
