#include "expire/expire.h"

#include <algorithm>
#include <memory>

#include <unistd.h>

#include "core/error.h"
#include "core/fault_point.h"
#include "expire/freed_bytes.h"
#include "expire/pack_removal.h"
#include "expire/pack_use.h"
#include "expire/wal_removal.h"
#include "repository/proof.h"
#include "repository/sweep.h"

namespace holdfast {
namespace {

std::string writer_text(const ExpireOptions& options) {
  return fmt::format("{} process {}, expire", options.host, ::getpid());
}

void require_same_clock(const Repository& repository, const Clock& clock,
                        const std::stop_token& stop) {
  const Timestamp store = repository.store().now(stop);
  const auto difference = std::chrono::abs(clock.now() - store);
  if (difference <= kClockDifferenceMax) return;
  throw Error(ErrorKind::kRefused,
              fmt::format("the clock of this host differs from that of the repository by {} s",
                          std::chrono::duration_cast<std::chrono::seconds>(difference).count()),
              {.object = repository.store().describe(),
               .hint = "Expiry goes by ages, and a wrong clock would remove the wrong backups. Set "
                       "the clock (NTP) and run it again."});
}

// What of a folder an intent says.
bool has_live_intent(const ExpireSurvey& survey, const std::vector<Intent>& intents,
                     const BackupName& cited) {
  return std::ranges::any_of(intents, [&](const Intent& intent) {
    return intent.name.cited == cited && is_live_intent(survey, intent);
  });
}

bool is_held(const BackupFolder& folder, Timestamp now) {
  return folder.hold && folder.hold->active(now);
}

// One run. Steps in the order of expire.h.
class ExpireRun {
 public:
  ExpireRun(const Repository& repository, const ExpireOptions& options, const std::stop_token& stop)
      : repository_(repository), options_(options), stop_(stop) {}

  ExpireResult preview();
  ExpireResult run();

 private:
  void survey();
  void take_plan();
  std::string why_unusual() const;
  void require_usual_share() const;
  void sweep();
  void write_marks();
  bool write_next(const BackupFolder& folder, TombstoneState state, const std::string& reason);
  void look_again();
  void choose_candidates();
  void read_manifests();
  void read_lost_backups();
  void begin_deletions();
  void remove_packs();
  void settle_loose_packs();
  void remove_wal_of(ActOnWal act);
  void note_action(const BackupName& name, ExpireAction action, std::string waits_for = {});
  bool is_due(const BackupFolder& folder) const {
    return folder.marked_at() + options_.grace <= later_.now;
  }

  const Repository& repository_;
  const ExpireOptions& options_;
  const std::stop_token& stop_;
  std::vector<HistoryMarks> wal_marks_;
  ExpireSurvey earlier_, later_;
  ArchiveSurvey archive_;
  ExpirePlan plan_;
  std::vector<Intent> intents_;
  std::vector<const BackupFolder*> candidates_;  // of later_: backups whose deletion is due
  std::vector<const BackupFolder*> closed_;      // whose packs may go; kDeleting or kAborted
  std::vector<BackupFolder> begun_;              // as closed_ points to those of this run
  std::vector<BackupName> lost_;                 // without a commit record, but with a manifest
  std::unique_ptr<PackUse> use_;                 // since read_manifests()
  ExpireResult result_;
};

void ExpireRun::survey() {
  require_same_clock(repository_, *options_.host_clock, stop_);
  earlier_ = survey_folders(repository_, options_.cluster, stop_);
  wal_marks_ = list_marks(repository_, earlier_, stop_);
}

void ExpireRun::take_plan() {
  archive_ = survey_archive(repository_, options_.cluster, stop_);
  plan_ = plan_expire(repository_, earlier_, archive_,
                      {.policy = options_.policy, .zone = options_.zone, .grace = options_.grace},
                      stop_);
  result_.now = earlier_.now;
  result_.versioning = versioning_state(repository_.store(), stop_);
  result_.configured = options_.policy.configured();
  result_.backups = plan_.backups;
  result_.window = plan_.window;
  for (const std::string& problem : plan_.problems) result_.warnings.push_back(problem);
}

// What needs consent that was not given; empty: nothing.
std::string ExpireRun::why_unusual() const {
  std::size_t marks = 0, all = 0;
  for (const PlannedBackup& backup : plan_.backups) {
    if (backup.action != ExpireAction::kDelete) ++all;
    if (backup.action == ExpireAction::kMark) ++marks;
  }
  if (marks <= kUsualMarks || 2 * marks <= all) return {};
  if (options_.consent == ExpireConsent::kUnusualShare) return {};
  return fmt::format("this run would expire {} of {} backups, which is unusual", marks, all);
}

void ExpireRun::require_usual_share() const {
  const std::string why = why_unusual();
  if (why.empty()) return;
  throw Error(ErrorKind::kRefused, why,
              {.object = options_.cluster,
               .hint = "See 'holdfast expire --dry-run'. If that is what you want, run "
                       "'holdfast expire --yes'."});
}

void ExpireRun::sweep() {
  // Without the lock of a backup nothing is known to be dead by where it was begun: no host is
  // called like this, so only what stored nothing for a day is swept.
  const SweepResult swept =
      sweep_dead_backups(repository_, list_backups(repository_, options_.cluster, stop_),
                         {.host = writer_text(options_), .data_directory = {}}, stop_);
  result_.swept = swept.swept;
  result_.removed.failed += swept.not_removed.size();
  if (!swept.not_removed.empty()) result_.removed.failed_example = swept.not_removed.front();
  for (const std::string& id : swept.lost_commit) {
    result_.warnings.push_back(
        fmt::format("backup {} was verified once, but its commit record is gone; nothing of it was "
                    "removed, nor "
                    "the WAL from its start to its stop",
                    id));
  }
}

// False when somebody else decided at the same moment.
bool ExpireRun::write_next(const BackupFolder& folder, TombstoneState state,
                           const std::string& reason) {
  const std::uint32_t last = folder.last_tombstone ? folder.last_tombstone->number : 0;
  return write_tombstone(repository_,
                         {.backup = folder.name,
                          .number = last + 1,
                          .state = state,
                          .by_policy = !folder.requested(),
                          .reason = reason,
                          .time = to_rfc3339_seconds(system_clock().now()),
                          .by = writer_text(options_)},
                         stop_);
}

void ExpireRun::write_marks() {
  for (const PlannedBackup& planned : plan_.backups) {
    const BackupFolder& folder = *find_folder(earlier_, planned.name);
    if (planned.action == ExpireAction::kMark) {
      BackupFolder by_policy = folder;
      by_policy.tombstone.reset();  // a withdrawn request does not make this one
      write_next(by_policy, TombstoneState::kMarked, "the retention policy does not keep it");
      fault_point("expire.marked");
    } else if (planned.action == ExpireAction::kWithdraw) {
      write_next(folder, TombstoneState::kWithdrawn,
                 fmt::format("kept after all: {}", to_string(planned.reasons.front().why)));
    }
  }
}

// Intents first, then what is decided.
void ExpireRun::look_again() {
  intents_ = all_intents(repository_, earlier_, stop_);
  later_ = survey_folders(repository_, options_.cluster, stop_);
  require_whole_listing(repository_, earlier_, later_, intents_, stop_);
}

void ExpireRun::note_action(const BackupName& name, ExpireAction action, std::string waits_for) {
  const auto planned = std::ranges::find(result_.backups, name, &PlannedBackup::name);
  if (planned == result_.backups.end()) return;
  planned->action = action;
  planned->waits_for = std::move(waits_for);
}

void ExpireRun::choose_candidates() {
  for (const PlannedBackup& planned : plan_.backups) {
    if (planned.action != ExpireAction::kMark && planned.action != ExpireAction::kDelete) continue;
    const BackupFolder* const folder = find_folder(later_, planned.name);
    // Withdrawn or removed by somebody else meanwhile, or its grace period only begins.
    if (folder == nullptr || folder->state != FolderState::kMarked || !is_due(*folder)) continue;
    if (is_held(*folder, later_.now)) {
      note_action(planned.name, ExpireAction::kWait, "its hold");
    } else if (has_live_intent(later_, intents_, planned.name)) {
      note_action(planned.name, ExpireAction::kWait, "a backup or copy that builds on it");
    } else {
      candidates_.push_back(folder);
    }
  }
}

void ExpireRun::read_manifests() {
  std::vector<BackupName> emptied;
  for (const BackupFolder& folder : later_.folders) {
    if (folder.state == FolderState::kDeleting || folder.state == FolderState::kAborted ||
        !folder.is_backup) {
      emptied.push_back(folder.name);
    }
  }
  for (const BackupFolder* candidate : candidates_) emptied.push_back(candidate->name);
  use_ = std::make_unique<PackUse>(emptied);
  std::vector<const BackupFolder*> counting;
  for (const BackupFolder& folder : later_.folders) {
    if (folder.counts() && std::ranges::find(candidates_, &folder) == candidates_.end()) {
      counting.push_back(&folder);
    }
  }
  use_->read_manifests(repository_, counting, stop_);
  read_lost_backups();
}

// A proof is written for committed backups only (repository/sweep.h).
void ExpireRun::read_lost_backups() {
  for (const BackupFolder& folder : later_.folders) {
    if (folder.state != FolderState::kUnfinished) continue;
    if (list_proofs(repository_, folder.name, stop_).empty()) continue;
    if (use_->read_lost(repository_, folder, stop_)) {
      lost_.push_back(folder.name);
    } else if (plan_.wal_kept_because.empty()) {
      plan_.wal_kept_because = fmt::format(
          "backup {} lost its commit record and its manifest cannot be read, so nobody knows which "
          "WAL it needs",
          folder.name.id.text);
    }
  }
}

void ExpireRun::begin_deletions() {
  begun_.reserve(candidates_.size());
  for (const BackupFolder* candidate : candidates_) {
    const std::string reason =
        candidate->requested() ? "asked for" : "the retention policy does not keep it";
    if (!write_next(*candidate, TombstoneState::kDeleting, reason)) {
      // Held at this moment, or another run was first: it counts until the next look.
      note_action(candidate->name, ExpireAction::kWait, "a decision that was made meanwhile");
      use_->read_manifests(repository_, {candidate}, stop_);
      continue;
    }
    fault_point("expire.deleting");
    note_action(candidate->name, ExpireAction::kDelete);
    begun_.push_back(*candidate);
    begun_.back().state = FolderState::kDeleting;
  }
}

void ExpireRun::remove_packs() {
  for (const BackupFolder& folder : earlier_.folders) {
    if (folder.state == FolderState::kDeleting || folder.state == FolderState::kAborted) {
      // Seen closed before the intents were listed, and still there.
      const BackupFolder* const now = find_folder(later_, folder.name);
      if (now != nullptr && now->state == folder.state) closed_.push_back(now);
    }
  }
  for (const BackupFolder& folder : begun_) closed_.push_back(&folder);
  for (const BackupFolder* folder : closed_) {
    empty_folder(
        repository_,
        {.folder = *folder, .cited_by_intent = has_live_intent(later_, intents_, folder->name)},
        *use_, result_.removed, stop_);
  }
}

// Packs that were copied for other backups, in a folder that has no backup of its own.
void ExpireRun::settle_loose_packs() {
  for (const BackupFolder& folder : later_.folders) {
    if (folder.is_backup || find_folder(earlier_, folder.name) == nullptr) continue;
    // With a begin record a copy of this very backup has begun since it was marked.
    const bool begun = folder.state == FolderState::kMarked &&
                       repository_.store().head(names::begin(folder.name), stop_).has_value();
    // With a manifest it is a backup that is being brought back (repository/undelete.h).
    const bool returning =
        repository_.store().head(names::manifest(folder.name), stop_).has_value();
    const bool needed = begun || returning || use_->is_any_cited(folder.name) ||
                        has_live_intent(later_, intents_, folder.name);
    if (folder.state == FolderState::kLoosePacks && !needed) {
      write_next(folder, TombstoneState::kMarked, "no backup needs these packs");
      fault_point("expire.marked");
    } else if (folder.state == FolderState::kMarked && needed) {
      write_next(folder, TombstoneState::kWithdrawn, "a backup needs these packs");
    } else if (folder.state == FolderState::kMarked && is_due(folder)) {
      write_next(folder, TombstoneState::kDeleting, "no backup needs these packs");
    }
  }
}

void ExpireRun::remove_wal_of(ActOnWal act) {
  std::vector<WalNeedBackup> kept;
  const auto keep = [&](const BackupInfo& info) {
    kept.push_back({.history = info.name.history,
                    .start_lsn = info.start_lsn,
                    .stop_lsn = info.stop_lsn,
                    .standalone = info.standalone});
  };
  for (const BackupFolder& folder : later_.folders) {
    const auto is_folder = [&](const BackupFolder& other) { return other.name == folder.name; };
    if (!folder.counts() || std::ranges::any_of(begun_, is_folder)) continue;
    if (folder.damage.empty()) keep(folder.info);
  }
  for (const BackupInfo& info : use_->facts_of_damaged()) keep(info);
  result_.wal = remove_wal(repository_,
                           {.plan = plan_,
                            .archive = archive_,
                            .survey = later_,
                            .kept = std::move(kept),
                            .lost = lost_,
                            .marks = wal_marks_,
                            .grace = options_.grace},
                           act, result_.removed, stop_);
}

ExpireResult ExpireRun::run() {
  require_same_clock(repository_, *options_.host_clock, stop_);
  sweep();
  survey();
  take_plan();
  require_usual_share();
  write_marks();
  look_again();
  choose_candidates();
  read_manifests();
  begin_deletions();
  remove_packs();
  settle_loose_packs();
  remove_wal_of(ActOnWal::kYes);
  return std::move(result_);
}

ExpireResult ExpireRun::preview() {
  survey();
  take_plan();
  look_again();
  choose_candidates();
  read_manifests();
  for (const BackupFolder* candidate : candidates_) {
    begun_.push_back(*candidate);  // as if it had begun
  }
  remove_wal_of(ActOnWal::kNo);
  std::vector<BackupName> going;
  for (const PlannedBackup& backup : result_.backups) {
    const bool stays =
        backup.action == ExpireAction::kKeep || backup.action == ExpireAction::kWithdraw;
    if (!stays) going.push_back(backup.name);
  }
  result_.freed_bytes = freed_bytes(repository_, later_, going, stop_);
  result_.needs_consent = why_unusual();
  return std::move(result_);
}

}  // namespace

ExpireResult preview_expire(const Repository& repository, const ExpireOptions& options,
                            const std::stop_token& stop) {
  return ExpireRun(repository, options, stop).preview();
}

ExpireResult run_expire(const Repository& repository, const ExpireOptions& options,
                        const std::stop_token& stop) {
  return ExpireRun(repository, options, stop).run();
}

}  // namespace holdfast
