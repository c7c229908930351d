// Evidence: one repository. Each part is looked at by itself; what fails is the repository's
// trouble, and what was seen before it stays.
#include <algorithm>
#include <mutex>
#include <set>

#include "app/archive.h"
#include "app/check_parts.h"
#include "app/clock.h"
#include "app/diagnosis.h"
#include "app/evidence_parts.h"
#include "app/open.h"
#include "app/verify_operations.h"
#include "backup/preflight.h"
#include "core/known.h"
#include "core/parallel.h"
#include "expire/expire_plan.h"
#include "repository/proof.h"
#include "repository/recoverable_window.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

// Backups behind the last good one that are looked at for it.
constexpr std::size_t kLookedForGood = 8;
constexpr std::size_t kLookedForDrills = 40;
constexpr std::size_t kProofsRead = 20;  // of one backup, the newest
constexpr std::size_t kThreads = 8;
// A daily `expire` has two or three backups that it marked today and nobody since.
constexpr std::chrono::days kMarksMayWait{2};
constexpr std::string_view kDrillMode = "drill";      // of a proof; and of the calendar's
constexpr std::string_view kCalendarMode = "drill-";  // "drill-quarterly"

std::size_t rank_of(const Config& config, const RepositoryConfig& repository) {
  std::size_t rank = 0;
  for (const RepositoryConfig& each : config.repositories) {
    if (each.name == repository.name) break;
    rank += each.wal ? 1 : 0;
  }
  return rank;
}

bool is_on(const std::vector<LineStep>& line, const BackupInfo& info) {
  return std::ranges::any_of(line, [&](const LineStep& step) {
    return step.history == info.name.history && step.has(info.timeline, info.stop_lsn);
  });
}

class Looking {
 public:
  Looking(const RepositoryLook& look, SharedSession& session, const TimeLimit& limit)
      : config_(look.config), look_(look), session_(session), limit_(limit), stop_(limit.token()) {
    const RepositoryConfig& from = look.repository;
    evidence_.name = from.name;
    evidence_.url = from.url;
    evidence_.as_of = from.as_of;
    evidence_.wal = from.wal;
    evidence_.must = from.wal && rank_of(config_, from) < config_.wal.acknowledge;
    evidence_.first = config_.repositories.front().name == from.name;
    const RetentionConfig& kept = from.retention;
    evidence_.retention = kept.window.count() > 0 || kept.keep_last > 0 || kept.daily > 0 ||
                          kept.weekly > 0 || kept.monthly > 0 || kept.yearly > 0;
    evidence_.encrypted = from.encryption.configured();
  }

  RepositoryEvidence run() {
    evidence_.trouble = limit_.looked_at(ErrorKind::kRepository,
                                         [&] { in_repository(look_.repository, [&] { look(); }); });
    for (const RepositoryLag& lag : repositories_behind(config_)) {
      if (lag.repository == evidence_.name) evidence_.lag = lag;
    }
    return std::move(evidence_);
  }

 private:
  void look() {
    opened_ =
        open_repository(look_.repository, OpenOptions{.patience = look_.options.patience}, stop_);
    evidence_.opened = true;
    evidence_.clock_ahead = read_clock(opened_->store(), stop_).ahead;
    survey_ = survey_archive(*opened_, config_.cluster, stop_);
    evidence_.registered = !survey_.histories.empty();
    for (const HistoryRecord& record : survey_.histories) {
      const auto opened = parse_rfc3339(record.opened);
      if (opened)
        evidence_.known_since = std::min(evidence_.known_since.value_or(*opened), *opened);
    }
    evidence_.backups = survey_.backups;
    if (look_.options.depth == EvidenceDepth::kDoctor) look_at_rights();
    if (!evidence_.registered) return;
    choose_history();
    find_last_good();
    list_unfinished();
    look_at_wal();
    if (look_.drills == ProofsOfDrills::kLookFor) {
      evidence_.drills = proven_drills(*opened_, evidence_.name, evidence_.backups, stop_);
    }
    if (look_.options.depth == EvidenceDepth::kDoctor) {
      find_deliberate();
      if (evidence_.retention) look_at_retention();
    }
  }

  // The history that the server writes; of one that cannot be asked, the newest.
  void choose_history() {
    history_ = newest_history(survey_.histories);
    session_.use(stop_, [&](const Session* session) {
      if (session == nullptr) return;
      const auto refused = looked_at([&] {
        history_ = history_to_write(survey_.histories, config_.cluster,
                                    identity_of(session->server(), host_name()),
                                    read_history_binding(config_.postgres.data_directory));
      });
      if (refused) {
        evidence_.writers.push_back(
            {"history", FindingLevel::kFailed, refused->message, refused->hint});
      }
    });
    line_ = line_of(survey_.histories, history_.name);
  }

  void find_last_good() {
    std::size_t looked = 0;
    for (auto entry = evidence_.backups.rbegin(); entry != evidence_.backups.rend(); ++entry) {
      if (entry->state == BackupState::kDamaged) evidence_.bad.push_back(entry->name.id.text);
      if (entry->state != BackupState::kCommitted || !is_on(line_, entry->outcome.info)) continue;
      if (++looked > kLookedForGood) return;
      entry->proof = last_proof(*opened_, entry->name, stop_);
      if (!speaks_against(entry->proof)) {
        evidence_.last_good = *entry;
        return;
      }
      evidence_.bad.push_back(entry->name.id.text);
    }
  }

  void find_deliberate() {
    const auto newest = std::ranges::find_if(
        evidence_.backups.rbegin(), evidence_.backups.rend(), [](const CatalogueEntry& entry) {
          const BackupInfo& info = entry.outcome.info;
          return entry.state == BackupState::kCommitted && !info.recovered &&
                 (!info.label.empty() || !info.reason.empty());
        });
    if (newest == evidence_.backups.rend()) return;
    evidence_.deliberate = *newest;
    evidence_.deliberate->proof = last_proof(*opened_, newest->name, stop_);
  }

  void list_unfinished() {
    for (const CatalogueEntry& entry : evidence_.backups) {
      if (entry.state != BackupState::kUnfinished) continue;
      UnfinishedBackup unfinished{.id = entry.name.id.text, .host = {}};
      if (const auto begin = read_begin(*opened_, entry.name, stop_)) {
        unfinished.host = begin->host;
        unfinished.pid = begin->pid;
        unfinished.started = begin->started;
      }
      const auto started = parse_rfc3339(unfinished.started);
      if (started && system_clock().now() - *started > kBackupTooLong) {
        unfinished.last_stored = last_stored(entry.name);
      }
      evidence_.unfinished.push_back(std::move(unfinished));
    }
  }

  std::optional<Timestamp> last_stored(const BackupName& backup) {
    std::optional<Timestamp> last;
    for_each_object(opened_->store(), names::backup_prefix(backup), stop_,
                    [&](const ObjectInfo& object) {
                      last = std::max(last.value_or(object.modified), object.modified);
                    });
    return last;
  }

  void look_at_wal() {
    const WalLine line = wal_line(config_.cluster, survey_.histories, history_.name);
    const auto timelines = timelines_of_line(survey_, line);
    if (timelines.empty()) return;
    TimelineId timeline = timelines.back();
    session_.use(stop_, [&](Session* session) {
      if (session == nullptr) return;
      const TimelineId now = session->timeline();
      if (std::ranges::count(timelines, now) > 0) timeline = now;
    });
    note_window(recoverable_line(*opened_, survey_, history_.name, timeline, {}, stop_));
    evidence_.dropped = dropped_wal(config_, *opened_, history_.name, stop_);
    if (evidence_.wal && rank_of(config_, look_.repository) == 0) look_for_writers();
  }

  void look_for_writers() {
    std::optional<TimelineId> written;
    session_.use(stop_, [&](Session* session) {
      if (session != nullptr && !session->in_recovery()) written = session->timeline();
    });
    if (!written) return;
    CheckFindings writers;
    check_other_writers(writers, {*opened_, history_, config_.cluster, *written}, stop_);
    for (CheckFinding& finding : writers.take()) evidence_.writers.push_back(std::move(finding));
  }

  void note_window(const RecoverableLine& line) {
    if (!line.intervals.empty()) {
      const RecoverableInterval& last = line.intervals.back();
      evidence_.window = WindowEvidence{
          .from = last.from.time,
          .to = last.to.time ? last.to.time : last.from.time,
          .to_is_exact = last.last_commit != RecoverableInterval::LastCommit::kUnknown,
          .to_lsn = last.to.lsn,
          .timeline = line.path.timelines.timeline};
    }
    for (const RecoveryGap& gap : line.gaps) {
      evidence_.gaps.push_back(
          {.from = gap.from.time,
           .to = gap.to ? gap.to->time : std::nullopt,
           .open = !gap.to,
           .missing = gap.missing_segments,
           .first_missing =
               gap.missing.empty() ? "" : segment_text(line.path, gap.missing.front().first)});
    }
    evidence_.unusable = line.unusable;
  }

  void look_at_rights() {
    CheckFindings findings;
    findings.look_at(evidence_.name);
    findings.attempt("repository rights",
                     [&] { check_rights(findings, *opened_, look_.repository, stop_); });
    for (CheckFinding& finding : findings.take()) {
      if (finding.level != FindingLevel::kOk) evidence_.rights.push_back(std::move(finding));
    }
  }

  // What the next `expire` would do says whether there was one lately.
  void look_at_retention() {
    RetentionEvidence state;
    state.trouble = looked_at([&] {
      const ExpireSurvey folders = survey_folders(*opened_, config_.cluster, stop_);
      const RetentionConfig& kept = look_.repository.retention;
      RetentionPolicy policy{.keep_last = kept.keep_last,
                             .daily = kept.daily,
                             .weekly = kept.weekly,
                             .monthly = kept.monthly,
                             .yearly = kept.yearly};
      if (kept.window.count() > 0) policy.window = kept.window;
      const PlanOptions options{
          .policy = policy, .zone = known(TimeZone::find(config_.timezone)), .grace = kept.grace};
      const ExpirePlan plan = plan_expire(*opened_, folders, survey_, options, stop_);
      for (const PlannedBackup& planned : plan.backups) {
        state.unmarked += planned.action == ExpireAction::kMark ? 1U : 0U;
        const BackupFolder* const folder = find_folder(folders, planned.name);
        const bool due = planned.action == ExpireAction::kDelete && folder != nullptr &&
                         folder->last_tombstone &&
                         folder->last_tombstone->written + kept.grace + kMarksMayWait < folders.now;
        state.overdue += due ? 1U : 0U;
      }
    });
    evidence_.retention_state = std::move(state);
  }

  const Config& config_;
  const RepositoryLook& look_;
  SharedSession& session_;
  const TimeLimit& limit_;
  const std::stop_token stop_;
  std::unique_ptr<Repository> opened_;
  ArchiveSurvey survey_;
  HistoryRecord history_;
  std::vector<LineStep> line_;
  RepositoryEvidence evidence_;
};

DrillEvidence drill_of(const ProofRecord& proof, const BackupName& backup,
                       const std::string& repository) {
  return {.time = parse_rfc3339(proof.time).value_or(Timestamp{}),
          .passed = proof.ok,
          .proven = proof.ok,
          .backup = backup.id.text,
          .repository = repository,
          .preset = proof.mode.starts_with(kCalendarMode) ? proof.mode.substr(kCalendarMode.size())
                                                          : std::string(),
          .recovery_point_seconds = proof.recovery_point_seconds,
          .failed = proof.damaged.empty() ? "" : proof.damaged.front()};
}

}  // namespace

RepositoryEvidence look_at_repository(const RepositoryLook& look, SharedSession& session,
                                      const TimeLimit& limit) {
  return Looking(look, session, limit).run();
}

std::vector<DrillEvidence> proven_drills(const Repository& repository, const std::string& name,
                                         const std::vector<CatalogueEntry>& backups,
                                         const std::stop_token& stop) {
  std::vector<BackupName> looked;
  for (auto entry = backups.rbegin(); entry != backups.rend(); ++entry) {
    if (entry->state == BackupState::kCommitted && looked.size() < kLookedForDrills) {
      looked.push_back(entry->name);
    }
  }
  std::vector<DrillEvidence> found;
  std::mutex mutex;
  parallel_for(looked.size(), kThreads, stop, [&](std::size_t i, const std::stop_token& inner) {
    const auto numbers = list_proofs(repository, looked[i], inner);
    std::set<std::string> modes;
    const std::size_t read = std::min(numbers.size(), kProofsRead);
    for (auto number = numbers.rbegin();
         number != numbers.rbegin() + static_cast<std::ptrdiff_t>(read); ++number) {
      ProofRecord proof;
      const auto trouble =
          looked_at([&] { proof = read_proof(repository, looked[i], *number, inner); });
      const bool is_drill = proof.mode == kDrillMode || proof.mode.starts_with(kCalendarMode);
      if (trouble || !is_drill || !modes.insert(proof.mode).second) continue;
      const std::lock_guard lock(mutex);
      found.push_back(drill_of(proof, looked[i], name));
    }
  });
  std::ranges::sort(found, {}, &DrillEvidence::time);
  return found;
}

}  // namespace holdfast
