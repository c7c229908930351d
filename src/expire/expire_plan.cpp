#include "expire/expire_plan.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "repository/proof.h"

namespace holdfast {
namespace {

ArchiveSurvey with_backups(const ArchiveSurvey& archive, const ExpireSurvey& survey,
                           bool (*wanted)(const BackupFolder&)) {
  ArchiveSurvey copy = archive;
  copy.backups.clear();
  for (const BackupFolder& folder : survey.folders) {
    if (!folder.counts() || !wanted(folder)) continue;
    copy.backups.push_back(
        {.name = folder.name,
         .state = folder.damage.empty() ? BackupState::kCommitted : BackupState::kDamaged,
         .outcome = folder.outcome,
         .damage = folder.damage,
         .proof = {}});
  }
  return copy;
}

// The policy applied to some of the backups.
class PolicyRun {
 public:
  PolicyRun(const Repository& repository, const ExpireSurvey& survey, ArchiveSurvey archive,
            const PlanOptions& options, const std::stop_token& stop)
      : repository_(repository), archive_(std::move(archive)), stop_(stop) {
    lines_ = lines_of_cluster(repository, archive_, stop);
    input_.policy = options.policy;
    input_.now = survey.now;
    input_.zone = options.zone;
    input_.known_bad = [this](std::size_t i) { return is_bad(i); };
    for (const CatalogueEntry& entry : archive_.backups) add_backup(survey, entry);
    for (const ClusterLine& line : lines_.lines) add_line(line);
    plan_ = plan_retention(input_);
  }
  PolicyRun(const PolicyRun&) = delete;
  PolicyRun& operator=(const PolicyRun&) = delete;

  const ClusterLines& lines() const { return lines_; }
  const RetentionPlan& plan() const { return plan_; }
  const ArchiveSurvey& archive() const { return archive_; }
  std::size_t index_of(const BackupName& name) const { return indexes_.at(key(name)); }
  const RetentionVerdict* verdict(const BackupName& name) const {
    const auto found = indexes_.find(key(name));
    return found == indexes_.end() ? nullptr : &plan_.verdicts.at(found->second);
  }
  bool has_good(const ClusterLine& line) {
    return std::ranges::any_of(line.backups,
                               [&](const BackupName& name) { return !is_bad(index_of(name)); });
  }
  bool is_bad(std::size_t index);

 private:
  static std::string key(const BackupName& name) { return names::backup_prefix(name); }
  void add_backup(const ExpireSurvey& survey, const CatalogueEntry& entry);
  void add_line(const ClusterLine& line);

  const Repository& repository_;
  const ArchiveSurvey archive_;
  const std::stop_token& stop_;
  ClusterLines lines_;
  RetentionInput input_;
  RetentionPlan plan_;
  std::map<std::string, std::size_t> indexes_;
  std::map<std::size_t, bool> bad_;
};

void PolicyRun::add_backup(const ExpireSurvey& survey, const CatalogueEntry& entry) {
  const BackupFolder* const folder = find_folder(survey, entry.name);
  const bool held = folder->hold && folder->hold->active(survey.now);
  indexes_.emplace(key(entry.name), input_.backups.size());
  input_.backups.push_back({.time = entry.outcome.info.stop_time,
                            .damaged = entry.state == BackupState::kDamaged,
                            .hold = held ? text_of(*folder->hold) : ""});
}

void PolicyRun::add_line(const ClusterLine& line) {
  RetentionLine added{.backups = {}, .live = line.live, .left = line.left};
  for (const BackupName& name : line.backups) added.backups.push_back(index_of(name));
  input_.lines.push_back(std::move(added));
}

// Found damaged by `verify`, or without the WAL that it needs.
bool PolicyRun::is_bad(std::size_t index) {
  const auto [at, added] = bad_.try_emplace(index, false);
  if (!added) return at->second;
  const BackupName& name = archive_.backups.at(index).name;
  at->second = std::ranges::find(lines_.unusable, name) != lines_.unusable.end();
  if (!at->second) {
    const auto proof = last_proof(repository_, name, stop_);
    at->second = proof && !proof->ok && proof->mode != "unreadable";
  }
  return at->second;
}

class ExpirePlanner {
 public:
  ExpirePlanner(const Repository& repository, const ExpireSurvey& survey,
                const ArchiveSurvey& archive, const PlanOptions& options,
                const std::stop_token& stop)
      : survey_(survey),
        options_(options),
        damaged_histories_(archive.damaged_histories),
        staying_(repository, survey,
                 with_backups(archive, survey,
                              [](const BackupFolder& folder) { return !folder.requested(); }),
                 options, stop),
        all_(repository, survey,
             with_backups(archive, survey, [](const BackupFolder&) { return true; }), options,
             stop) {}

  ExpirePlan plan();

 private:
  PlannedBackup planned(const BackupFolder& folder);
  void plan_marked(const BackupFolder& folder, PlannedBackup& planned) const;
  bool is_last_good(const BackupFolder& folder);
  void plan_reach();

  const ExpireSurvey& survey_;
  const PlanOptions& options_;
  const std::vector<std::string>& damaged_histories_;
  PolicyRun staying_;  // without those whose deletion was asked for
  PolicyRun all_;
  ExpirePlan plan_;
};

// Of a backup whose deletion was asked for: the newest good one of a live line that has no other.
bool ExpirePlanner::is_last_good(const BackupFolder& folder) {
  for (std::size_t i = 0; i < all_.lines().lines.size(); ++i) {
    const ClusterLine& line = all_.lines().lines[i];
    if (!line.live || std::ranges::find(line.backups, folder.name) == line.backups.end()) continue;
    const auto same = std::ranges::find_if(staying_.lines().lines, [&](const ClusterLine& other) {
      return other.history == line.history && other.timeline == line.timeline;
    });
    if (same != staying_.lines().lines.end() && staying_.has_good(*same)) continue;
    const auto newest =
        std::find_if(line.backups.rbegin(), line.backups.rend(),
                     [&](const BackupName& name) { return !all_.is_bad(all_.index_of(name)); });
    if (newest != line.backups.rend() && *newest == folder.name) return true;
  }
  return false;
}

void ExpirePlanner::plan_marked(const BackupFolder& folder, PlannedBackup& planned) const {
  planned.due = folder.marked_at() + options_.grace;
  if (survey_.now < *planned.due) {
    planned.action = ExpireAction::kWait;
    planned.waits_for = "the grace period";
  } else {
    planned.action = ExpireAction::kDelete;
  }
}

PlannedBackup ExpirePlanner::planned(const BackupFolder& folder) {
  PlannedBackup planned{.name = folder.name,
                        .action = ExpireAction::kKeep,
                        .reasons = {},
                        .requested = folder.requested(),
                        .waits_for = {},
                        .due = {},
                        .info = folder.info};
  if (folder.state == FolderState::kDeleting) {
    planned.action = ExpireAction::kDelete;
    return planned;
  }
  if (folder.state == FolderState::kUnsure) {
    planned.reasons.push_back({KeepWhy::kDamaged, "its tombstone cannot be read"});
    return planned;
  }
  const bool marked = folder.state == FolderState::kMarked;
  if (marked && folder.requested()) {
    if (folder.hold && folder.hold->active(survey_.now)) {
      planned.reasons.push_back({KeepWhy::kHeld, text_of(*folder.hold)});
    } else if (is_last_good(folder)) {
      planned.reasons.push_back({KeepWhy::kLastGood, {}});
    }
  } else if (const RetentionVerdict* const verdict = staying_.verdict(folder.name)) {
    planned.reasons = verdict->reasons;
  }
  if (!planned.reasons.empty()) {
    planned.action = marked ? ExpireAction::kWithdraw : ExpireAction::kKeep;
  } else if (marked) {
    plan_marked(folder, planned);
  } else {
    planned.action = ExpireAction::kMark;
    planned.due = survey_.now + options_.grace;
  }
  return planned;
}

void ExpirePlanner::plan_reach() {
  const auto& lines = staying_.lines().lines;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const ClusterLine& line = lines[i];
    std::optional<std::size_t> from = staying_.plan().reach_from.at(i);
    if (!from && line.live) {
      if (line.backups.empty()) {
        plan_.needed_whole.push_back(line.history);
        continue;
      }
      from = staying_.index_of(line.backups.front());
    }
    if (!from) continue;
    const BackupInfo& info = staying_.archive().backups.at(*from).outcome.info;
    plan_.reaches.push_back({.from = {.history = info.name.history,
                                      .start_lsn = info.start_lsn,
                                      .stop_lsn = info.stop_lsn,
                                      .standalone = info.standalone},
                             .line = line.steps});
    if (line.live) {
      plan_.window.push_back({line.history, line.timeline, info.name, info.stop_time});
    }
  }
}

ExpirePlan ExpirePlanner::plan() {
  for (const BackupFolder& folder : survey_.folders) {
    if (folder.is_backup) plan_.backups.push_back(planned(folder));
  }
  plan_reach();
  plan_.problems = staying_.lines().problems;
  if (!options_.policy.configured()) {
    plan_.wal_kept_because = "no retention policy is configured";
  } else if (!damaged_histories_.empty()) {
    plan_.wal_kept_because = damaged_histories_.front();
  } else if (!plan_.problems.empty()) {
    plan_.wal_kept_because = plan_.problems.front();
  }
  return std::move(plan_);
}

}  // namespace

std::string_view to_string(ExpireAction action) {
  switch (action) {
    case ExpireAction::kKeep:
      return "keep";
    case ExpireAction::kMark:
      return "mark";
    case ExpireAction::kWithdraw:
      return "withdraw";
    case ExpireAction::kWait:
      return "wait";
    case ExpireAction::kDelete:
      return "delete";
  }
  return "unknown";
}

ExpirePlan plan_expire(const Repository& repository, const ExpireSurvey& survey,
                       const ArchiveSurvey& archive, const PlanOptions& options,
                       const std::stop_token& stop) {
  return ExpirePlanner(repository, survey, archive, options, stop).plan();
}

}  // namespace holdfast
