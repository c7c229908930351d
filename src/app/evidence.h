#pragma once
// What `status`, `doctor` and `checklist` look at: facts about the server, its archiver, every
// repository, this machine's state directory. Gathered here, judged in app/diagnosis.h, so that the
// judgement is a pure function.
//
// Guarantees: everything is looked at, whatever was wrong before it. What cannot be asked is a
//   Trouble in its place. With kStatus nothing is written anywhere; with kDoctor the few scratch
//   objects of `check` (app/check_parts.h), which are removed again. PostgreSQL is only read from.
// Time: PostgreSQL, this machine and all repositories are looked at side by side. A request to a
//   repository that refuses or hangs ends after EvidenceOptions::patience, and everything after
//   `at_most`: what was not seen by then is a Trouble too. Only a file system that hangs is waited
//   for, since the kernel lets nobody go on.
// Errors: kCancelled, kNotFound for a repository that is not configured. Threads: any.

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "app/check.h"
#include "app/config.h"
#include "app/dropped.h"
#include "app/push_failure.h"
#include "app/recovery.h"
#include "app/settings.h"
#include "core/error.h"
#include "core/time.h"
#include "core/wal_position.h"
#include "repository/catalogue.h"
#include "repository/recoverable.h"
#include "wal/lag.h"

namespace holdfast {

// An error as a fact.
struct Trouble {
  ErrorKind kind = ErrorKind::kBug;
  std::string message, hint = {};
};
Trouble trouble_of(const Error& error);

struct ArchiverEvidence {
  bool on = false;  // archive_mode is, and there is a command or library
  std::vector<PostgresSetting> unfit = {};
  std::optional<Timestamp> last_archived = {};
  std::optional<Timestamp> last_failed = {};
  std::string last_archived_file = {}, last_failed_file = {};
  std::optional<PushFailure> said = {};  // by archive-push, when it failed last
  bool failing() const { return last_failed && (!last_archived || *last_failed > *last_archived); }
};

// Files that PostgreSQL keeps in pg_wal because they are not archived yet.
struct BacklogEvidence {
  std::uint64_t segments = 0, bytes = 0;
  std::optional<Timestamp> oldest = {};  // when the first of them was finished
  std::uint64_t free_bytes = 0;          // on the disk of pg_wal
};

// A server that replays WAL: a standby, or the copy of a recovery.
struct ReplayEvidence {
  std::string whose;         // "this standby", "recovery NAME"
  std::uint64_t behind = 0;  // bytes that are there and not replayed
  bool paused = false;
  bool streams = false;
  std::optional<double> bytes_per_second = {};               // measured, where it is behind
  std::vector<std::pair<std::string, unsigned>> waits = {};  // what it waited for, how often seen
};

struct CanaryEvidence {
  std::optional<Timestamp> last = {};  // of its newest row; nullopt: there is none
};

struct ServerEvidence {
  std::optional<Trouble> trouble = {};  // nothing else is known then
  std::string version = {};
  bool standby = false;
  bool restored = false;  // the data directory carries the marker of a restore
  TimelineId timeline = {};
  std::optional<std::chrono::microseconds> clock_ahead = {};  // of this machine's
  ArchiverEvidence archiver = {};
  std::optional<BacklogEvidence> backlog = {};  // nullopt: pg_wal cannot be read here
  std::optional<ReplayEvidence> replay = {};
  std::optional<bool> backup_runs = {};  // whether a backup holds its lock in this server
  // Of a primary, with canary.interval; nullopt: it could not be read.
  std::optional<CanaryEvidence> canary = {};
};

struct UnfinishedBackup {
  std::string id, host, started = {};
  std::uint64_t pid = 0;
  // By the store's clock, when something of it was last stored. Of one that has taken long.
  std::optional<Timestamp> last_stored = {};
};

struct WindowEvidence {
  std::optional<Timestamp> from = {}, to = {};
  bool to_is_exact = false;  // the last commit is known; else it may be later
  Lsn to_lsn = {};
  TimelineId timeline = {};
};

struct GapEvidence {
  std::optional<Timestamp> from = {}, to = {};
  bool open = false;  // no backup was taken behind it: nothing from there on can be recovered
  std::uint64_t missing = 0;
  std::string first_missing = {};
};

// What the retention policy says that should be gone.
struct RetentionEvidence {
  std::size_t unmarked = 0;  // backups that expire and have no mark
  std::size_t overdue = 0;   // that are marked, and whose grace period ended long ago
  std::optional<Trouble> trouble = {};
};

struct DrillEvidence {
  Timestamp time = {};
  bool passed = false;
  bool proven = false;  // that the backup can be restored; false: the drill failed for it
  std::string backup = {}, target = {};
  std::string repository = {};  // out of which it came
  std::string preset = {};      // "quarterly"; empty: none of the calendar
  std::optional<double> recovery_seconds = {}, recovery_point_seconds = {};
  std::string failed = {};  // names of the checks that failed
};

struct RepositoryEvidence {
  std::string name, url;
  std::optional<Timestamp> as_of = {};  // it is seen as it was then
  bool wal = false, must = false;       // `must`: archive-push waits for this one
  bool first = false;                   // backups go here
  bool retention = false, encrypted = false;
  std::optional<Trouble> trouble = {};  // not reachable, or something in it cannot be read
  bool opened = false, registered = false;
  std::optional<std::chrono::microseconds> clock_ahead = {};
  std::optional<Timestamp> known_since = {};     // when this cluster's first history was opened
  std::vector<CatalogueEntry> backups = {};      // oldest first, whatever their state
  std::optional<CatalogueEntry> last_good = {};  // with its proof
  // With kDoctor: the newest that somebody took on purpose, with a name or a reason; with its
  // proof.
  std::optional<CatalogueEntry> deliberate = {};
  // Newer than the last good one, and found damaged.
  std::vector<std::string> bad = {};
  std::vector<UnfinishedBackup> unfinished = {};
  std::optional<WindowEvidence> window = {};  // of the newest timeline
  std::vector<GapEvidence> gaps = {};
  std::vector<UnusableBackup> unusable = {};
  std::optional<DroppedSummary> dropped = {};
  std::optional<RepositoryLag> lag = {};
  std::vector<CheckFinding> writers = {};                 // other servers in this history
  std::vector<CheckFinding> rights = {};                  // with kDoctor
  std::optional<RetentionEvidence> retention_state = {};  // with kDoctor, where there is a policy
  std::vector<DrillEvidence> drills = {};                 // that backups have proofs of
};

struct RunningOperation {
  std::string what;  // "backup", "drill"
  std::uint64_t pid = 0;
};

struct MachineEvidence {
  std::vector<RunningOperation> running = {};
  std::vector<RecoveryView> recoveries = {};
  std::vector<ReplayEvidence> replays = {};  // of recoveries that are replaying; with kDoctor
  std::vector<DrillEvidence> drills = {};    // by time; reports of this machine, and proofs
  // `drills` has those of other machines: with kDoctor, where all repositories could be looked at.
  bool knows_rare_drills = false;
  std::vector<std::string> leftovers = {};  // sentences
  std::vector<Trouble> troubles = {};
  std::vector<CheckFinding> checks = {};  // with kDoctor: configuration, privileges, settings …
};

struct Evidence {
  Timestamp now = {};  // this machine's clock
  std::string cluster;
  ServerEvidence server = {};
  std::vector<RepositoryEvidence> repositories = {};
  MachineEvidence machine = {};
};

enum class EvidenceDepth { kStatus, kDoctor };

struct EvidenceOptions {
  EvidenceDepth depth = EvidenceDepth::kStatus;
  std::string repository = {};  // only this one; empty: all
  std::chrono::milliseconds patience{std::chrono::seconds(10)};
  std::optional<std::chrono::milliseconds> at_most = {};  // for all of it; default: as below
};
inline constexpr std::chrono::minutes kStatusTakesAtMost{1};
inline constexpr std::chrono::minutes kDoctorTakesAtMost{5};  // it measures, and plans retention

Evidence gather_evidence(const LoadedConfig& loaded, const EvidenceOptions& options,
                         const std::stop_token& stop);

}  // namespace holdfast
