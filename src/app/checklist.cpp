#include "app/checklist.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "app/drill_preset.h"
#include "core/counted.h"
#include "core/known.h"
#include "core/text.h"
#include "system/time_zone.h"

namespace holdfast {
namespace {

using Answer = ChecklistLine::Answer;

constexpr int kDaysInARow = 3;
// Targets of drills that are no point in time (restore/recovery_target.h, app/drill.cpp).
constexpr std::string_view kToTheEnd = "the end of";

std::string since(Timestamp now, Timestamp then) {
  return then >= now ? "just now" : human_duration(now - then) + " ago";
}

// Answers the lines one after another. Each function makes one.
class Answering {
 public:
  Answering(const Config& config, const ChecklistEvidence& all)
      : config_(config), all_(all), evidence_(all.evidence) {
    for (const RepositoryEvidence& repository : evidence_.repositories) {
      if (repository.first) first_ = &repository;
    }
  }

  ChecklistLine automated_backups() const {
    ChecklistLine line{.code = "automated_backups",
                       .question = "Automated backups are configured and run"};
    if (first_ == nullptr || !first_->last_good) {
      return no(line, "there is no good backup", "'holdfast backup', then a timer for it.");
    }
    const Timestamp end = first_->last_good->outcome.info.stop_time;
    const std::string last = "the last good backup ended " + since(evidence_.now, end);
    if (evidence_.now - end > backup_limits(config_, end).overdue) {
      return no(line, last, "Let a timer run 'holdfast backup': 'holdfast units' writes one.");
    }
    if (evidence_.server.trouble) {
      return no(line, last + "; PostgreSQL cannot be asked about archiving", "'holdfast doctor'");
    }
    const ArchiverEvidence& archiver = evidence_.server.archiver;
    if (!evidence_.server.standby && (!archiver.on || archiver.failing())) {
      return no(line, last + "; but WAL is not archived", "'holdfast doctor'");
    }
    return yes(line, last + "; WAL is archived");
  }

  // Days of the configured zone, of which the last may be today or yesterday.
  ChecklistLine three_days() const {
    ChecklistLine line{.code = "three_days",
                       .question = "Backups succeeded on three days in a row"};
    std::set<std::chrono::sys_days> days;
    if (first_ != nullptr) {
      for (const CatalogueEntry& backup : first_->backups) {
        if (backup.state != BackupState::kCommitted || is_bad(backup)) continue;
        days.insert(day_of(backup.outcome.info.stop_time));
      }
    }
    int in_a_row = 0;
    if (!days.empty() && *days.rbegin() >= day_of(evidence_.now) - std::chrono::days(1)) {
      auto day = *days.rbegin();
      for (; days.contains(day); day -= std::chrono::days(1)) ++in_a_row;
    }
    const std::string seen =
        counted(static_cast<std::uint64_t>(in_a_row), "day") + " in a row until now";
    if (in_a_row >= kDaysInARow) return yes(line, seen);
    return no(line, seen, "Wait until there are three; 'holdfast list' shows them.");
  }

  ChecklistLine manual_backup() const {
    ChecklistLine line{.code = "manual_backup",
                       .question = "A backup was taken by hand, and verified"};
    if (first_ == nullptr || !first_->deliberate) {
      return no(line, "no backup has a name or a reason",
                "'holdfast backup --reason \"before a deploy\"', then 'holdfast verify latest'.");
    }
    const CatalogueEntry& backup = *first_->deliberate;
    const std::string& id = backup.name.id.text;
    if (!backup.proof) {
      return no(line, id + " was, and not verified", fmt::format("'holdfast verify {}'", id));
    }
    if (!backup.proof->ok) return no(line, id + " was found damaged", "'holdfast doctor'");
    return yes(line,
               fmt::format("{}, {} verified at {}", id, backup.proof->mode, backup.proof->time));
  }

  ChecklistLine point_in_time() const {
    ChecklistLine line{.code = "point_in_time",
                       .question = "Recovery to a point in time was tested"};
    for (auto drill = evidence_.machine.drills.rbegin(); drill != evidence_.machine.drills.rend();
         ++drill) {
      const bool to_a_point = !drill->target.empty() && !drill->target.starts_with(kToTheEnd);
      if (!to_a_point || !drill->proven || !counts(drill->time)) continue;
      return yes(line, fmt::format("a drill of {} to {} passed {}", drill->backup, drill->target,
                                   since(evidence_.now, drill->time)));
    }
    for (const RecoveryView& view : evidence_.machine.recoveries) {
      const auto& verdict = view.record.verdict;
      if (!verdict || !verdict->passed ||
          view.record.target.kind == RecoveryTarget::Kind::kLatest) {
        continue;
      }
      return yes(line, fmt::format("recovery {} to {} passed its checks at {}", view.record.name,
                                   to_string(view.record.target), verdict->time));
    }
    return no(line, "no such drill passed in the last three months",
              "'holdfast drill --target-time random'");
  }

  ChecklistLine full_restore() const {
    ChecklistLine line{.code = "full_restore", .question = "A whole restore was tested"};
    const DrillEvidence* const drill = last_drill();
    if (drill == nullptr || !counts(drill->time)) {
      return no(line, "there was no drill in the last three months", "'holdfast drill'");
    }
    const std::string seen = fmt::format("the last drill, of {}, was {}", drill->backup,
                                         since(evidence_.now, drill->time));
    if (!drill->proven)
      return no(line, seen + " and failed: " + drill->failed, "'holdfast doctor'");
    return yes(line, seen + ", and the backup came back");
  }

  ChecklistLine recovery_time() const {
    return measured(
        {.code = "recovery_time",
         .question = "The time of a recovery was measured, and is within the objective"},
        config_.objectives.recovery_time, &DrillEvidence::recovery_seconds);
  }
  ChecklistLine recovery_point() const {
    return measured({.code = "recovery_point",
                     .question = "What a recovery loses was measured, and is within the objective"},
                    config_.objectives.recovery_point, &DrillEvidence::recovery_point_seconds);
  }

  ChecklistLine monthly_drill() const {
    ChecklistLine line{.code = "monthly_drill", .question = "A drill is done every month"};
    const auto& drills = evidence_.machine.drills;
    const DrillEvidence* const last = last_drill();
    if (last == nullptr || evidence_.now - last->time > kDrillOverdue) {
      return no(
          line,
          last == nullptr ? "there was none" : "the last was " + since(evidence_.now, last->time),
          "Let a timer run 'holdfast drill' every month.");
    }
    const bool before = std::ranges::any_of(drills, [&](const DrillEvidence& drill) {
      return last->time - drill.time > std::chrono::days(20) &&
             last->time - drill.time <= kDrillOverdue;
    });
    if (before) return yes(line, "the last two were a month apart");
    return confirmed(line, "there was one, " + since(evidence_.now, last->time) +
                               "; whether a next one is scheduled is not seen");
  }

  ChecklistLine quarterly_drill() const {
    return rare_drill({.code = "quarterly_drill",
                       .question = "Each quarter everything is recovered with nothing but the "
                                   "repositories"},
                      "quarterly", kQuarterlyDrillOverdue);
  }
  ChecklistLine yearly_drill() const {
    ChecklistLine line{.code = "yearly_drill",
                       .question = "Each year the cold repository alone brings a backup back"};
    if (cold_repository(config_) == nullptr) return yes(line, "no repository is cold");
    return rare_drill(line, "yearly", kYearlyDrillOverdue);
  }

  ChecklistLine key_elsewhere() const {
    ChecklistLine line{.code = "key_elsewhere",
                       .question = "A key is kept where this machine's end does not reach it"};
    const auto encrypted =
        std::ranges::count_if(evidence_.repositories, &RepositoryEvidence::encrypted);
    if (encrypted == 0) return yes(line, "nothing is encrypted: there is no key to lose");
    std::string others;
    for (const KeyList& keys : all_.keys) {
      const auto other = std::ranges::find(keys.slots, false, &KeySlotView::configured);
      if (other == keys.slots.end()) continue;
      others +=
          fmt::format("{}{} also opens with {} ({})", others.empty() ? "" : "; ", keys.repository,
                      other->label.empty() ? other->id : other->label, other->kind);
    }
    // A second key that is not this machine's is somewhere; that it is safe there, people know.
    return confirmed(line, others.empty() ? "no other key opens the repositories" : others);
  }

  ChecklistLine by_people(std::string code, std::string question) const {
    return confirmed({.code = std::move(code), .question = std::move(question)},
                     "no evidence can tell");
  }

  ChecklistLine nothing_wrong() const {
    ChecklistLine line{.code = "nothing_wrong", .question = "Nothing is wrong now"};
    const auto wrong = std::ranges::count_if(all_.findings, [](const Finding& finding) {
      return finding.severity != ProblemSeverity::kNotice;
    });
    if (wrong == 0) return yes(line, "'holdfast doctor' finds nothing");
    return no(
        line,
        fmt::format("{}, the first: {}", counted(static_cast<std::uint64_t>(wrong), "finding"),
                    all_.findings.front().title),
        "'holdfast doctor'");
  }

 private:
  static ChecklistLine yes(ChecklistLine line, std::string because) {
    line.answer = Answer::kYes;
    line.because = std::move(because);
    return line;
  }
  static ChecklistLine no(ChecklistLine line, std::string because, std::string remedy) {
    line.answer = Answer::kNo;
    line.because = std::move(because);
    line.remedy = std::move(remedy);
    return line;
  }
  // Yes where somebody said so within the year.
  ChecklistLine confirmed(ChecklistLine line, std::string seen) const {
    line.because = std::move(seen);
    line.remedy = fmt::format("Confirm: 'holdfast checklist --attest {} --by NAME'", line.code);
    const auto found = std::ranges::find(all_.attestations, line.code, &Attestation::line);
    if (found == all_.attestations.end()) return line;
    const auto time = parse_rfc3339(found->time);
    line.because += fmt::format("; {} confirmed it at {}{}", found->by, found->time,
                                found->note.empty() ? "" : ": " + found->note);
    if (!time || evidence_.now - *time > kAttestationHolds) {
      line.because += ", more than a year ago";
      return line;
    }
    line.attested = *found;
    line.remedy.clear();
    line.answer = Answer::kYes;
    return line;
  }

  ChecklistLine measured(const ChecklistLine& line, std::chrono::milliseconds objective,
                         std::optional<double> DrillEvidence::* seconds) const {
    const std::string key = "objectives." + line.code;
    if (objective.count() == 0) {
      return no(line, "there is no objective", fmt::format("Set {} in the configuration.", key));
    }
    const auto& drills = evidence_.machine.drills;
    const auto drill = std::ranges::find_if(drills.rbegin(), drills.rend(), [&](const auto& each) {
      return (each.*seconds).has_value();
    });
    if (drill == drills.rend() || !counts(drill->time)) {
      return no(line, "no drill measured it in the last three months", "'holdfast drill'");
    }
    const Seconds taken(known((*drill).*seconds));
    const std::string seen =
        fmt::format("{}, measured {}; the objective is {}", human_duration(taken),
                    since(evidence_.now, drill->time), human_duration(objective));
    if (taken <= objective) return yes(line, seen);
    return no(line, seen, "The drill's report has the times of restore and replay apart.");
  }

  ChecklistLine rare_drill(ChecklistLine line, std::string_view preset,
                           std::chrono::days overdue) const {
    const DrillEvidence* const last = last_proven(config_, evidence_, preset);
    const bool lately = last != nullptr && evidence_.now - last->time <= overdue;
    if (!lately && !evidence_.machine.knows_rare_drills) {
      // It may be proven where nobody could look.
      line.because = "not every repository could be looked at, and no other proves it";
      line.remedy = "'holdfast doctor' says which and why; then ask again.";
      return line;
    }
    const std::string remedy =
        fmt::format("'holdfast drill --preset {}'; 'holdfast units' has a timer for it.", preset);
    if (last == nullptr) return no(std::move(line), "none brought its backup back", remedy);
    const std::string seen =
        fmt::format("one of {} brought it back {}", last->backup, since(evidence_.now, last->time));
    if (!lately) return no(std::move(line), seen, remedy);
    return yes(std::move(line), seen);
  }

  bool counts(Timestamp drill) const { return evidence_.now - drill <= kDrillCounts; }
  const DrillEvidence* last_drill() const {
    return evidence_.machine.drills.empty() ? nullptr : &evidence_.machine.drills.back();
  }
  bool is_bad(const CatalogueEntry& backup) const {
    return std::ranges::find(first_->bad, backup.name.id.text) != first_->bad.end();
  }
  std::chrono::sys_days day_of(Timestamp time) const {
    const TimeZone zone = TimeZone::find(config_.timezone).value_or(TimeZone::utc());
    return std::chrono::floor<std::chrono::days>(time + zone.offset_at(time));
  }

  const Config& config_;
  const ChecklistEvidence& all_;
  const Evidence& evidence_;
  const RepositoryEvidence* first_ = nullptr;
};

}  // namespace

std::string_view to_string(ChecklistLine::Answer answer) {
  static constexpr std::array<std::string_view, 3> kWords{"yes", "no", "not known"};
  return kWords.at(static_cast<std::size_t>(answer));
}

std::vector<ChecklistLine> answer_checklist(const Config& config,
                                            const ChecklistEvidence& evidence) {
  const Answering answering(config, evidence);
  return {answering.automated_backups(),
          answering.three_days(),
          answering.manual_backup(),
          answering.point_in_time(),
          answering.full_restore(),
          answering.by_people("restore_documented", "How to restore is written down for this site"),
          answering.recovery_time(),
          answering.recovery_point(),
          answering.by_people("team", "The team is trained in backup and recovery"),
          answering.by_people("runbook", "The on-call runbook says how to recover"),
          answering.monthly_drill(),
          answering.quarterly_drill(),
          answering.yearly_drill(),
          answering.key_elsewhere(),
          answering.nothing_wrong()};
}

}  // namespace holdfast
