#include "app/drill.h"

#include <chrono>

#include <unistd.h>

#include "app/copy_checks.h"
#include "app/drill_report.h"
#include "app/open.h"
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

constexpr std::string_view kDrillMark = "holdfast.drill";

double seconds_since(SteadyClock::time_point began) {
  return std::chrono::duration<double>(SteadyClock::now() - began).count();
}

// The drill's folder: nobody else's is ever removed.
class DrillFolder {
 public:
  DrillFolder(fs::path path, DrillRemains remains) : path_(std::move(path)), remains_(remains) {
    if (fs::exists(path_) && !fs::is_empty(path_)) {
      if (!fs::exists(path_ / kDrillMark)) {
        throw Error(ErrorKind::kRefused,
                    "the folder for the drill holds something else, or a copy that was kept",
                    {.object = path_,
                     .hint = "Remove it if nobody needs it, or choose another place with "
                             "--scratch."});
      }
      remove_everything();  // of a drill that was killed
    }
    make_folders(path_, 0700);
    write_durably(path_ / kDrillMark, as_bytes("A drill of holdfast works here.\n"), 0600,
                  Overwrite::kNo);
  }
  ~DrillFolder() {
    try {
      if (remains_ == DrillRemains::kRemove) {
        remove_everything();
        fs::remove(path_);
      } else {
        fs::remove(path_ / kDrillMark);  // no longer a drill's: nobody removes it unasked
      }
    } catch (const fs::filesystem_error&) {
      // What stays is removed by the next drill, which knows it by its mark.
    }
  }
  DrillFolder(const DrillFolder&) = delete;
  DrillFolder& operator=(const DrillFolder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path data() const { return path_ / "data"; }

  // As root, PostgreSQL runs as the owner of the data directory, who must get there.
  void give_to_owner_of_data() const { give_owner({.path = path_, .like = data()}); }

 private:
  // The mark goes last: what is left of an interrupted removal is still known for a drill's.
  void remove_everything() const {
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
      if (entry.path().filename() != kDrillMark) fs::remove_all(entry.path());
    }
    fs::remove(path_ / kDrillMark);
  }

  const fs::path path_;
  const DrillRemains remains_;
};

FileLock lock_drill(const Config& config) {
  prepare_state_directory(config);
  auto lock = FileLock::try_acquire(config.state_directory / "drill.lock");
  if (lock) return std::move(*lock);
  throw Error(ErrorKind::kRefused, "another drill of this cluster is running on this host",
              {.object = config.cluster, .hint = "Wait until it has ended."});
}

class DrillRun {
 public:
  DrillRun(const Config& config, const RepositoryConfig& repository, const DrillRequest& request,
           Progress& progress, const std::stop_token& stop)
      : config_(config),
        repository_(repository),
        request_(request),
        progress_(progress),
        stop_(stop),
        backup_(request.backup),
        history_(request.history),
        point_(request.point),
        lock_(lock_drill(config)),
        folder_((request.scratch.empty()
                     ? config.state_directory / "drill"
                     : fs::absolute(request.scratch) / ("holdfast-drill-" + config.cluster)),
                request.remains) {}

  DrillReport run() {
    report_.began = system_clock().now();
    const auto began = SteadyClock::now();
    try {
      leave_to_chance();
      restore_copy();
      recover_and_check();
    } catch (const Error& error) {
      // What is wrong with the backup is the drill's result; what is wrong elsewhere is not.
      if (error.kind() != ErrorKind::kDamage && error.kind() != ErrorKind::kPostgres) throw;
      report_.checks.push_back({.name = report_.checks.empty() ? "recovery" : "questions",
                                .verdict = Verdict::kFailed,
                                .detail = error.object().empty()
                                              ? error.message()
                                              : error.message() + ": " + error.object()});
    }
    if (request_.remains == DrillRemains::kKeep) report_.data_directory = folder_.data();
    judge_objectives();
    store_proof(seconds_since(began));
    report_.report = save_drill_report(config_, report_);
    return std::move(report_);
  }

 private:
  // From here on the drill does what somebody could have asked for in words.
  void leave_to_chance() {
    if (!request_.chance.any()) return;
    report_.drawn =
        draw_drill(config_, repository_,
                   {request_.chance, request_.backup, request_.history, request_.point}, stop_);
    backup_ = report_.drawn->backup;
    history_ = report_.drawn->history;
    point_ = report_.drawn->point;
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
    const TargetRequest& point = request.point;
    if (point.time || point.xid || point.lsn || point.name || point.immediate) {
      request.point.action = "promote";
    }
    return request;
  }

  void restore_copy() {
    const auto began = SteadyClock::now();
    const RestoreAnswer answer = restore(config_, repository_, restore_request(), progress_, stop_);
    report_.restore_seconds = seconds_since(began);
    report_.bytes = answer.restored.backup.data_bytes;
    report_.target = answer.recovery ? to_string(answer.recovery->target) : "the end of the backup";
    report_.warnings = answer.restored.warnings;
    folder_.give_to_owner_of_data();
  }

  void recover_and_check() {
    const int major = report_.backup->postgres_version_num / 10000;
    const fs::path programs = find_bin_directory(major, config_.postgres.bin_directory);
    const auto began = SteadyClock::now();
    IsolatedServer server(
        {.data_directory = folder_.data(),
         .bin_directory = programs,
         .log = folder_.path() / "postgresql.log",
         .major_version = major,
         .known_roles = {user_of_connection(config_.postgres.connection), "postgres"}});
    server.wait_until_open(progress_, stop_);
    report_.replay_seconds = seconds_since(began);
    note_recovered_point(server);
    const auto checks_began = SteadyClock::now();
    progress_.phase("checks", 0);
    const auto connection = [&](const std::string& database) {
      return server.connection(database);
    };
    for (CheckResult& check :
         check_running_copy(config_, {.connection = connection, .major_version = major}, stop_)) {
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
                             "::bigint",
                             {})
                         .at(0);
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

  // Only of a copy that opened: what did not come back has failed already.
  void judge_objectives() {
    if (report_.recovered_lsn.empty()) return;
    judge_objective("recovery time", config_.objectives.recovery_time, report_.recovery_seconds());
    const TargetRequest& point = point_;
    if (point.time || point.xid || point.lsn || point.name || point.immediate) return;
    const Timestamp newest =
        std::max(report_.last_transaction.value_or(Timestamp{}), report_.backup->stop_time);
    report_.recovery_point_seconds =
        std::max(0.0, std::chrono::duration<double>(report_.began - newest).count());
    judge_objective("recovery point", config_.objectives.recovery_point,
                    *report_.recovery_point_seconds);
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
    ProofRecord proof{.time = to_rfc3339(report_.began),
                      .mode = "drill",
                      .ok = backup_passed(report_.checks),
                      .objects = report_.checks.size(),
                      .bytes = report_.bytes,
                      .duration_seconds = duration_seconds,
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

  const Config& config_;
  const RepositoryConfig& repository_;
  const DrillRequest& request_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::string backup_, history_;  // of the request, or by chance
  TargetRequest point_;
  const FileLock lock_;
  const DrillFolder folder_;
  DrillReport report_;
};

}  // namespace

bool DrillReport::passed() const {
  return all_passed(checks);
}

DrillReport drill(const Config& config, const RepositoryConfig& repository,
                  const DrillRequest& request, Progress& progress, const std::stop_token& stop) {
  return DrillRun(config, repository, request, progress, stop).run();
}

}  // namespace holdfast
