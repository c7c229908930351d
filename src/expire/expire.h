#pragma once
// Removes what the retention policy does not keep, and what somebody asked to have deleted.
//
// A backup goes in steps, each of which the next run goes on from:
//   mark       a tombstone says "marked" (repository/tombstone.h). Nothing new builds on the backup
//   grace      nothing happens for the grace period after the mark, by the store's clock: restores
//              and copies that read the backup come to their end, and people can still say no
//   deleting   when it is not held, no live intent cites it and it is not needed after all, the
//              tombstone says "deleting": from here on nothing brings it back
//   removal    its commit record first, then its manifest, then every pack of it that nothing
//              cites, then the rest
// WAL goes in the same way: a mark that names the segments (repository/wal_mark.h), the grace
// period, removal.
//
// Why no pack goes that a backup needs. A folder is closed when it has a tombstone or its outcome
// says aborted. A pack is removed only from a folder that says "deleting" or aborted, only when no
// manifest that counts cites it, and only when no live intent cites the folder. Each run does this
// in this order:
//   1. it sees which folders are closed
//   2. it lists the intents
//   3. it lists the backups, and which of them are decided
//   4. it reads the manifest of each committed backup that does not say "deleting"
//   5. it removes packs from folders that were closed at 1
// Who wants to cite a pack writes its begin record, then the intent, then asks for a tombstone, and
// at last commits. If its intent was not there at 2, it was written after 1, so the writer sees the
// folder closed and cites nothing. If the intent was there and the writer is undecided at 3, the
// intent is live and nothing of that folder goes. If it was decided at 3, its manifest is read at
// 4, or it aborted and can never commit. What an incremental backup cites in older folders its
// parent cites too, and a parent with a live intent does not reach "deleting": its manifest counts.
// A backup whose tombstone says "marked" counts like any other; so does one whose tombstone cannot
// be read. If the manifest of one that counts cannot be read, nobody knows what it cites: nothing
// is removed, kRefused.
//
// Listings are consistent (storage/object_store.h), and yet not trusted alone: a backup that one of
// two listings does not show, or that an intent names and no listing shows although its records can
// be read, ends the run with kRefused before anything is removed.
//
// Why nothing half removed is taken for a backup: the commit record is the first object that goes,
// and before that the tombstone says "deleting", for ever.
// Crashes, cancellation: at any moment. The next run finds the tombstones and goes on.
// Several runs at once, also with other policies: each record of a tombstone is create-only, so one
// of "withdrawn" and "deleting" wins; removing twice is removing once.
// Without the right to delete: what is still there is reported, and tried again by the next run.
// Objects that Holdfast does not know are left and reported.
// Clocks: now and ages are the store's, times of backups the server's. kRefused when the clock of
// this host differs from the store's by more than kClockDifferenceMax, and when a run would mark an
// unusual share of the backups without `consent`.
// Memory: a bit for each pack of the folders that are being emptied, one page of a listing, and a
// few manifest roots at a time. Threads: one call at a time. Errors: those of the store.

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "expire/expire_plan.h"
#include "expire/object_remover.h"
#include "repository/repository.h"
#include "storage/versioning.h"

namespace holdfast {

inline constexpr std::chrono::minutes kClockDifferenceMax{5};
// A run that marks more than this many backups and more than half of all is unusual.
inline constexpr std::size_t kUsualMarks = 3;

enum class ExpireConsent { kNone, kUnusualShare };

struct ExpireOptions {
  std::string cluster;
  RetentionPolicy policy;
  std::chrono::milliseconds grace{std::chrono::hours(24)};
  TimeZone zone = TimeZone::utc();
  std::string host;
  ExpireConsent consent = ExpireConsent::kNone;
  const Clock* host_clock = &system_clock();
};

struct ExpireResult {
  Timestamp now;  // the store's
  bool configured = false;
  std::vector<PlannedBackup> backups;  // oldest first
  std::vector<std::string> swept;      // ids of backups that had died
  RemovedObjects removed;
  WalPlanned wal;
  std::vector<WindowLeft> window;
  // Of a preview: what all backups that go free in the end, without their WAL.
  std::optional<std::uint64_t> freed_bytes;
  // Of a preview: why run_expire() refuses without consent; empty where it does not, or it is
  // given.
  std::string needs_consent;
  VersioningState versioning = VersioningState::kNone;  // unless none, no space is freed at once
  std::vector<std::string> warnings;
};

// What run_expire() would do. Writes nothing.
ExpireResult preview_expire(const Repository& repository, const ExpireOptions& options,
                            const std::stop_token& stop);
ExpireResult run_expire(const Repository& repository, const ExpireOptions& options,
                        const std::stop_token& stop);

struct DeletionRequest {
  BackupName backup;
  std::string reason;
};
struct DeletionAnswer {
  bool marked_before = false;
  VersioningState versioning = VersioningState::kNone;
  Timestamp due;  // the first run of `expire` at or after this removes it; by the store's clock
};
// Marks one backup for deletion. kRefused when it is held, or when no other backup of its line
// would be a good one. With kNo nothing is written.
enum class MarkIt { kNo, kYes };
DeletionAnswer request_deletion(const Repository& repository, const ExpireOptions& options,
                                const DeletionRequest& request, MarkIt mark,
                                const std::stop_token& stop);

}  // namespace holdfast
