#include "app/drill.h"

#include <algorithm>
#include <chrono>

#include "app/copy_checks.h"
#include "app/drill_damage.h"
#include "app/drill_folder.h"
#include "app/drill_report.h"
#include "app/drill_surroundings.h"
#include "app/open.h"
#include "app/recovery_work.h"
#include "app/version.h"
#include "core/cancellation.h"
#include "core/text.h"
#include "postgres/connection.h"
#include "postgres/connection_string.h"
#include "postgres/local_server.h"
#include "recover/isolated_server.h"
#include "repository/proof.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
using Verdict = CheckResult::Verdict;

// A canary may have to wait for a server that is busy.
constexpr std::chrono::minutes kCanaryPatience{1};

constexpr const char* kServerLog = "postgresql.log";
constexpr std::size_t kServerLogBytesMax = std::size_t{64} << 20U;

// Another repository would have what is damaged here.
DrillSource source_of(const DrillRequest& request) {
  return request.corrupt ? DrillSource::kOneRepository : request.source;
}

double seconds_since(SteadyClock::time_point began) {
  return std::chrono::duration<double>(SteadyClock::now() - began).count();
}

RepositoryConfig& config_repository(Config& config, const std::string& name) {
  return *std::ranges::find(config.repositories, name, &RepositoryConfig::name);
}

FileLock lock_drill(const Config& config) {
  prepare_state_directory(config);
  const fs::path file = config.state_directory / "drill.lock";
  auto lock = FileLock::try_acquire(file);
  give_owner({.path = file, .like = config.state_directory});  // who does the next one
  if (lock) return std::move(*lock);
  throw Error(ErrorKind::kRefused, "another drill of this cluster is running on this host",
              {.object = config.cluster, .hint = "Wait until it has ended."});
}

// PostgreSQL stops at a time only when WAL tells of a later transaction, so that nobody could
// drill to now.
DrillRequest with_end_for_now(DrillRequest request) {
  if (request.point.time == "now") request.point.time.reset();
  return request;
}

// "drill", or of the calendar "drill-quarterly".
std::string proof_mode(DrillPreset preset) {
  std::string mode = "drill";
  if (preset != DrillPreset::kNone) mode += fmt::format("-{}", to_string(preset));
  return mode;
}

class DrillRun {
 public:
  DrillRun(const Config& config, const RepositoryConfig& repository, const DrillRequest& request,
           Progress& progress, const std::stop_token& stop)
      : config_(seen_from(config, repository, source_of(request))),
        repository_(config_repository(config_, repository.name)),
        request_(with_end_for_now(request)),
        progress_(progress),
        stop_(stop),
        backup_(request.backup),
        history_(request.history),
        point_(request_.point),
        lock_(lock_drill(config)),
        folder_((request.scratch.empty()
                     ? config.state_directory / "drill"
                     : fs::absolute(request.scratch) / ("holdfast-drill-" + config.cluster)),
                request.remains),
        environment_(
            environment_of(config, repository, source_of(request), folder_.path() / "state")) {}

  DrillReport run() {
    report_.began = system_clock().now();
    report_.preset = request_.preset;
    report_.repository = repository_.name;
    report_.as_of = repository_.as_of;
    report_.by = operator_name();
    report_.host = host_name();
    if (request_.corrupt) report_.damage.emplace();
    const auto began = SteadyClock::now();
    try {
      leave_to_chance();
      if (request_.corrupt) see_damage();
      restore_copy();
      recover_and_check();
    } catch (const Error& error) {
      // What is wrong with the backup is the drill's result; what is wrong elsewhere is not.
      if (error.kind() != ErrorKind::kDamage && error.kind() != ErrorKind::kPostgres) throw;
      failure_ = error;
      report_.checks.push_back({.name = report_.checks.empty() ? "recovery" : "questions",
                                .verdict = Verdict::kFailed,
                                .detail = error.object().empty()
                                              ? error.message()
                                              : error.message() + ": " + error.object()});
    }
    if (request_.remains == DrillRemains::kKeep) report_.data_directory = folder_.data();
    if (report_.damage) {
      judge_damage();
    } else {
      judge_objectives();
      store_proof(seconds_since(began));
    }
    save_drill_report(config_, report_);
    return std::move(report_);
  }

 private:
  // From here on the drill does what somebody could have asked for in words.
  void leave_to_chance() {
    if (!request_.chance.any() && !request_.corrupt) return;
    DrawnDrill drawn = draw_drill(config_, repository_,
                                  {.chance = request_.chance,
                                   .backup = request_.backup,
                                   .history = request_.history,
                                   .point = request_.point,
                                   .options = repeated_options()},
                                  stop_);
    backup_ = drawn.backup;
    history_ = drawn.history;
    point_ = drawn.point;
    if (!drawn.note.empty()) report_.warnings.push_back(drawn.note);
    needs_archive_ = drawn.needs_archive;
    if (request_.corrupt) {
      drawn.what.emplace_back("damaged object");
      drawn.repeat += fmt::format(" --seed {}", drawn.seed);
    }
    if (!drawn.what.empty()) report_.drawn = std::move(drawn);
  }

  std::string repeated_options() const {
    std::string options;
    if (request_.preset != DrillPreset::kNone) {
      options = fmt::format("--preset {}", to_string(request_.preset));
    }
    const auto add = [&options](const std::string& more) {
      options += options.empty() ? more : " " + more;
    };
    if (request_.corrupt) add("--corrupt");
    if (repository_.as_of) add("--as-of " + to_rfc3339(*repository_.as_of));
    return options;
  }

  // From here on the object is rotten, for this process and for archive-get.
  void see_damage() {
    const auto opened = open_repository(repository_, stop_);
    report_.damage->object = draw_damaged_object(*opened,
                                                 {.cluster = config_.cluster,
                                                  .backup = backup_,
                                                  .needs_archive = needs_archive_,
                                                  .seed = report_.drawn->seed},
                                                 stop_);
    repository_.damaged_object = report_.damage->object;
    environment_ = environment_with_damage(std::move(environment_), report_.damage->object);
  }

  // Noticed is only what names the object: a drill that fails for another reason has not shown it.
  void judge_damage() {
    DamageReport& damage = *report_.damage;
    const auto names_it = [&](const std::string& text) {
      return !damage.object.empty() && text.find(damage.object) != std::string::npos;
    };
    if (failure_) {
      const auto log = read_file(folder_.path() / kServerLog, kServerLogBytesMax);
      damage.noticed = names_it(failure_->object()) || names_it(failure_->message()) ||
                       (failure_->kind() == ErrorKind::kPostgres && log && names_it(*log));
      damage.detail = failure_->message();
    } else {
      damage.detail = all_passed(report_.checks)
                          ? "the backup came back as if nothing were wrong"
                          : "checks of the copy failed, but nothing named it";
    }
    report_.checks.clear();
  }

  bool has_target() const {
    return point_.time || point_.xid || point_.lsn || point_.name || point_.immediate;
  }

  RestoreRequest restore_request() {
    RestoreRequest request{
        .backup = backup_,
        .history = history_,
        .target = {.data_directory = folder_.data(),
                   .tablespaces_under = folder_.path() / "tablespaces"},
        .point = point_,
        .archiving = RecoverySettings::Archiving::kOff,
        .apart = folder_.data(),
        .thaw = request_.thaw,
        .planned = [this](const BackupInfo& chosen) { report_.backup = chosen; }};
    // A copy that nobody will use goes on to where one can look at all of it.
    if (has_target()) request.point.action = "promote";
    return request;
  }

  void restore_copy() {
    const auto began = SteadyClock::now();
    const RestoreAnswer answer = restore(config_, repository_, restore_request(), progress_, stop_);
    report_.restore_seconds = seconds_since(began);
    report_.bytes = answer.restored.backup.data_bytes;
    note_target(answer.recovery);
    report_.target = answer.recovery ? to_string(answer.recovery->target) : "the end of the backup";
    report_.warnings.insert(report_.warnings.end(), answer.restored.warnings.begin(),
                            answer.restored.warnings.end());
    folder_.give_to_owner_of_data();
  }

  // Until when everything should have come back.
  void note_target(const std::optional<RecoverySettings>& recovery) {
    using Kind = RecoveryTarget::Kind;
    if (!has_target()) wanted_until_ = report_.began;
    if (!recovery || recovery->target.kind != Kind::kTime) return;
    wanted_until_ = recovery->target.time;
    to_moment_ = true;
  }

  void recover_and_check() {
    const int major = report_.backup->postgres_version_num / 10000;
    const fs::path programs = find_bin_directory(major, config_.postgres.bin_directory);
    const auto began = SteadyClock::now();
    IsolatedServer server(
        {.data_directory = folder_.data(),
         .bin_directory = programs,
         .log = folder_.path() / kServerLog,
         .major_version = major,
         .known_roles = {user_of_connection(config_.postgres.connection), "postgres"},
         .environment = environment_});
    server.wait_until_open(progress_, stop_);
    report_.replay_seconds = seconds_since(began);
    note_recovered_point(server);
    note_canary(server);
    const auto checks_began = SteadyClock::now();
    progress_.phase("checks", 0);
    const auto connection = [&](const std::string& database) {
      return server.connection(database);
    };
    const AskSource ask =
        request_.source == DrillSource::kEverything ? AskSource::kWhereNeeded : AskSource::kNever;
    for (CheckResult& check : check_running_copy(
             config_, {.connection = connection, .major_version = major}, ask, stop_)) {
      report_.checks.push_back(std::move(check));
    }
    server.stop(stop_);
    report_.checks.push_back(check_page_checksums({.data_directory = folder_.data(),
                                                   .bin_directory = programs,
                                                   .log = folder_.path() / "checksums.log"},
                                                  stop_));
    report_.check_seconds = seconds_since(checks_began);
  }

  void note_recovered_point(const IsolatedServer& server) {
    Connection session(server.connection("template1"), stop_);
    const auto row = session
                         .query(
                             "select coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn()), "
                             "(extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)"
                             "::bigint, pg_snapshot_xmax(pg_current_snapshot())",
                             {})
                         .at(0);
    next_transaction_ = row.at(2).value_or("");
    report_.recovered_lsn = row.at(0).value_or("");
    if (row.at(1)) {
      report_.last_transaction = Timestamp(std::chrono::microseconds(std::stoll(*row.at(1))));
    }
    report_.checks.push_back(
        {.name = "recovery",
         .detail = fmt::format("PostgreSQL {} opened at {}",
                               report_.backup->postgres_version_num / 10000, report_.recovered_lsn),
         .duration_seconds = report_.recovery_seconds()});
  }

  void note_canary(const IsolatedServer& server) {
    try {
      const std::string& source = config_.postgres.connection;
      report_.canary =
          last_canary_row({.connection = server.connection(database_of_connection(source)),
                           .role = user_of_connection(source)},
                          stop_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres) throw;
      report_.warnings.push_back(
          fmt::format("whether there is a canary could not be read: {}", error.message()));
    }
  }

  // Only of a copy that opened: what did not come back has failed already.
  void judge_objectives() {
    if (report_.recovered_lsn.empty()) return;
    judge_objective("recovery time", config_.objectives.recovery_time, report_.recovery_seconds());
    if (!wanted_until_) return;
    const Timestamp newest = newest_that_came_back();
    using Measure = DrillReport::Measure;
    if (to_moment_ && report_.measured_by != Measure::kCanary) {
      report_.measured_by = Measure::kNone;
      return;
    }
    Seconds lost = std::max(Seconds(0), Seconds(*wanted_until_ - newest));
    const Seconds limit = config_.objectives.recovery_point;
    const bool missed = limit.count() > 0 && lost > limit;
    if (missed && report_.measured_by != Measure::kCanary && source_has_written_nothing()) {
      report_.measured_by = Measure::kSource;
      lost = Seconds(0);
    }
    report_.recovery_point_seconds = lost.count();
    judge_objective("recovery point", config_.objectives.recovery_point, lost.count());
  }

  // Since what came back: the next transaction gets the same number there as in the copy.
  bool source_has_written_nothing() {
    if (request_.source != DrillSource::kEverything || next_transaction_.empty()) return false;
    try {
      Connection source(config_.postgres.connection, stop_);
      const auto row = source
                           .query(
                               "select system_identifier, pg_is_in_recovery(), "
                               "pg_snapshot_xmax(pg_current_snapshot()) from pg_control_system()",
                               {})
                           .at(0);
      const std::string ours = std::to_string(report_.backup->name.history.system_identifier);
      return row.at(0) == ours && row.at(1) == "f" && row.at(2) == next_transaction_;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres) throw;
      return false;  // it may well be gone
    }
  }

  Timestamp newest_that_came_back() {
    using Measure = DrillReport::Measure;
    const Timestamp backup = report_.backup->stop_time;
    const Timestamp transaction = report_.last_transaction.value_or(Timestamp{});
    if (report_.canary) {
      const Timestamp last = report_.canary->written;
      const auto patience =
          std::max<std::chrono::milliseconds>(3 * config_.canary.interval, kCanaryPatience);
      if (std::max(transaction, backup) - last <= patience) {
        report_.measured_by = Measure::kCanary;
        return last;
      }
      report_.warnings.push_back(
          fmt::format("the canary's last row is of {}, and newer data came back: it did not write "
                      "any more, and does not measure the recovery point",
                      to_rfc3339_seconds(last)));
    }
    report_.measured_by = transaction >= backup ? Measure::kTransaction : Measure::kBackup;
    return std::max(transaction, backup);
  }

  void judge_objective(const char* name, std::chrono::milliseconds limit, double seconds) {
    if (limit.count() == 0) return;
    const std::chrono::duration<double> measured(seconds);
    report_.checks.push_back(
        {.name = name,
         .about = CheckResult::About::kObjective,
         .verdict = measured <= limit ? Verdict::kPassed : Verdict::kFailed,
         .detail = fmt::format("{}; the objective is {}", human_duration(measured),
                               human_duration(limit))});
  }

  void store_proof(double duration_seconds) {
    if (!report_.backup) return;
    if (!tell_of_backup(report_.checks)) {
      report_.warnings.emplace_back("no proof was stored: nobody has looked into the data");
      return;
    }
    ProofRecord proof{.time = to_rfc3339(report_.began),
                      .mode = proof_mode(report_.preset),
                      .ok = backup_passed(report_.checks),
                      .objects = report_.checks.size(),
                      .bytes = report_.bytes,
                      .duration_seconds = duration_seconds,
                      .recovery_point_seconds = report_.recovery_point_seconds,
                      .host = host_name(),
                      .holdfast_version = holdfast_version()};
    for (const CheckResult& check : report_.checks) {
      if (check.verdict != Verdict::kFailed || check.about != CheckResult::About::kBackup) continue;
      ++proof.damaged_objects;
      proof.damaged.push_back(check.name + ": " + check.detail);
    }
    try {
      const auto opened = open_repository(repository_, stop_);
      report_.proof = write_proof(*opened, report_.backup->name, proof, stop_);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      // With credentials that may only read, the drill has still told what it found.
      report_.warnings.push_back(
          fmt::format("the proof could not be stored beside the backup: {}", error.message()));
    }
  }

  Config config_;
  RepositoryConfig& repository_;  // in config_
  const DrillRequest request_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::string backup_, history_;  // of the request, or by chance
  TargetRequest point_;
  bool needs_archive_ = true;
  std::optional<Timestamp> wanted_until_;
  bool to_moment_ = false;        // until then and not to the end
  std::string next_transaction_;  // its number in the copy
  std::optional<Error> failure_;  // of the backup or the copy
  const FileLock lock_;
  const DrillFolder folder_;
  CopyEnvironment environment_;  // of the copy's commands
  DrillReport report_;
};

}  // namespace

std::string_view to_string(DrillPreset preset) {
  switch (preset) {
    case DrillPreset::kNone:
      return "";
    case DrillPreset::kMonthly:
      return "monthly";
    case DrillPreset::kQuarterly:
      return "quarterly";
    case DrillPreset::kYearly:
      break;
  }
  return "yearly";
}

std::string_view to_string(DrillReport::Measure measure) {
  switch (measure) {
    case DrillReport::Measure::kNone:
      return "";
    case DrillReport::Measure::kCanary:
      return "canary";
    case DrillReport::Measure::kTransaction:
      return "transaction";
    case DrillReport::Measure::kSource:
      return "source";
    case DrillReport::Measure::kBackup:
      break;
  }
  return "backup";
}

CopyVerdict DrillReport::verdict() const {
  if (damage) return damage->noticed ? CopyVerdict::kPassed : CopyVerdict::kFailed;
  return verdict_of(checks);
}

DrillReport drill(const Config& config, const RepositoryConfig& repository,
                  const DrillRequest& request, Progress& progress, const std::stop_token& stop) {
  return DrillRun(config, repository, request, progress, stop).run();
}

}  // namespace holdfast
