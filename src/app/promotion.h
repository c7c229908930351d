#pragma once
// `recover approve|promote|rollback`: a recovered copy takes the place of the cluster's data
// directory, and gives it back.
//
// Promote, once its gate is passed (checks passed at the present target, approvals, a fresh backup
// of what is replaced or --lost, the typed name), goes through these steps, each recorded
// (app/recovery_record.h) and each such that it can be done again after a crash at any moment:
//
//   stop application     hook
//   fence old server     it is stopped, its last WAL is archived, its control file is set aside: it
//                        cannot start any more, whoever tries
//   promote copy         while nobody but us can reach it; it is then stopped
//   set aside            the old data directory is renamed; nothing of it is ever removed
//   put in place         the copy is renamed to where the old one was
//   start server         it writes from here on, as the only one
//   take over archive    its WAL flows into a history of its own (app/take_over.h)
//   start application    hook
//   validate             the configured checks, hook, HTTP health, the server's log
//   back up              a fresh backup of the new line
//   standby N            of the new primary, as many as were asked for (app/new_standbys.h)
//
// Two servers that accept writes: never. The old one cannot start before the copy is promoted, and
//   rollback fences the new one, in the same way, before it gives the old one back.
// Committed rows: the copy has every one that its target includes; what the old server had beyond
//   is in the archive and in the directory that was set aside. The copy is promoted before the
//   archive is taken over, because a fork is put where its WAL is proven; until then its WAL waits
//   in its pg_wal.
// Errors: kRefused by the gate; those of the steps. Any of them leaves two ways on: promote again,
//   which continues, or rollback.
// Threads, two operators: app/recovery_record.h.

#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/new_standbys.h"
#include "app/recovery_record.h"
#include "core/progress.h"

namespace holdfast {

struct ApproveRequest {
  std::string name;  // of the recovery; empty: the only one
  std::string by;
};
// Of the last verdict, which must be a good one. Once for each person.
RecoveryRecord approve_recovery(const Config& config, const ApproveRequest& request);

struct PromoteRequest {
  std::string name;
  std::string lost;       // why there is no fresh backup of what is replaced
  std::string confirmed;  // the cluster's name, as somebody typed it
  StandbyWish standbys;
};
struct PromotionAnswer {
  RecoveryRecord record;
  std::filesystem::path record_file;           // where it is kept now
  std::vector<std::filesystem::path> reports;  // for people: Markdown, HTML
  std::vector<std::string> warnings;
};
PromotionAnswer promote_recovery(const Config& config, const PromoteRequest& request,
                                 Progress& progress, const std::stop_token& stop);

struct RollbackRequest {
  std::string name;
  std::string confirmed;
};
// Whenever a promotion was begun, also after it has ended, until it is abandoned. The copy, which
// may have been written to by then, is back in its folder afterwards, and its WAL is archived.
PromotionAnswer rollback_recovery(const Config& config, const RollbackRequest& request,
                                  const std::stop_token& stop);

}  // namespace holdfast
