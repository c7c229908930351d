#pragma once
// A drill's report: as JSON (docs/json.md), and for people as Markdown and HTML (app/report.h). In
// the state directory: drills/<when>.json, .md and .html, or drills-corrupt/<when>… where damage
// was to be noticed: what reads the reports as evidence must not take one for the other. They are
// the owner's of the state directory, also where root made them. Holdfast never removes them.

#include <nlohmann/json.hpp>

#include "app/drill.h"
#include "app/report.h"

namespace holdfast {

nlohmann::ordered_json drill_report_json(const DrillReport& report);
Report drill_report(const Config& config, const DrillReport& report);
// Writes all three durably, and notes in `report` where.
void save_drill_report(const Config& config, DrillReport& report);

}  // namespace holdfast
