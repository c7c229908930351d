#pragma once
// The forms of `status` (a screen, JSON as docs/json.md has it, a line for Nagios) and of `doctor`.
// Pure.

#include <string>
#include <vector>

#include "app/diagnosis.h"
#include "cli/command.h"

namespace holdfast::cli {

std::string_view health_of(const std::vector<Finding>& findings);  // "ok", "warning", "critical"

Json status_json(const Evidence& evidence, const std::vector<Finding>& findings);
std::string status_text(const Evidence& evidence, const std::vector<Finding>& findings,
                        const Style& style);

// "HOLDFAST WARNING - demo: … | backup_age=…" with a line end, and the exit code that goes with it.
// Source of the form: Nagios plugin development guidelines.
struct NagiosLine {
  std::string text;
  int exit = 0;
};
NagiosLine nagios_line(const Config& config, const Evidence& evidence,
                       const std::vector<Finding>& findings);
NagiosLine nagios_unknown(const Error& error);

Colour colour_of(ProblemSeverity severity);
Json findings_json(const std::vector<Finding>& findings);
std::string findings_text(const std::vector<Finding>& findings, const Style& style);

}  // namespace holdfast::cli
