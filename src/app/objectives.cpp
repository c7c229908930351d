#include "app/objectives.h"

#include <algorithm>

#include "core/text.h"
#include "core/time.h"

namespace holdfast {
namespace {

using Kind = RecoveryTarget::Kind;
using std::chrono::microseconds;

std::optional<microseconds> until_step_ended(const RecoveryRecord& record, std::string_view step) {
  const auto done = std::ranges::find_if(record.steps, [&](const RecoveryStep& one) {
    return one.name == step && one.result == RecoveryStep::Result::kDone;
  });
  if (done == record.steps.end()) return std::nullopt;
  const auto began = parse_rfc3339(record.began);
  const auto ended = parse_rfc3339(done->ended);
  if (!began || !ended) return std::nullopt;
  return *ended - *began;
}

std::optional<microseconds> behind_target(const RecoveryRecord& record) {
  const auto newest = parse_rfc3339(record.last_transaction);
  if (record.target.kind == Kind::kTime && newest) return microseconds::zero();
  const auto began = parse_rfc3339(record.began);
  if (record.target.kind != Kind::kLatest || !newest || !began) return std::nullopt;
  return std::max(*began - *newest, microseconds::zero());
}

}  // namespace

std::string_view MeasuredObjective::result() const {
  if (wanted.count() == 0) return "no objective";
  if (!measured) return "not measured";
  return *measured <= wanted ? "met" : "missed";
}

ReportSection objectives_section(const std::vector<MeasuredObjective>& objectives) {
  ReportSection section{.title = "Objectives",
                        .head = {"Objective", "Wanted", "Measured", "Result"}};
  for (const MeasuredObjective& one : objectives) {
    section.rows.push_back({one.name, one.wanted.count() == 0 ? "" : human_duration(one.wanted),
                            one.measured ? human_duration(*one.measured) : "",
                            std::string(one.result())});
  }
  return section;
}

std::vector<MeasuredObjective> measured_objectives(const RecoveryRecord& record) {
  const ObjectivesConfig& wanted = record.objectives;
  std::vector<MeasuredObjective> all{
      {"recovery time", wanted.recovery_time, until_step_ended(record, "replay")}};
  if (record.promotion) {
    all.push_back({"recovery time, in production", wanted.recovery_time,
                   until_step_ended(record, "validate")});
  }
  all.push_back({"recovery point", wanted.recovery_point, behind_target(record)});
  return all;
}

}  // namespace holdfast
