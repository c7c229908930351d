#pragma once
// Evidence of a set-up in which nothing is wrong, for tests that then break one thing.

#include "app/diagnosis.h"
#include "app/evidence.h"

namespace holdfast::test {

inline const Timestamp kNow{std::chrono::sys_days{std::chrono::year{2026} / 3 / 10} +
                            std::chrono::hours(12)};

inline CatalogueEntry backup_that_ended(Timestamp stop) {
  CatalogueEntry entry{.state = BackupState::kCommitted};
  entry.name = {"demo", {}, {to_compact(stop) + "-0001"}};
  entry.outcome.committed = true;
  entry.outcome.info.name = entry.name;
  entry.outcome.info.type = "incr";
  entry.outcome.info.start_time = stop - std::chrono::minutes(10);
  entry.outcome.info.stop_time = stop;
  entry.outcome.info.data_bytes = 2000;
  entry.outcome.info.stored_bytes = 1000;
  return entry;
}

inline Evidence good_evidence() {
  Evidence evidence{.now = kNow, .cluster = "demo"};
  evidence.server.version = "15.3";
  evidence.server.timeline = TimelineId{1};
  evidence.server.backup_runs = false;
  evidence.server.clock_ahead = std::chrono::microseconds(0);
  evidence.server.archiver.on = true;
  evidence.server.archiver.last_archived = kNow - std::chrono::minutes(2);
  evidence.server.archiver.last_archived_file = "000000010000000000000007";
  evidence.server.backlog = BacklogEvidence{.free_bytes = std::uint64_t{100} << 30U};
  RepositoryEvidence first{.name = "hot", .url = "file:///srv/hot"};
  first.wal = first.must = first.first = first.opened = first.registered = true;
  first.last_good = backup_that_ended(kNow - std::chrono::hours(10));
  first.backups = {*first.last_good};
  first.window = WindowEvidence{.from = kNow - std::chrono::hours(10),
                                .to = kNow - std::chrono::minutes(3),
                                .to_is_exact = true,
                                .to_lsn = Lsn{0x7000000},
                                .timeline = TimelineId{1}};
  evidence.repositories.push_back(first);
  RepositoryEvidence second{.name = "cold", .url = "s3://bucket/cold"};
  second.wal = second.opened = second.registered = true;
  evidence.repositories.push_back(second);
  evidence.machine.drills = {{.time = kNow - std::chrono::days(5),
                              .passed = true,
                              .proven = true,
                              .backup = "20260304T020000Z-0001",
                              .target = "the end of the archive",
                              .recovery_seconds = 90.0}};
  return evidence;
}

inline RepositoryEvidence& first_of(Evidence& evidence) {
  return evidence.repositories.front();
}

// The archiver fails since `since`, and so many segments of 16 MiB wait.
inline void let_archiving_fail(Evidence& evidence, std::chrono::microseconds since,
                               std::uint64_t segments) {
  evidence.server.archiver.last_archived = kNow - since - std::chrono::minutes(1);
  evidence.server.archiver.last_failed = kNow - std::chrono::seconds(30);
  evidence.server.archiver.last_failed_file = "000000010000000000000008";
  evidence.server.backlog->segments = segments;
  evidence.server.backlog->bytes = segments << 24U;
  evidence.server.backlog->oldest = kNow - since;
}

}  // namespace holdfast::test
