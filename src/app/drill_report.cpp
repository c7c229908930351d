#include "app/drill_report.h"

#include <fmt/format.h>

#include "app/objectives.h"
#include "core/text.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {

namespace fs = std::filesystem;
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

std::string seconds_text(double seconds) {
  return human_duration(Seconds(seconds));
}

ReportSection what_it_was(const Config& config, const DrillReport& report) {
  ReportSection section{.title = report.preset == DrillPreset::kNone
                                     ? "Drill"
                                     : fmt::format("Drill, {}", to_string(report.preset))};
  section.facts = {
      {"Cluster", config.cluster},
      {"Result", std::string(to_string(report.verdict()))},
      {"Began", to_rfc3339_seconds(report.began)},
      {"By", report.by},
      {"Host", report.host},
      {"Repository",
       repository_fact(report.repository, report.as_of ? to_rfc3339_seconds(*report.as_of) : "")},
      {"Backup", report.backup ? report.backup->name.id.text : "none"},
      {"Target", report.target}};
  if (!report.recovered_lsn.empty()) {
    section.facts.emplace_back("Recovered to", report.recovered_lsn);
  }
  if (report.last_transaction) {
    section.facts.emplace_back("Newest transaction", to_rfc3339(*report.last_transaction));
  }
  if (report.drawn) section.facts.emplace_back("The same again", report.drawn->repeat);
  if (report.proof != 0) section.facts.emplace_back("Proof", std::to_string(report.proof));
  return section;
}

ReportSection damage_of(const DamageReport& damage) {
  return {.title = "Damage",
          .facts = {{"Object", damage.object},
                    {"Noticed", damage.noticed ? "yes" : "no"},
                    {"How", damage.detail}}};
}

ReportSection times_of(const DrillReport& report) {
  return {.title = "Times",
          .head = {"What", "Took"},
          .rows = {{"restore", seconds_text(report.restore_seconds)},
                   {"replay", seconds_text(report.replay_seconds)},
                   {"until it answered", report.recovered_lsn.empty()
                                             ? "it never did"
                                             : seconds_text(report.recovery_seconds())},
                   {"checks", seconds_text(report.check_seconds)}}};
}

std::vector<MeasuredObjective> objectives_of(const Config& config, const DrillReport& report) {
  const auto measured = [](double seconds) {
    return std::chrono::round<std::chrono::microseconds>(Seconds(seconds));
  };
  std::vector<MeasuredObjective> all{{"recovery time", config.objectives.recovery_time, {}},
                                     {"recovery point", config.objectives.recovery_point, {}}};
  if (!report.recovered_lsn.empty()) all[0].measured = measured(report.recovery_seconds());
  if (report.recovery_point_seconds) all[1].measured = measured(*report.recovery_point_seconds);
  return all;
}

ReportSection checks_of(const DrillReport& report) {
  ReportSection section{.title = "Checks", .head = {"Check", "Result", "Took", "Detail"}};
  for (const CheckResult& check : report.checks) {
    section.rows.push_back({check.name, std::string(to_string(check.verdict)),
                            seconds_text(check.duration_seconds), check.detail});
  }
  return section;
}

}  // namespace

Json drill_report_json(const DrillReport& report) {
  Json json;
  json["passed"] = report.passed();
  json["verdict"] = to_string(report.verdict());
  json["by"] = report.by;
  json["host"] = report.host;
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

Report drill_report(const Config& config, const DrillReport& report) {
  Report sections{what_it_was(config, report)};
  if (report.damage) {
    sections.push_back(damage_of(*report.damage));
    return sections;
  }
  sections.push_back(times_of(report));
  sections.push_back(objectives_section(objectives_of(config, report)));
  sections.push_back(checks_of(report));
  return sections;
}

void save_drill_report(const Config& config, DrillReport& report) {
  const fs::path folder = config.state_directory / (report.damage ? "drills-corrupt" : "drills");
  make_folders(folder, 0700);
  give_owner({.path = folder, .like = config.state_directory});
  const fs::path stem = folder / to_compact(report.began);
  report.report = stem.native() + ".json";
  const std::string text =
      drill_report_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  write_durably(report.report, as_bytes(text), 0600, Overwrite::kYes);
  give_owner({.path = report.report, .like = config.state_directory});
  report.readable = write_report(stem, drill_report(config, report));
  for (const fs::path& file : report.readable) {
    give_owner({.path = file, .like = config.state_directory});
  }
}

}  // namespace holdfast
