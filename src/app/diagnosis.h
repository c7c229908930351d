#pragma once
// From evidence (app/evidence.h) to what is wrong, why, and what to do: a pure function.
//
// A cause swallows its consequences: that WAL piles up because the repository is not mounted is one
// finding, which tells of both. Ordered by severity, then by the order in which they are judged.
// The limits stand below, and in docs/operations.md.
// Threads: any; plain data. Errors: none of its own.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/evidence.h"

namespace holdfast {

// kNotice: worth knowing, nothing is wrong.
enum class ProblemSeverity { kNotice, kWarning, kCritical };
std::string_view to_string(ProblemSeverity severity);  // "notice"

struct Finding {
  std::string code;  // stable: "storage_unreachable"
  ProblemSeverity severity = ProblemSeverity::kWarning;
  std::string repository = {};  // that it is about; empty: none
  std::string title;
  std::vector<std::string> evidence = {};
  std::string consequence = {};
  std::string remedy = {};                    // what mends it; names the command
  std::vector<std::string> explains = {};     // consequences that were found too
  std::vector<std::string_view> causes = {};  // codes of findings that this one explains
};

// Monthly drills are assumed, and daily backups where backup.schedule is empty.
inline constexpr std::chrono::hours kBackupsApart{24};
inline constexpr std::chrono::hours kBackupMayTake{2};  // until it counts as missed
inline constexpr std::chrono::hours kBackupTooLong{2};
// In which a backup that goes on stores something.
inline constexpr std::chrono::minutes kBackupQuiet{30};
inline constexpr std::chrono::hours kCopyMayTake{12};
// The canary writes again a minute after its server is back.
inline constexpr std::chrono::minutes kCanarySilent{5};
inline constexpr std::chrono::days kDrillOverdue{35};
// The drills of the quarter and of the year (app/drill_preset.h), with two weeks to make them up.
inline constexpr std::chrono::days kQuarterlyDrillOverdue{106};
inline constexpr std::chrono::days kYearlyDrillOverdue{380};
// Where objectives.recovery_point is not set: WAL that waits longer is critical.
inline constexpr std::chrono::hours kWalAtRiskLong{1};
inline constexpr std::chrono::minutes kWalWaitsLong{15};
inline constexpr std::chrono::hours kDiskFullSoon{6};
inline constexpr std::chrono::days kRecoveryStandsLong{7};

// How old a backup may get that ended at `ended`: until the next one by backup.schedule should be
// there; and until the one behind that should be, if they were as far apart. The schedule after a
// backup of Friday may have nothing until Monday, and after one of Monday has Tuesday.
struct BackupLimits {
  std::chrono::minutes overdue, long_overdue;
};
BackupLimits backup_limits(const Config& config, Timestamp ended);

std::vector<Finding> diagnose(const Config& config, const Evidence& evidence);

// The last drill of this preset that brought its backup back, "yearly": out of the cold repository;
// nullptr: none did that is known of.
const DrillEvidence* last_proven(const Config& config, const Evidence& evidence,
                                 std::string_view preset);

// The worst; kNotice when there is nothing else.
ProblemSeverity worst_of(const std::vector<Finding>& findings);

// What waits for the archiver, as the findings and `status` tell it.
struct WalRisk {
  std::optional<std::chrono::microseconds> age = {};  // of the oldest WAL that exists here only
  std::optional<double> bytes_per_second = {};        // by which pg_wal grows
  std::optional<Seconds> disk_full_in = {};
};
WalRisk wal_risk(const Evidence& evidence);

}  // namespace holdfast
