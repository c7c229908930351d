#pragma once
// What a recovery or a drill came to, against the objectives. Pure.
//
// A recovery is judged by its record alone, with the objectives that held when it began, so that a
// report says the same years later:
//
//   recovery time                 from its begin until the copy stood at its target
//   recovery time, in production  from its begin until the promoted server was validated
//   recovery point                of a recovery to the latest point: from the newest transaction
//                                 that came back to its begin. Of one to a time: none, for that is
//                                 reached where a later transaction shows that nothing is missing

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "app/recovery_record.h"
#include "app/report.h"

namespace holdfast {

struct MeasuredObjective {
  std::string name;
  std::chrono::milliseconds wanted{0};                // 0: there is no such objective
  std::optional<std::chrono::microseconds> measured;  // nullopt: not known, or not yet
  std::string_view result() const;  // "met", "missed", "no objective", "not measured"
};
ReportSection objectives_section(const std::vector<MeasuredObjective>& objectives);

// Of a promotion that has not begun there is nothing to say, and so no line.
std::vector<MeasuredObjective> measured_objectives(const RecoveryRecord& record);

}  // namespace holdfast
