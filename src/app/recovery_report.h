#pragma once
// The readable report of a recovery: who did what, when, for how long, against which objectives; as
// Markdown and as one HTML page. The record (app/recovery_record.h) is the machine's form of it.
//
//   <state directory>/recoveries/reports/NAME-<when it began>.md and .html
//
// Replaced whole each time. Errors: kHost. Threads: any.

#include <filesystem>
#include <string>
#include <vector>

#include "app/recovery_record.h"
#include "app/report.h"

namespace holdfast {

Report recovery_report(const RecoveryRecord& record);
std::vector<std::filesystem::path> write_recovery_reports(const RecoveryStore& store,
                                                          const RecoveryRecord& record);
// What a promotion or a rollback came to, in a sentence for a notice.
std::string told_of_promotion(const RecoveryRecord& record);

}  // namespace holdfast
