#pragma once
// Marks WAL that nothing needs, and removes what was marked a grace period ago.
//
// Needed is what repository/wal_need.h says of the backups that count and of the plan's reaches.
// Removed are objects of segments that the newest due mark names, that nothing needs now, and that
// are not younger than that mark. A mark is due when it is older than the grace period and every
// backup that began before it is decided, or lost its commit record and is kept by its manifest:
// who began later was told by the mark. Marks of this very run are never acted on. With a segment
// go its partial versions, labels and parts (those after the object that names them), and roll-ups
// of segments that all go. Timeline history files stay. Crashes: at any moment; what is left is
// removed by the next run. Nothing in a range that goes is needed, so nothing half removed is
// missed. Errors: those of the store. An unreadable mark is no error: no WAL of its history goes,
// and the next mark is written beside it. Memory: ranges; one page of a listing. Threads: one call
// at a time.

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "expire/expire_plan.h"
#include "expire/object_remover.h"
#include "repository/wal_mark.h"

namespace holdfast {

// Marks of a history as they were before the backups were listed.
struct HistoryMarks {
  WalPlace place;
  std::vector<WalMarkName> marks;  // ascending
};
std::vector<HistoryMarks> list_marks(const Repository& repository, const ExpireSurvey& survey,
                                     const std::stop_token& stop);

struct WalRemovalInput {
  const ExpirePlan& plan;
  const ArchiveSurvey& archive;     // whose WAL was listed
  const ExpireSurvey& survey;       // listed after `marks`
  std::vector<WalNeedBackup> kept;  // every backup that counts, and those of `lost`
  std::vector<BackupName> lost;     // undecided for ever: they lost their commit record
  const std::vector<HistoryMarks>& marks;
  std::chrono::milliseconds grace{};
};

enum class ActOnWal { kNo, kYes };
// With kNo nothing is written or removed, and removed_segments is what would be.
WalPlanned remove_wal(const Repository& repository, const WalRemovalInput& input, ActOnWal act,
                      RemovedObjects& counts, const std::stop_token& stop);

}  // namespace holdfast
