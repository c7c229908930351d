#include "app/drill_report.h"

#include "app/copy_checks.h"
#include "system/files.h"

namespace holdfast {

using Json = nlohmann::ordered_json;

namespace {

Json drawn_json(const std::optional<DrawnDrill>& drawn) {
  if (!drawn) return {};
  Json json;
  json["what"] = drawn->what;
  json["seed"] = drawn->seed;
  json["repeat"] = drawn->repeat;
  return json;
}

Json canary_json(const std::optional<CanaryRow>& row) {
  if (!row) return {};
  return {{"number", row->number}, {"written", to_rfc3339(row->written)}, {"lsn", row->lsn}};
}

Json damage_json(const std::optional<DamageReport>& damage) {
  if (!damage) return {};
  return {{"object", damage->object.empty() ? Json() : Json(damage->object)},
          {"noticed", damage->noticed},
          {"detail", damage->detail}};
}

}  // namespace

Json drill_report_json(const DrillReport& report) {
  Json json;
  json["passed"] = report.passed();
  json["preset"] = report.preset == DrillPreset::kNone ? Json() : Json(to_string(report.preset));
  json["repository"] = report.repository;
  json["as_of"] = report.as_of ? Json(to_rfc3339(*report.as_of)) : Json();
  json["backup"] = report.backup ? Json(report.backup->name.id.text) : Json();
  json["history"] = report.backup ? Json(to_string(report.backup->name.history)) : Json();
  json["target"] = report.target;
  json["drawn"] = drawn_json(report.drawn);
  json["began"] = to_rfc3339(report.began);
  json["restored_bytes"] = report.bytes;
  json["restore_seconds"] = report.restore_seconds;
  json["replay_seconds"] = report.replay_seconds;
  json["recovery_seconds"] = report.recovery_seconds();
  json["check_seconds"] = report.check_seconds;
  json["recovered_lsn"] = report.recovered_lsn.empty() ? Json() : Json(report.recovered_lsn);
  json["last_transaction"] =
      report.last_transaction ? Json(to_rfc3339(*report.last_transaction)) : Json();
  json["recovery_point_seconds"] =
      report.recovery_point_seconds ? Json(*report.recovery_point_seconds) : Json();
  using Measure = DrillReport::Measure;
  json["recovery_point_by"] =
      report.measured_by == Measure::kNone ? Json() : Json(to_string(report.measured_by));
  json["canary"] = canary_json(report.canary);
  json["checks"] = check_results_json(report.checks);
  json["damage"] = damage_json(report.damage);
  json["data_directory"] =
      report.data_directory.empty() ? Json() : Json(report.data_directory.string());
  json["proof"] = report.proof == 0 ? Json() : Json(report.proof);
  return json;
}

std::filesystem::path save_drill_report(const Config& config, const DrillReport& report) {
  const std::filesystem::path folder =
      config.state_directory / (report.damage ? "drills-corrupt" : "drills");
  make_folders(folder, 0700);
  const std::filesystem::path path = folder / (to_compact(report.began) + ".json");
  const std::string text =
      drill_report_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  write_durably(path, as_bytes(text), 0600, Overwrite::kYes);
  return path;
}

}  // namespace holdfast
