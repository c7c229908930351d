#pragma once
// The JSON form of a drill's report (docs/json.md), and the file of it in the state directory:
// drills/<when>.json, or drills-corrupt/<when>.json where damage was to be noticed: what reads
// the reports as evidence must not take one for the other. Holdfast never removes them.

#include <filesystem>

#include <nlohmann/json.hpp>

#include "app/drill.h"

namespace holdfast {

nlohmann::ordered_json drill_report_json(const DrillReport& report);
// Writes it durably and returns where.
std::filesystem::path save_drill_report(const Config& config, const DrillReport& report);

}  // namespace holdfast
