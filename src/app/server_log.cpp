#include "app/server_log.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace holdfast {
namespace {

constexpr std::string_view kStart = "starting PostgreSQL ";
constexpr std::string_view kOrdinary[] = {
    "the database system is starting up",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "terminating connection due to administrator command",
    "terminating background worker",
    "terminating walreceiver process due to administrator command",
    "terminating autovacuum process due to administrator command"};

bool has(std::string_view line, std::string_view text) {
  return line.find(text) != std::string_view::npos;
}

bool is_of(std::string_view line, std::string_view severity) {
  return has(line, fmt::format("{}:", severity)) || has(line, fmt::format(",{},", severity)) ||
         has(line, fmt::format("\"error_severity\":\"{}\"", severity));
}

}  // namespace

LogFindings read_server_log(std::istream& log) {
  LogFindings found;
  for (std::string line; std::getline(log, line);) {
    if (has(line, kStart)) found = {};
    if (is_of(line, "PANIC")) found.panic = line;
    const bool ordinary =
        std::ranges::any_of(kOrdinary, [&](std::string_view text) { return has(line, text); });
    if (!is_of(line, "FATAL") || ordinary) continue;
    ++found.fatal;
    found.last_fatal = line;
  }
  return found;
}

}  // namespace holdfast
