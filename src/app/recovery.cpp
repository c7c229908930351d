#include "app/recovery.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/copy_checks.h"
#include "app/open.h"
#include "app/recovery_report.h"
#include "app/recovery_work.h"
#include "app/server_commands.h"
#include "core/error.h"
#include "postgres/control_file.h"
#include "postgres/local_server.h"
#include "recover/isolation.h"
#include "system/after_fork.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Kind = RecoveryTarget::Kind;
using State = RecoveryView::State;
using Result = RecoveryStep::Result;
// The options that lead to this target again.
TargetRequest request_for(const RecoveryTarget& target) {
  TargetRequest request{.immediate = target.kind == Kind::kImmediate,
                        .exclusive = target.stop == RecoveryTarget::Stop::kExclusive,
                        .timeline = to_string(target.timeline)};
  if (target.kind == Kind::kTime) request.time = to_rfc3339(target.time);
  if (target.kind == Kind::kXid) request.xid = std::to_string(target.xid);
  if (target.kind == Kind::kLsn) request.lsn = to_string(target.lsn);
  if (target.kind == Kind::kName) request.name = target.name;
  return request;
}

// In the folder of a promoted and abandoned recovery in which the cluster's tablespaces are.
constexpr std::string_view kTablespacesMark = "holdfast.tablespaces-of-the-cluster";

// The folder of the copy, which is made after the record that names it.
void refuse_foreign_folder(const fs::path& folder) {
  if (fs::exists(folder / kTablespacesMark)) {
    throw Error(ErrorKind::kRefused,
                "tablespaces of the cluster are in the folder for the recovery: they came from an "
                "earlier recovery, which was promoted",
                {.object = folder, .hint = "Give this recovery another name: --name."});
  }
  if (!fs::exists(folder) || fs::is_empty(folder) || fs::exists(folder / kRecoveryMark)) return;
  throw Error(ErrorKind::kRefused, "the folder for the recovery holds something else",
              {.object = folder,
               .hint = "Remove it if nobody needs it, or choose another place with --scratch."});
}

void make_folder(const fs::path& folder) {
  refuse_foreign_folder(folder);
  make_folders(folder, 0700);
  write_durably(folder / kRecoveryMark, as_bytes("A recovery of holdfast is here.\n"), 0600,
                Overwrite::kYes);
}

// The mark goes last: what is left of an interrupted removal is still known for ours.
void remove_folder(const fs::path& folder) {
  if (!fs::exists(folder / kRecoveryMark)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() != kRecoveryMark) fs::remove_all(entry.path());
  }
  fs::remove(folder / kRecoveryMark);
  fs::remove(folder);
}

// The folder, and what is in it beside the copy.
void give_to_owner_of_data(const RecoveryRecord& record) {
  give_owner({.path = record.folder, .like = record.data_directory()});
  for (const fs::directory_entry& entry : fs::directory_iterator(record.folder)) {
    give_owner({.path = entry.path(), .like = record.data_directory()});
  }
}

// Takes over from the plan what the server needs to be told.
void plan_target(const Config& config, const RestorePreview& preview, RecoveryRecord& record) {
  const BackupInfo& backup = preview.backup;
  record.followed = to_string(preview.history);
  if (preview.recovery) {
    record.target = preview.recovery->target;
    record.restore_command = preview.recovery->restore_command;
  } else {  // the backup's own WAL is all there is
    record.target = {.timeline = {RecoveryTimeline::Kind::kNumber, backup.timeline}};
    record.restore_command = restore_command(config, backup.name.history);
  }
  if (record.target.kind != Kind::kLatest) {
    record.target.action = RecoveryTarget::Action::kPause;
  }
  record.from = backup.start_lsn;
  record.to = preview.wal ? preview.wal->to : backup.stop_lsn;
}

// Where the state directory is on another file system than the cluster, from which a copy could not
// be put in the cluster's place: beside the cluster, if that is possible. Empty: no.
fs::path place_beside_cluster(const Config& config) {
  const fs::path above = place_of_cluster(config).parent_path();
  struct stat there{};
  struct stat state{};
  const bool other = ::stat(above.c_str(), &there) == 0 &&
                     ::stat(config.state_directory.c_str(), &state) == 0 &&
                     there.st_dev != state.st_dev;
  return other && ::access(above.c_str(), W_OK) == 0 ? above : fs::path();
}

RecoveryRecord new_record(const Config& config, const RepositoryConfig& repository,
                          const RecoveryStore& store, const RecoveryStart& request,
                          Progress& progress, const std::stop_token& stop) {
  RecoveryRecord record{.name = request.name,
                        .cluster = config.cluster,
                        .began = recovery_time_now(),
                        .repository = repository.name,
                        .as_of = repository.as_of ? to_rfc3339(*repository.as_of) : "",
                        .history = request.history,
                        .objectives = config.objectives};
  const fs::path scratch =
      request.scratch.empty() ? place_beside_cluster(config) : fs::absolute(request.scratch);
  record.folder = scratch.empty() ? store.folder_of(request.name)
                                  : scratch / fmt::format("holdfast-recovery-{}-{}", config.cluster,
                                                          request.name);
  refuse_foreign_folder(record.folder);
  const RestorePreview preview =
      plan_restore(config, repository,
                   {.backup = request.backup,
                    .history = request.history,
                    .target = {.data_directory = record.data_directory(),
                               .tablespaces_under = record.folder / "tablespaces"},
                    .point = request.point,
                    .archiving = RecoverySettings::Archiving::kOff,
                    .apart = record.data_directory(),
                    .thaw = request.thaw},
                   progress, stop);
  record.backup = preview.backup.name.id.text;
  record.major_version = preview.backup.postgres_version_num / 10000;
  plan_target(config, preview, record);
  // Before anything is written: what cannot be started need not be restored.
  find_bin_directory(record.major_version, config.postgres.bin_directory);
  return record;
}

// With the repository as it was, of a recovery that was begun so.
Config seen_by(const RecoveryRecord& record, Config config) {
  const auto repository =
      std::ranges::find(config.repositories, record.repository, &RepositoryConfig::name);
  if (repository != config.repositories.end()) repository->as_of = parse_rfc3339(record.as_of);
  return config;
}

bool names_something(const RecoveryStart& request) {
  const TargetRequest& point = request.point;
  return !request.backup.empty() || !request.history.empty() || !request.scratch.empty() ||
         point.time || point.xid || point.lsn || point.name || point.immediate || point.timeline;
}

std::string restore_copy(const Config& config, RecoveryWork& work, const ThawChoice& thaw,
                         Progress& progress, const std::stop_token& stop) {
  const RecoveryRecord& record = work.record();
  make_folder(record.folder);
  std::string said = fmt::format("backup {}", record.backup);
  // It is written last: with it, an interrupted step had only its end left to write down.
  if (!fs::exists(record.data_directory() / kControlFilePath)) {
    const Config seen = seen_by(record, config);
    const RestoreAnswer answer =
        restore(seen, find_repository(seen, record.repository),
                {.backup = record.backup,
                 .history = record.history,
                 .target = {.data_directory = record.data_directory(),
                            .tablespaces_under = record.folder / "tablespaces"},
                 .point = request_for(record.target),
                 .archiving = RecoverySettings::Archiving::kOff,
                 .apart = record.data_directory(),
                 .thaw = thaw},
                progress, stop);
    for (const std::string& warning : answer.restored.warnings) said += "; " + warning;
  }
  give_to_owner_of_data(record);
  return said;
}

State state_of(const RecoveryView& view, bool worked_on, bool running) {
  if (worked_on) return State::kWorking;
  if (view.record.is_being_abandoned()) return State::kInterrupted;
  if (view.record.is_rolled_back()) return State::kRolledBack;
  if (view.record.promotion) {
    const RecoveryStep& last = view.record.steps.back();
    if (view.record.is_promoted()) return State::kPromoted;
    return last.result == Result::kFailed ? State::kFailed : State::kInterrupted;
  }
  if (view.position && view.position->paused) return State::kPaused;
  if (running) return State::kReplaying;
  const auto& steps = view.record.steps;
  if (steps.empty() || steps.back().result == Result::kUnderWay) return State::kInterrupted;
  return steps.back().result == Result::kFailed ? State::kFailed : State::kStopped;
}

std::string next_of(const RecoveryView& view) {
  const std::string& name = view.record.name;
  if (view.record.promotion && view.state != State::kWorking) return next_of_promotion(view.record);
  switch (view.state) {
    case State::kWorking:
      return "Wait: somebody works on it.";
    case State::kPaused:
      return fmt::format(
          "holdfast recover connect {0}, check {0}, forward {0} --target-…, backup {0}, "
          "approve {0}, promote {0}, or abandon {0} --yes",
          name);
    case State::kReplaying:
    case State::kInterrupted:
    case State::kFailed:
    case State::kStopped:
    case State::kPromoted:
    case State::kRolledBack:
      break;
  }
  if (view.record.is_being_abandoned())
    return fmt::format("holdfast recover abandon {} --yes", name);
  return fmt::format("holdfast recover start --name {} goes on; abandon {} --yes gives it up", name,
                     name);
}

void refuse_unfinished_promotion(const RecoveryRecord& record) {
  if (!record.promotion || record.is_promoted() || record.is_rolled_back()) return;
  if (record.is_being_abandoned()) return;
  throw Error(ErrorKind::kRefused, "the promotion of this recovery has not ended",
              {.object = record.name, .hint = next_of_promotion(record) + "."});
}

// The promoted copy's tablespaces stay where they were restored.
bool is_used_by_cluster(const RecoveryRecord& record) {
  const fs::path tablespaces = record.folder / "tablespaces";
  return record.promotion && !fs::exists(record.data_directory()) && fs::exists(tablespaces) &&
         !fs::is_empty(tablespaces);
}

RecoveryView view_of(const Config& config, RecoveryRecord record, bool worked_on,
                     const std::stop_token& stop) {
  RecoveryView view{.record = std::move(record)};
  const bool running = copy_postmaster(view.record.data_directory()).has_value();
  if (running && fs::exists(view.record.server_folder)) {
    DetachedServer server(copy_server_options(config, view.record), view.record.server_folder);
    view.position = server.position(stop);
  }
  view.state = state_of(view, worked_on, running);
  view.next = next_of(view);
  return view;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::kWorking:
      return "working";
    case State::kPaused:
      return "paused";
    case State::kReplaying:
      return "replaying";
    case State::kInterrupted:
      return "interrupted";
    case State::kFailed:
      return "failed";
    case State::kStopped:
      return "stopped";
    case State::kPromoted:
      return "promoted";
    case State::kRolledBack:
      return "rolled back";
  }
  return "?";
}

RecoveryView start_recovery(const Config& config, const RepositoryConfig& repository,
                            const RecoveryStart& request, Progress& progress,
                            const std::stop_token& stop) {
  RecoveryStore store(config);
  const FileLock lock = store.lock(request.name);
  auto record = store.find(request.name);
  if (record && (names_something(request) || repository.as_of)) {
    throw Error(
        ErrorKind::kRefused, "there is a recovery of this name already",
        {.object = request.name,
         .hint = fmt::format("'holdfast recover status {0}' shows it, 'recover start --name "
                             "{0}' alone goes on with it; for another one give --name.",
                             request.name)});
  }
  if (!record) record = new_record(config, repository, store, request, progress, stop);
  RecoveryWork work(config, store, std::move(*record), progress, stop);
  work.refuse_abandoned();
  work.refuse_promoted();
  if (!work.record().has_done("restore")) {
    work.step("restore", [&] { return restore_copy(config, work, request.thaw, progress, stop); });
  }
  if (work.was_interrupted_in("check") || work.was_interrupted_in("forward")) {
    work.server().stop(stop);  // it may have been told to already
  }
  const auto position = work.server().running() ? work.server().position(stop) : std::nullopt;
  if (!position || !position->paused) {
    work.step("replay", [&] {
      if (!work.server().running()) work.start_server();
      return work.await_target();
    });
  }
  return view_of(config, work.record(), false, stop);
}

RecoveryView forward_recovery(const Config& config, const std::string& name,
                              const RecoveryForward& request, Progress& progress,
                              const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string chosen = store.resolve(name);
  const FileLock lock = store.lock(chosen);
  RecoveryWork work(config, store, store.read(chosen), progress, stop);
  work.refuse_promoted();
  const DetachedServer::Position position = work.require_paused();
  RecoveryRecord planned = work.record();
  const Config seen = seen_by(planned, config);
  const RepositoryConfig& repository = find_repository(seen, planned.repository);
  const RestoreRequest wanted{.backup = planned.backup,
                              .history = planned.history,
                              .target = {},  // nothing is restored, and no room for it is needed
                              .point = request.point,
                              .archiving = RecoverySettings::Archiving::kOff,
                              .apart = planned.data_directory(),
                              .thaw = request.thaw};
  bring_back_wal(seen, repository, wanted, progress, stop);
  const RestorePreview preview = preview_restore(seen, repository, wanted, stop);
  plan_target(seen, preview, planned);
  // A server that was started again does not know its last transaction before it replays one.
  const RecoveryTarget& now = work.record().target;
  const bool is_before =
      planned.target.kind == Kind::kTime &&
      ((position.last_transaction && planned.target.time <= *position.last_transaction) ||
       (now.kind == Kind::kTime && planned.target.time <= now.time));
  if (is_before || planned.to <= position.replayed || planned.target.kind == Kind::kImmediate) {
    throw Error(ErrorKind::kRefused,
                fmt::format("the recovery is beyond that already: {}", describe(position)),
                {.object = to_string(planned.target),
                 .hint = "For an earlier point start another recovery, with --name."});
  }
  work.step("forward", [&] {
    // The server's target is that of the record, always: so it stops before the record changes.
    work.server().stop(stop);
    planned.steps = work.record().steps;
    planned.from = position.replayed;
    planned.verdict.reset();
    planned.approvals.clear();
    work.change() = planned;
    work.save();
    work.start_server();
    return work.await_target();
  });
  return view_of(config, work.record(), false, stop);
}

RecoveryView check_recovery(const Config& config, const std::string& name, Progress& progress,
                            const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string chosen = store.resolve(name);
  const FileLock lock = store.lock(chosen);
  RecoveryWork work(config, store, store.read(chosen), progress, stop);
  work.refuse_promoted();
  const DetachedServer::Position position = work.require_paused();
  work.step("check", [&] {
    progress.phase("checks", 0);
    const RecoveryRecord& record = work.record();
    RecoveryVerdict verdict{
        .time = recovery_time_now(), .at = to_string(position.replayed), .by = operator_name()};
    const CheckedServer copy{
        .connection =
            [&](const std::string& database) { return work.server().connection(database, stop); },
        .major_version = record.major_version};
    verdict.checks = check_running_copy(config, copy, AskSource::kWhereNeeded, stop);
    if (auto rights = check_rights_to_ask(config, copy, stop)) {
      verdict.checks.push_back(std::move(*rights));
    }
    work.server().stop(stop);
    verdict.checks.push_back(check_page_checksums(
        {.data_directory = record.data_directory(),
         .bin_directory = find_bin_directory(record.major_version, config.postgres.bin_directory),
         .log = record.folder / "checksums.log"},
        stop));
    work.start_server();
    work.await_target();
    const CopyVerdict said = verdict_of(verdict.checks);
    verdict.passed = said == CopyVerdict::kPassed;
    work.change().verdict = verdict;
    work.change().approvals.clear();  // they were about another one
    return std::string(to_string(said));
  });
  return view_of(config, work.record(), false, stop);
}

EndedRecovery abandon_recovery(const Config& config, const std::string& name,
                               const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string chosen = store.resolve(name);
  const FileLock lock = store.lock(chosen);
  RecoveryWork work(config, store, store.read(chosen), null_progress(), stop);
  std::optional<FileLock> cluster;
  if (work.record().promotion) cluster = store.lock_cluster();
  refuse_unfinished_promotion(work.record());
  work.step("abandon", [&] {
    const RecoveryRecord& record = work.record();
    if (copy_postmaster(record.data_directory())) work.server().kill(stop);
    // Ours, if it has our files: after a restart of the machine the name may be somebody else's.
    if (fs::exists(record.server_folder / kIsolatedHbaFile)) fs::remove_all(record.server_folder);
    if (is_used_by_cluster(record)) {
      write_durably(record.folder / kTablespacesMark, as_bytes("Of a promoted recovery.\n"), 0600,
                    Overwrite::kYes);
      fs::remove(record.folder / kRecoveryMark);  // it is not ours any more
      return record.folder.native() + " stays: the cluster's tablespaces are in it";
    }
    if (record.promotion && record.promotion->unarchived) {
      fs::remove(record.folder / kRecoveryMark);
      return record.folder.native() +
             " stays: what was written to the promoted copy was archived nowhere";
    }
    remove_folder(record.folder);
    return std::string("removed");
  });
  write_recovery_reports(store, work.record());
  const RecoveryRecord& record = work.record();
  return {.record = store.retire(record),
          .promotion = record.is_promoted() ? record.promotion : std::nullopt,
          .outcome = record.steps.back().detail};
}

std::vector<RecoveryView> list_recoveries(const Config& config, const std::string& name,
                                          const std::stop_token& stop) {
  const RecoveryStore store(config);
  std::vector<RecoveryView> views;
  const auto names = name.empty() ? store.names() : std::vector<std::string>{name};
  for (const std::string& one : names) {
    const bool worked_on =
        store.is_worked_on(one);  // before it is read: what is read is then newer
    auto record = name.empty() ? store.find(one) : store.read(one);
    if (record) views.push_back(view_of(config, std::move(*record), worked_on, stop));
  }
  return views;
}

RecoverySession recovery_session(const Config& config, const std::string& name,
                                 const std::string& database, const std::stop_token& stop) {
  const RecoveryStore store(config);
  const RecoveryRecord record = store.read(store.resolve(name));
  if (!copy_postmaster(record.data_directory())) {
    throw Error(
        ErrorKind::kRefused, "no server runs on the recovered copy",
        {.object = record.name,
         .hint = fmt::format("'holdfast recover start --name {}' starts it.", record.name)});
  }
  const CopyServerOptions options = copy_server_options(config, record);
  DetachedServer server(options, record.server_folder);
  return {.psql = options.bin_directory / "psql", .connection = server.connection(database, stop)};
}

void become_psql(const RecoverySession& session, const std::string& statement) {
  std::vector<std::string> words{session.psql, session.connection};
  if (!statement.empty()) words.insert(words.end(), {"-X", "-c", statement});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  reset_signals_after_fork();  // what holds after a fork holds here too
  if (::access(session.psql.c_str(), X_OK) == 0) ::execv(session.psql.c_str(), arguments.data());
  ::execvp("psql", arguments.data());  // the server's folder may hold no client programs
  throw_errno(errno, "start", session.psql.native());
}

}  // namespace holdfast
