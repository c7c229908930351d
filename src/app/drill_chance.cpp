#include "app/drill_chance.h"

#include <random>

#include "app/open.h"
#include "app/restore.h"
#include "core/error.h"
#include "core/known.h"
#include "restore/reachable_times.h"
#include "restore/recovery_line.h"

namespace holdfast {
namespace {

using Kind = RecoveryTarget::Kind;
using Moment = DrillChance::Moment;

// For the shell.
std::string quoted_for_repeat(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class Draw {
 public:
  Draw(const Config& config, const RepositoryConfig& repository, const ChanceRequest& request,
       const std::stop_token& stop)
      : config_(config),
        repository_(repository),
        request_(request),
        stop_(stop),
        opened_(open_repository(repository, stop)),
        seed_(request.chance.seed.value_or(std::random_device()())),
        chance_(seed_),
        target_(asked_target()) {}

  // Nothing is thawed to draw from: how much that costs would be left to chance too.
  bool needs_frozen_wal(const Error& error) const {
    return is_about_frozen(*opened_, error, stop_);
  }

  DrawnDrill run() {
    if (!request_.chance.backup) return of_backup();
    std::vector<std::string> left = backups();
    std::optional<Error> first_refusal;
    while (!left.empty()) {  // those that cannot be used are drawn again: uniform over the others
      const auto at = static_cast<std::ptrdiff_t>(draw_below(chance_, left.size()));
      try {
        return drawn(left.at(static_cast<std::size_t>(at)));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kRefused) throw;
        if (!first_refusal) first_refusal = error;
      }
      left.erase(left.begin() + at);
    }
    if (first_refusal) throw *first_refusal;
    throw Error(ErrorKind::kNotFound, "there is no backup", {.object = config_.cluster});
  }

 private:
  // "now" stands in for the moment, so that a second target is refused as ever.
  RecoveryTarget asked_target() const {
    TargetRequest point = request_.point;
    if (request_.chance.moment != Moment::kGiven) point.time = "now";
    return parse_target(config_, point);
  }

  DrawnDrill of_backup() {
    if (request_.chance.moment != Moment::kWhereThereIsOne) return drawn(request_.backup);
    std::vector<std::string> tried{request_.backup};
    if (request_.backup.empty()) tried = {"latest", ""};
    for (const std::string& backup : tried) {
      if (!moments_of(backup).empty()) return drawn(backup);
    }
    target_ = parse_target(config_, request_.point);
    DrawnDrill drill = planned(plan_request(request_.backup));
    drill.note =
        "no archived transaction is known to follow a backup, so there was no moment to draw: to "
        "the end of the archive instead";
    return drill;
  }

  std::vector<MomentRange> moments_of(const std::string& backup) const {
    return reachable_times(*opened_, config_.cluster, plan_request(backup), stop_);
  }

  RecoveryPlanRequest plan_request(const std::string& backup) const {
    RecoveryPlanRequest wanted{.target = target_};
    if (!backup.empty()) wanted.backup = backup;
    if (request_.history.empty()) return wanted;
    wanted.history = parse_history_name(request_.history);
    if (!wanted.history) {
      throw Error(ErrorKind::kUsage, "--history wants a name such as 0001-7340123456789012345",
                  {.object = request_.history, .hint = "'holdfast window' lists them."});
    }
    return wanted;
  }

  // Of the followed history's line.
  std::vector<std::string> backups() const {
    const ArchiveSurvey survey = survey_archive(*opened_, config_.cluster, stop_);
    if (survey.histories.empty()) return {};
    const HistoryName history =
        choose_recovery_line(*opened_, survey, plan_request({}), stop_).history;
    std::vector<std::string> ids;
    for (const CatalogueEntry& entry : survey.backups) {
      if (entry.state == BackupState::kCommitted && line_has(survey, history, entry)) {
        ids.push_back(entry.name.id.text);
      }
    }
    return ids;
  }

  DrawnDrill drawn(const std::string& backup) {
    RecoveryPlanRequest wanted = plan_request(backup);
    if (request_.chance.moment != Moment::kGiven) draw_moment_of(wanted);
    DrawnDrill drill = planned(wanted);
    if (request_.chance.backup) drill.what.emplace_back("backup");
    if (request_.chance.moment != Moment::kGiven) drill.what.emplace_back("moment");
    return drill;
  }

  DrawnDrill planned(const RecoveryPlanRequest& wanted) const {
    const RecoveryPlan plan = plan_recovery(*opened_, config_.cluster, wanted, stop_);
    DrawnDrill drill{.what = {},
                     .seed = seed_,
                     .backup = plan.backup.name.id.text,
                     .history = to_string(plan.history),
                     .point = request_.point,
                     .needs_archive = plan.needs_archive,
                     .repeat = {},
                     .note = {}};
    if (wanted.target.kind == Kind::kTime) drill.point.time = wanted.target.time_text;
    drill.point.timeline = std::to_string(plan.timeline.value);
    drill.repeat = repeat_command(drill);
    return drill;
  }

  void draw_moment_of(RecoveryPlanRequest& wanted) {
    const auto ranges = moments_of(wanted.backup.value_or(""));
    if (ranges.empty()) {
      throw Error(ErrorKind::kRefused,
                  wanted.backup ? "no archived transaction is known to follow the backup"
                                : "no archived transaction is known to follow any backup",
                  {.object = wanted.backup.value_or(config_.cluster),
                   .hint = "So there is no moment to choose. Without a target a drill goes to the "
                           "end of the archive; 'holdfast window' shows what can be recovered."});
    }
    wanted.target.time = draw_moment(chance_, ranges);
    wanted.target.time_text = to_rfc3339(wanted.target.time);
  }

  std::string repeat_command(const DrawnDrill& drawn) const {
    std::string command =
        fmt::format("holdfast --repo {} drill {}", repository_.name, drawn.backup);
    if (!request_.options.empty()) command += " " + request_.options;
    command += fmt::format(" --history {} --target-timeline {}", drawn.history,
                           known(drawn.point.timeline));
    const TargetRequest& point = drawn.point;
    if (point.time) command += " --target-time " + *point.time;
    if (point.xid) command += " --target-xid " + *point.xid;
    if (point.lsn) command += " --target-lsn " + *point.lsn;
    if (point.name) command += " --target-name " + quoted_for_repeat(*point.name);
    if (point.immediate) command += " --target-immediate";
    if (point.exclusive) command += " --target-exclusive";
    return command;
  }

  const Config& config_;
  const RepositoryConfig& repository_;
  const ChanceRequest& request_;
  const std::stop_token& stop_;
  const std::unique_ptr<Repository> opened_;
  const std::uint64_t seed_;
  Chance chance_;
  RecoveryTarget target_;
};

}  // namespace

DrawnDrill draw_drill(const Config& config, const RepositoryConfig& repository,
                      const ChanceRequest& request, const std::stop_token& stop) {
  Draw draw(config, repository, request, stop);
  try {
    return draw.run();
  } catch (const Error& error) {
    if (!draw.needs_frozen_wal(error)) throw;
    throw Error(ErrorKind::kRefused,
                "archived WAL is frozen, and chance can only draw from what can be read",
                {.object = error.object(),
                 .hint = "Name backup and target, and what they need is brought back: 'holdfast "
                         "drill ID --target-time TIME --thaw SPEED --yes'. Or drill from another "
                         "repository: --repo."});
  }
}

}  // namespace holdfast
