#include "app/recovery_backup.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/archive.h"
#include "app/open.h"
#include "app/recovery_work.h"
#include "app/take_over.h"
#include "app/version.h"
#include "core/error.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/timeline_history.h"
#include "repository/hold.h"
#include "repository/wal_object.h"
#include "system/files.h"
#include "wal/local_wal.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class SafetyBackupRun {
 public:
  SafetyBackupRun(const Config& config, const SafetyBackupRequest& request, RecoveryWork& work,
                  Progress& progress, const std::stop_token& stop)
      : config_(config),
        request_(request),
        work_(work),
        progress_(progress),
        stop_(stop),
        own_(find_repository(config, work.record().repository)),
        repository_(open_repository(own_, stop)),
        control_(read_control_file(work.record().data_directory()).parsed) {}

  BackupResult run(const DetachedServer::Position& position);
  const std::optional<Timestamp>& held_until() const { return held_until_; }

 private:
  const RecoveryRecord& record() const { return work_.record(); }
  BackupName restored_backup() const;
  HistoryRecord side_line();
  HistoryRecord open_or_find(const Repository& first);
  void open_elsewhere(const HistoryRecord& line, const RepositoryConfig* first);
  TimelineHistory timelines() const;
  void store_timeline_history(const HistoryRecord& line) const;
  BackupOptions options(RecoveredCopy copy);
  void hold(const BackupName& backup);

  const Config& config_;
  const SafetyBackupRequest& request_;
  RecoveryWork& work_;
  Progress& progress_;
  const std::stop_token& stop_;
  const RepositoryConfig& own_;
  const std::unique_ptr<Repository> repository_;
  const ControlFile control_;
  std::vector<std::string> warnings_;
  std::optional<Timestamp> held_until_;
};

// It may have expired meanwhile: the copy itself says which it was.
BackupName SafetyBackupRun::restored_backup() const {
  const auto history = restored_from(config_, record().data_directory());
  const auto id = parse_backup_id(record().backup);
  if (history && id) return {config_.cluster, *history, *id};
  throw Error(ErrorKind::kDamage, "the copy does not say what it was restored from",
              {.object = record().data_directory() / kRestoreMarker,
               .hint = "Recover it again, with another --name."});
}

// As `init --take-over` does it, the first repository that holds WAL numbers the histories.
HistoryRecord SafetyBackupRun::side_line() {
  const auto leading = std::ranges::find_if(
      config_.repositories,
      [&](const RepositoryConfig& repository) { return holds_wal(config_, repository); });
  const RepositoryConfig* first = leading == config_.repositories.end() ? &own_ : &*leading;
  const auto opened = first->name == own_.name ? nullptr : open_repository(*first, stop_);
  const HistoryRecord line = open_or_find(opened ? *opened : *repository_);
  open_elsewhere(line, first);
  return line;
}

HistoryRecord SafetyBackupRun::open_or_find(const Repository& first) {
  const std::string recovery = fmt::format("{} of {}", record().name, record().began);
  const auto histories = list_histories(first, config_.cluster, stop_);
  const auto found = std::ranges::find_if(histories, [&](const HistoryRecord& history) {
    return history.side && history.side->recovery == recovery;
  });
  if (found != histories.end()) return *found;
  const auto followed = parse_history_name(record().followed);
  return open_history(
      first, config_.cluster,
      {.system_identifier = control_.system_identifier,
       .postgres_version_num = record().major_version * 10000,
       .wal_segment_size = control_.wal_segment_size,
       .host = host_name()},
      {.reason = HistoryReason::kRecovery,
       .side = SideLine{followed.value_or(restored_backup().history).number, recovery}},
      stop_);
}

// Where the backup goes it must be known; another repository learns of it with the next take-over
// at the latest.
void SafetyBackupRun::open_elsewhere(const HistoryRecord& line, const RepositoryConfig* first) {
  if (first->name != own_.name) adopt_history(*repository_, config_.cluster, line, stop_);
  for (const RepositoryConfig& other : config_.repositories) {
    if (other.name == first->name || other.name == own_.name || !holds_wal(config_, other)) {
      continue;
    }
    try {
      adopt_history(*open_repository(other, stop_), config_.cluster, line, stop_);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      warnings_.push_back(fmt::format("repository {} does not know history {} yet: {}", other.name,
                                      to_string(line.name), error.message()));
    }
  }
}

TimelineHistory SafetyBackupRun::timelines() const {
  const TimelineId timeline = record().target.timeline.number;
  if (timeline.value <= 1) return {};
  const std::string name = timeline_history_file_name(timeline);
  const auto text =
      read_file(record().data_directory() / "pg_wal" / name, kMaxTimelineHistoryBytes);
  if (text) return parse_timeline_history(timeline, *text, name);
  throw Error(ErrorKind::kPostgres, "the copy has no history file of its timeline",
              {.object = record().data_directory() / "pg_wal" / name,
               .hint = "Recover it again, with another --name."});
}

// A recovery from the backup asks for it.
void SafetyBackupRun::store_timeline_history(const HistoryRecord& line) const {
  const TimelineId timeline = record().target.timeline.number;
  if (timeline.value <= 1) return;
  LocalWal file(record().data_directory() / "pg_wal" / timeline_history_file_name(timeline),
                {line.name.system_identifier, line.wal_segment_size});
  put_wal(*repository_, {config_.cluster, line.name}, file.pack(config_.wal.compression), stop_);
}

BackupOptions SafetyBackupRun::options(RecoveredCopy copy) {
  return {.cluster = config_.cluster,
          .type = BackupType::kIncremental,
          .refresh = config_.backup.refresh,
          .label = request_.label,
          .reason = request_.reason.empty()
                        ? fmt::format("safety backup of recovery {}", record().name)
                        : request_.reason,
          .copy = std::move(copy),
          .standalone = true,
          .connection = work_.server().connection("template1", stop_),
          .data_directory = record().data_directory(),
          .state_directory = record().folder,  // apart from the backups of the source
          .compression = config_.backup.compression,
          .checkpoint = Session::Checkpoint::kFast,
          .jobs = effective_jobs(config_.backup.jobs),
          .rate = config_.backup.rate,
          .memory_bytes = config_.memory_bytes,
          .host = host_name(),
          .holdfast_version = holdfast_version(),
          .before_commit = [this](const BackupName& backup) { hold(backup); }};
}

void SafetyBackupRun::hold(const BackupName& backup) {
  try {
    const Timestamp now = repository_->store().now(stop_);
    place_hold(*repository_,
               {.backup = backup,
                .until = now + kSafetyBackupHeld,
                .reason = fmt::format("safety backup of recovery {}", record().name),
                .time = to_rfc3339_seconds(now),
                .by = fmt::format("{}@{}, recover backup", operator_name(), host_name())},
               stop_);
    held_until_ = now + kSafetyBackupHeld;
  } catch (const Error& error) {  // whoever asked for it learns its id, and can hold it
    if (error.kind() == ErrorKind::kCancelled) throw;
    warnings_.push_back(
        fmt::format("it is not held, so that it may expire: {}; 'holdfast hold {}' holds it",
                    error.message(), backup.id.text));
  }
}

BackupResult SafetyBackupRun::run(const DetachedServer::Position& position) {
  RecoveredCopy copy{.history = side_line(),
                     .facts = {.recovery = record().name,
                               .backup = restored_backup(),
                               .target = to_string(record().target),
                               .last_transaction = position.last_transaction},
                     .replayed = position.replayed,
                     .timelines = timelines()};
  store_timeline_history(copy.history);
  BackupResult result = take_backup(*repository_, options(std::move(copy)), progress_, stop_);
  std::ranges::move(warnings_, std::back_inserter(result.warnings));
  return result;
}

}  // namespace

SafetyBackupAnswer back_up_recovery(const Config& config, const SafetyBackupRequest& request,
                                    Progress& progress, const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string name = store.resolve(request.name);
  const FileLock lock = store.lock(name);
  RecoveryWork work(config, store, store.read(name), progress, stop);
  work.refuse_promoted();
  const DetachedServer::Position position = work.require_paused();
  SafetyBackupAnswer answer;
  work.step("safety backup", [&] {
    SafetyBackupRun run(config, request, work, progress, stop);
    answer.backup = run.run(position);
    answer.held_until = run.held_until();
    return fmt::format("backup {}, ends at {}", answer.backup.info.name.id.text,
                       to_string(answer.backup.info.stop_lsn));
  });
  answer.record = work.record();
  return answer;
}

}  // namespace holdfast
