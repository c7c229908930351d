#pragma once
// What is different about a backup of a recovered copy, which stands in recovery, paused at its
// target (recover/detached_server.h).
//
// Consistency: PostgreSQL takes the backup as one of a standby: from the copy's last restart point
//   on, its WAL mends what is read. The copy replays nothing meanwhile, so it is whole at one
//   position, the end of what it has replayed; that is the stop of the backup. The WAL from the
//   start to there is in the copy's own pg_wal, and is carried: zeros follow it, so that a recovery
//   of the backup ends there, at the target, and cannot go on.
// Into which history: a side line (repository/history.h). The copy's marker of a restore stays, and
//   nothing of its WAL is archived.
// Refused is a copy of which that cannot be had: one whose restart point lies on another timeline
//   than its target, for what is carried is of one timeline.
// Errors: kRefused; kPostgres when the copy went on meanwhile. Threads: one.

#include "core/wal_position.h"
#include "postgres/session.h"
#include "postgres/timeline_history.h"
#include "repository/backup_info.h"
#include "repository/history.h"

namespace holdfast {

struct RecoveredCopy {
  HistoryRecord history;  // the side line
  RecoveredFacts facts;
  Lsn replayed;               // where it stands
  TimelineHistory timelines;  // those of its target
};

void require_one_timeline(const RecoveredCopy& copy, const BackupStart& began);
// Where the backup ends. `ended` is what PostgreSQL says, which is the earliest consistent point.
Lsn stop_of_copy(const RecoveredCopy& copy, const BackupStop& ended, Session& session);

}  // namespace holdfast
