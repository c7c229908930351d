#pragma once
// Plans a recovery before anything is written: which backup, along which line of histories, to
// which timeline, and whether the archive reaches the target.
//
// Chosen is the newest backup from which the target can be reached. A target that cannot be
// reached is kRefused, with why, what reaches nearest, and what to do. Where stored segments have
// no index, what could not be checked is a warning, and the plan is made: PostgreSQL itself stops
// when it does not find its target.
//
// Source of what a target needs: PostgreSQL's access/transam/xlogrecovery.c. A target by time needs
//   a transaction that finished after it (inclusive) or at it or after it (exclusive); by LSN, a
//   record that begins there or behind it; any target lies behind the end of the backup, else
//   recovery stops before it is consistent.
// Errors: kRefused; kNotFound for a cluster, history or backup that does not exist; those of the
//   store. Threads: any. Reads only.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/progress.h"
#include "repository/recoverable.h"
#include "restore/recovery_target.h"

namespace holdfast {

struct RecoveryPlanRequest {
  RecoveryTarget target;
  std::optional<std::string> backup = {};   // as find_backup() takes it; nullopt: chosen here
  std::optional<HistoryName> history = {};  // nullopt: the newest
  Progress& progress = null_progress();
};

struct RecoveryPlan {
  CatalogueEntry backup;
  HistoryName history;  // whose line of WAL is read: for archive-get --history
  TimelineId timeline;  // resolved, also for "latest" and "current"
  RecoverableInterval interval;
  // Where the target lies, as far as it is known: the transaction's end, the restore point, the
  // end of the archive, the backup's stop.
  std::optional<WalPoint> point;
  // False: the backup's own WAL is all there is to recover from.
  bool needs_archive = true;
  // Where the WAL that is replayed makes tablespaces, which the backup does not know: replay makes
  // them in the same places on the machine where it happens.
  std::vector<std::string> new_tablespaces = {};
  // Segments of which that is not known, and whether because they are frozen.
  std::uint64_t unchecked_for_tablespaces = 0;
  bool frozen_for_tablespaces = false;
  std::optional<Error> damage_for_tablespaces = {};  // what is wrong with the first of them
  std::vector<std::string> warnings;
};

RecoveryPlan plan_recovery(const Repository& repository, const std::string& cluster,
                           const RecoveryPlanRequest& request, const std::stop_token& stop);

}  // namespace holdfast
