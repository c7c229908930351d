#include "restore/recovery_plan.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "repository/recoverable_window.h"
#include "repository/thaw.h"
#include "restore/recovery_line.h"
#include "restore/recovery_search.h"
#include "restore/xid_epoch.h"

namespace holdfast {
namespace {

using Interval = RecoverableInterval;
using Kind = RecoveryTarget::Kind;
using LastCommit = Interval::LastCommit;

[[noreturn]] void refuse(const RecoveryTarget& target, std::string message, std::string hint) {
  throw Error(ErrorKind::kRefused, std::move(message),
              {.object = to_string(target), .hint = std::move(hint)});
}

std::string text_of(const WalPoint& point) {
  if (!point.time) return to_string(point.lsn);
  return fmt::format("{} ({})", to_rfc3339(*point.time), to_string(point.lsn));
}

// What a user can do instead.
std::string nearest_hint(const Interval* before, const Interval* after) {
  std::string hint = "Nearest reachable: ";
  if (before != nullptr) hint += text_of(before->to);
  if (after != nullptr) hint += (before != nullptr ? " before it, " : "") + text_of(after->from);
  if (after != nullptr && before != nullptr) hint += " behind it";
  return hint + ". 'holdfast window' shows all that can be recovered.";
}

class TimelinePlanner {
 public:
  TimelinePlanner(const RecoveryTarget& target, RecoverableLine line,
                  const std::optional<CatalogueEntry>& wanted)
      : target_(target), line_(std::move(line)) {
    if (wanted) {
      keep_only(*wanted);
    } else if (line_.intervals.empty()) {
      refuse_without_backup();
    }
  }

  const WalPath& path() const { return line_.path; }

  RecoveryPlan plan(const Repository& repository, const std::stop_token& stop) {
    switch (target_.kind) {
      case Kind::kLatest:
        return to_latest();
      case Kind::kImmediate:
        return to_backup_end();
      case Kind::kTime:
        return to_time();
      case Kind::kLsn:
        return to_lsn();
      case Kind::kXid:
      case Kind::kName:
        break;
    }
    return to_named(repository, stop);
  }

 private:
  std::string path_text() const {
    return fmt::format("timeline {} of history {}", line_.path.timelines.timeline.value,
                       to_string(line_.path.line.steps.front().history));
  }

  void keep_only(const CatalogueEntry& wanted) {
    for (Interval& interval : line_.intervals) {
      const auto found = std::ranges::find(interval.backups, wanted.name, &UsableBackup::name);
      if (found == interval.backups.end()) continue;
      Interval narrowed = interval;
      narrowed.backups = {*found};
      narrowed.from = {found->stop_lsn, found->stop_time};
      behind_wanted_ = &interval != &line_.intervals.back() || !line_.gaps.empty();
      // Gaps in front of the interval do not concern this backup.
      std::erase_if(line_.gaps,
                    [&](const RecoveryGap& gap) { return gap.from.lsn < narrowed.from.lsn; });
      line_.intervals = {narrowed};
      return;
    }
    for (const UnusableBackup& backup : line_.unusable) {
      if (!(backup.name == wanted.name)) continue;
      refuse(target_,
             fmt::format("backup {} cannot be recovered: {}", wanted.name.id.text, backup.reason),
             "Choose another backup: 'holdfast window' shows which ones can be recovered.");
    }
    refuse(target_,
           fmt::format("backup {} is not on the way to {}", wanted.name.id.text, path_text()),
           "Leave the backup out to have one chosen, or recover along its own timeline with "
           "--target-timeline current.");
  }

  [[noreturn]] void refuse_without_backup() const {
    std::string why = fmt::format("there is no backup from which {} can be reached", path_text());
    if (!line_.unusable.empty()) {
      const UnusableBackup& last = line_.unusable.back();
      why += fmt::format("; {}: {}", last.name.id.text, last.reason);
    }
    refuse(target_, why,
           "'holdfast window' shows what can be recovered, 'holdfast list' the "
           "backups of all histories.");
  }

  RecoveryPlan make(const Interval& interval, const UsableBackup& backup,
                    std::optional<WalPoint> point) {
    RecoveryPlan plan{.backup = {.name = backup.name},
                      .history = line_.path.line.steps.front().history,
                      .timeline = line_.path.timelines.timeline,
                      .interval = interval,
                      .point = point,
                      .needs_archive = interval.reach == Interval::Reach::kArchive,
                      .warnings = std::move(warnings_)};
    return plan;
  }

  // The newest backup that ends at or before a point; the caller knows that there is one.
  template <class Ends>
  static const UsableBackup& newest(const Interval& interval, Ends ends_in_time) {
    const UsableBackup* best = &interval.backups.front();
    for (const UsableBackup& backup : interval.backups) {
      if (ends_in_time(backup)) best = &backup;
    }
    return *best;
  }

  // The last interval that begins at or before the target, or nullptr.
  template <class Begins>
  const Interval* last_begun(Begins begins) const {
    const Interval* last = nullptr;
    for (const Interval& interval : line_.intervals) {
      if (begins(interval)) last = &interval;
    }
    return last;
  }
  const Interval* next_of(const Interval& interval) const {
    const Interval* next = &interval + 1;
    return next == line_.intervals.data() + line_.intervals.size() ? nullptr : next;
  }
  const RecoveryGap* gap_behind(const Interval& interval) const {
    const auto found = std::ranges::find_if(
        line_.gaps, [&](const RecoveryGap& gap) { return gap.from.lsn == interval.to.lsn; });
    return found == line_.gaps.end() ? nullptr : &*found;
  }

  std::string missing_text(const RecoveryGap& gap) const {
    if (gap.missing.empty()) return "WAL is missing";
    const std::string first = segment_text(line_.path, gap.missing.front().first);
    if (gap.missing_segments == 1) return first + " is missing";
    return fmt::format("{} WAL segments are missing, from {} on", gap.missing_segments, first);
  }

  [[noreturn]] void refuse_before(const Interval& first) const {
    const UsableBackup& backup = first.backups.front();
    refuse(target_,
           fmt::format("the target lies before the end of {} backup {}, the earliest point that "
                       "can be recovered",
                       behind_wanted_ || line_.intervals.size() > 1 ? "" : "the first",
                       backup.name.id.text),
           nearest_hint(nullptr, &first));
  }

  [[noreturn]] void refuse_in_gap(const Interval& before, const RecoveryGap& gap) const {
    const Interval* after = next_of(before);
    refuse(target_,
           fmt::format("the target lies in a gap behind {}: {}", text_of(before.to),
                       missing_text(gap)),
           nearest_hint(&before, after));
  }

  RecoveryPlan to_latest() {
    const Interval& last = line_.intervals.back();
    // A cluster that archives no WAL has standalone backups, and each is an end of its own.
    const bool nothing_archived = line_.path.runs.empty();
    if (const RecoveryGap* gap = gap_behind(last); gap != nullptr && !nothing_archived) {
      refuse(target_,
             fmt::format("the end of the archive cannot be reached: {}", missing_text(*gap)),
             last.reach == Interval::Reach::kOwnEnd
                 ? "Recover to the end of the backup with --target-immediate."
                 : fmt::format("Name a target that can be reached, at the latest {}, for example "
                               "with --target-time or --target-lsn.",
                               text_of(last.to)));
    }
    return make(last, last.backups.back(), last.to);
  }

  RecoveryPlan to_backup_end() {
    const Interval& last = line_.intervals.back();
    const UsableBackup& backup = last.backups.back();
    return make(last, backup, WalPoint{backup.stop_lsn, backup.stop_time});
  }

  bool reaches_time(const Interval& interval) {
    if (interval.reach == Interval::Reach::kOwnEnd) return false;
    const auto& last = interval.to.time;
    const bool exclusive = target_.stop == RecoveryTarget::Stop::kExclusive;
    if (last && (target_.time < *last || (exclusive && target_.time == *last))) return true;
    if (interval.last_commit != LastCommit::kUnknown) return false;
    warnings_.push_back(
        fmt::format("WAL segments at the end of what can be recovered ({}) have no index: whether "
                    "a transaction finished after {} could not be checked",
                    to_string(interval.to.lsn), to_rfc3339(target_.time)));
    return true;
  }

  [[noreturn]] void refuse_after_last_commit(const Interval& last) const {
    if (last.reach == Interval::Reach::kOwnEnd) {
      refuse(target_,
             fmt::format("no WAL is archived behind backup {}: only its end can be recovered",
                         last.backups.back().name.id.text),
             "Recover to the end of the backup: leave the target out.");
    }
    refuse(target_,
           last.to.time
               ? fmt::format("the last archived transaction finished at {}: PostgreSQL stops at a "
                             "time only when it finds a later one",
                             to_rfc3339(*last.to.time))
               : fmt::format("no transaction that finished behind backup {} is archived",
                             last.backups.back().name.id.text),
           "If the server still runs, have it archive what it has: run 'SELECT pg_switch_wal()', "
           "wait until the segment is in the repository, and try again. To recover all that is "
           "archived, leave the target out.");
  }

  RecoveryPlan to_time() {
    const Interval* interval =
        last_begun([&](const Interval& i) { return *i.from.time <= target_.time; });
    if (interval == nullptr) refuse_before(line_.intervals.front());
    if (!reaches_time(*interval)) {
      if (const RecoveryGap* gap = gap_behind(*interval)) refuse_in_gap(*interval, *gap);
      refuse_after_last_commit(*interval);
    }
    const UsableBackup& backup =
        newest(*interval, [&](const UsableBackup& b) { return b.stop_time <= target_.time; });
    return make(*interval, backup, std::nullopt);
  }

  RecoveryPlan to_lsn() {
    const Interval* interval =
        last_begun([&](const Interval& i) { return i.from.lsn <= target_.lsn; });
    if (interval == nullptr) refuse_before(line_.intervals.front());
    const bool known = interval->last_record.valid();
    const Lsn last = known ? interval->last_record : interval->to.lsn;
    const bool own_end = interval->reach == Interval::Reach::kOwnEnd;
    if (own_end || target_.lsn > last) {
      if (const RecoveryGap* gap = gap_behind(*interval)) refuse_in_gap(*interval, *gap);
      refuse(target_,
             own_end ? fmt::format("no WAL is archived behind {}", to_string(interval->to.lsn))
                     : fmt::format("the last archived record begins at {}", to_string(last)),
             "If the server still runs, have it archive what it has: run 'SELECT "
             "pg_switch_wal()', wait until the segment is in the repository, and try again. To "
             "recover all that is archived, leave the target out.");
    }
    if (!known) {
      warnings_.push_back(fmt::format(
          "the last archived WAL segment has no index: whether a record follows {} could not be "
          "checked",
          to_string(target_.lsn)));
    }
    const UsableBackup& backup =
        newest(*interval, [&](const UsableBackup& b) { return b.stop_lsn <= target_.lsn; });
    return make(*interval, backup, WalPoint{target_.lsn, {}});
  }

  // From the first backup's start on, because PostgreSQL takes what it meets there for the target.
  std::vector<SegmentRange> searched_ranges() const {
    std::vector<SegmentRange> ranges;
    for (const Interval& interval : line_.intervals) {
      if (interval.reach == Interval::Reach::kOwnEnd) continue;
      const std::uint64_t first = interval.backups.front().start_lsn.value;
      ranges.push_back({first / line_.path.segment_size().bytes, interval.segments.last});
    }
    return ranges;
  }

  RecoveryPlan to_named(const Repository& repository, const std::stop_token& stop) {
    const SearchSpace space{repository, line_.path, searched_ranges()};
    const TargetSearch search = target_.kind == Kind::kXid
                                    ? find_transaction(space, target_.xid, stop)
                                    : find_restore_point(space, target_.name, stop);
    if (search.found.empty() && search.unchecked == 0) refuse_unknown(search);
    if (search.found.empty()) return to_unchecked(search);
    if (search.found.size() > 1) refuse_ambiguous(search);
    return to_found(search.found.front());
  }

  [[noreturn]] void refuse_unknown(const TargetSearch& search) const {
    const bool xid = target_.kind == Kind::kXid;
    std::string message = fmt::format(
        "the archive of {} has no {}", path_text(),
        xid ? fmt::format("end of a transaction {}", target_.xid) : "restore point of this name");
    std::string hint;
    for (const std::string& point : search.nearest) {
      hint += (hint.empty() ? "Nearest: " : ", ") + point;
    }
    if (!hint.empty()) hint += ". ";
    if (xid) hint += "A transaction that wrote nothing has no id, and one that still runs no end. ";
    hint +=
        "If it is newer than the archive, have the server run 'SELECT pg_switch_wal()' and wait "
        "until the segment is in the repository.";
    refuse(target_, std::move(message), std::move(hint));
  }

  [[noreturn]] void refuse_ambiguous(const TargetSearch& search) const {
    std::string places;
    for (const TargetOccurrence& found : search.found) {
      places += (places.empty() ? "" : ", ") + text_of({found.end, found.time});
    }
    refuse(target_,
           fmt::format("the target is in the archive {}{} times: {}",
                       search.found.size() == kMaxOccurrences ? "at least " : "",
                       search.found.size(), places),
           "PostgreSQL would stop at the first that it meets. Say which one you mean with "
           "--target-lsn or --target-time, or name a backup that begins behind the others.");
  }

  RecoveryPlan to_unchecked(const TargetSearch& search) {
    warnings_.push_back(fmt::format(
        "{} WAL segments have no complete index: whether the archive has this target could not be "
        "checked",
        search.unchecked));
    const Lsn doubt{search.first_unchecked * line_.path.segment_size().bytes};
    const Interval* interval = last_begun([&](const Interval& i) {
      return i.reach == Interval::Reach::kArchive && i.from.lsn <= doubt;
    });
    if (interval == nullptr) {
      interval = &*std::ranges::find(line_.intervals, Interval::Reach::kArchive, &Interval::reach);
    }
    const UsableBackup& backup =
        newest(*interval, [&](const UsableBackup& b) { return b.stop_lsn <= doubt; });
    return make(*interval, backup, std::nullopt);
  }

  RecoveryPlan to_found(const TargetOccurrence& found) {
    const Interval* interval =
        last_begun([&](const Interval& i) { return i.from.lsn <= found.start; });
    if (interval == nullptr) refuse_before(line_.intervals.front());
    if (found.start >= interval->to.lsn) {
      if (const RecoveryGap* gap = gap_behind(*interval)) refuse_in_gap(*interval, *gap);
    }
    const UsableBackup& backup =
        newest(*interval, [&](const UsableBackup& b) { return b.stop_lsn <= found.start; });
    if (found.outcome == FinishedTransaction::Outcome::kAborted) {
      warnings_.push_back(fmt::format("transaction {} was rolled back", target_.xid));
    }
    return make(*interval, backup, WalPoint{found.end, found.time});
  }

  const RecoveryTarget& target_;
  RecoverableLine line_;
  bool behind_wanted_ = false;
  std::vector<std::string> warnings_;
};

class Planner {
 public:
  Planner(const Repository& repository, const RecoveryPlanRequest& request, ArchiveSurvey survey,
          std::stop_token stop)
      : repository_(repository),
        request_(request),
        survey_(std::move(survey)),
        stop_(std::move(stop)) {}

  RecoveryPlan plan() {
    if (survey_.histories.empty()) {
      throw Error(ErrorKind::kNotFound,
                  fmt::format("the repository holds no cluster '{}'", survey_.cluster),
                  {.object = repository_.store().describe(),
                   .hint = "Is this the right repository and cluster name?"});
    }
    line_ = choose_recovery_line(repository_, survey_, request_, stop_);
    std::optional<Error> first_failure;
    for (const TimelineId timeline : line_.timelines) {
      try {
        return plan_on(timeline);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kRefused) throw;
        if (!first_failure) first_failure = error;
      }
    }
    if (first_failure) throw *first_failure;
    refuse(request_.target, fmt::format("history {} has no backup yet", to_string(line_.history)),
           "'holdfast list' shows the backups of all histories.");
  }

 private:
  RecoveryPlan plan_on(TimelineId timeline) {
    TimelinePlanner planner(request_.target,
                            recoverable_line(repository_, survey_, line_.history, timeline,
                                             {.max_heads = kMaxHeadsForPlan}, stop_),
                            line_.wanted);
    RecoveryPlan plan = planner.plan(repository_, stop_);
    const auto entry = std::ranges::find(survey_.backups, plan.backup.name, &CatalogueEntry::name);
    HF_INVARIANT(entry != survey_.backups.end());
    plan.backup = *entry;
    plan.new_tablespaces = plan.backup.outcome.info.tablespaces_made;
    if (plan.needs_archive) look_for_tablespaces(planner.path(), plan);
    if (!line_.wanted) mind_damaged_backups(plan);
    if (request_.target.xid_epoch && plan.point) check_epoch(plan);
    plan.warnings.insert(plan.warnings.begin(), line_.warnings.begin(), line_.warnings.end());
    plan.warnings.insert(plan.warnings.begin(), survey_.damaged_histories.begin(),
                         survey_.damaged_histories.end());
    return plan;
  }

  void look_for_tablespaces(const WalPath& path, RecoveryPlan& plan) const {
    const BackupInfo& backup = plan.backup.outcome.info;
    const std::uint64_t size = path.segment_size().bytes;
    ReplayRange replayed{.begin = backup.start_lsn,
                         .end = plan.point ? plan.point->lsn : plan.interval.to.lsn};
    if (request_.target.kind == Kind::kTime) replayed.time = request_.target.time;
    replayed.end = std::max(replayed.end, backup.stop_lsn);
    const SegmentRange range{backup.start_lsn.value / size, (replayed.end.value - 1) / size};
    TablespaceSearch found;
    try {
      found =
          find_new_tablespaces({repository_, path, {range}}, replayed, request_.progress, stop_);
    } catch (const Error& error) {  // what is frozen is no reason to plan nothing
      if (!is_about_frozen(repository_, error, stop_)) throw;
      found.unchecked = range.last - range.first + 1;
      plan.frozen_for_tablespaces = true;
    }
    plan.unchecked_for_tablespaces = found.unchecked;
    plan.damage_for_tablespaces = found.damage;
    for (const std::string& location : found.locations) {
      if (std::ranges::count(plan.new_tablespaces, location) == 0) {
        plan.new_tablespaces.push_back(location);
      }
    }
    if (found.unchecked == 0) return;
    plan.warnings.push_back(fmt::format(
        "of {} WAL segments it is not known whether they make tablespaces: replay would "
        "make them in the same places here",
        found.unchecked));
  }

  // WAL has the lower half of a transaction's id only; PostgreSQL would stop at it in any epoch.
  void check_epoch(RecoveryPlan& plan) const {
    const RecoveryTarget& target = request_.target;
    const auto found = full_xid(repository_, plan.backup, target.xid, stop_);
    if (!found) {
      plan.warnings.push_back(
          fmt::format("whether transaction {} is of epoch {} could not be checked", target.xid,
                      *target.xid_epoch));
    } else if (*found >> 32U != *target.xid_epoch) {
      refuse(target,
             fmt::format("the archive has a transaction {} of epoch {}, not of epoch {}",
                         target.xid, *found >> 32U, *target.xid_epoch),
             fmt::format("If that one is meant: --target-xid {}.", *found));
    }
  }

  // A newer backup whose commit record is damaged is not passed over without a word. Archived WAL
  // reaches the same target from the older one; without it, that would be an older state.
  void mind_damaged_backups(RecoveryPlan& plan) const {
    for (const CatalogueEntry& entry : survey_.backups) {
      if (entry.state != BackupState::kDamaged || entry.name.id <= plan.backup.name.id) continue;
      if (!plan.needs_archive) {
        throw Error(
            ErrorKind::kDamage, fmt::format("the newest backup is damaged: {}", entry.damage),
            {.object = names::outcome(entry.name),
             .hint = fmt::format("Name an older one to restore it: backup {} is good as far "
                                 "as its commit record says.",
                                 plan.backup.name.id.text)});
      }
      plan.warnings.push_back(fmt::format("backup {} is damaged and was passed over: {}",
                                          entry.name.id.text, entry.damage));
    }
  }

  const Repository& repository_;
  const RecoveryPlanRequest& request_;
  const ArchiveSurvey survey_;
  const std::stop_token stop_;
  RecoveryLine line_;
};

}  // namespace

RecoveryPlan plan_recovery(const Repository& repository, const std::string& cluster,
                           const RecoveryPlanRequest& request, const std::stop_token& stop) {
  return Planner(repository, request, survey_archive(repository, cluster, stop), stop).plan();
}

}  // namespace holdfast
