// archive-push from the configuration, and what it does when WAL waits beyond the limit that the
// operator set (wal.drop_when_behind).
#include <algorithm>
#include <chrono>

#include "app/archive.h"
#include "app/archive_helper.h"
#include "app/deadline.h"
#include "app/open.h"
#include "app/push_failure.h"
#include "core/log.h"
#include "core/text.h"
#include "postgres/control_file.h"
#include "wal/drop_ledger.h"
#include "wal/local_wal.h"
#include "wal/ready_list.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Beyond the limit every second counts: how long the repository is tried for, and for how long
// after a failure it is not tried again.
constexpr std::chrono::seconds kPatienceBeyondLimit{5};
constexpr std::chrono::seconds kNotTriedAgain{30};

class PushCall {
 public:
  PushCall(const Config& config, const fs::path& file, const std::stop_token& stop);
  ArchivePushAnswer run();

 private:
  void start_helper();
  PushReport push();
  void pay(Pusher& pusher, const std::stop_token& stop);
  void record_dropped(const std::stop_token& stop);
  bool failed_just_now() const;
  void refuse_what_may_not_be_dropped() const;
  void drop(const std::string& reason);

  const Config& config_;
  const fs::path data_directory_;  // first: it refuses what is no file in pg_wal
  const fs::path file_;
  const std::stop_token& stop_;
  const WalSegmentSize segment_size_;
  WalBacklog backlog_;
  DropLedger ledger_;
  std::unique_ptr<Archive> archive_;
  ArchivePushAnswer answer_;
};

PushCall::PushCall(const Config& config, const fs::path& file, const std::stop_token& stop)
    : config_(config),
      data_directory_(data_directory_of(file)),
      file_(fs::absolute(file)),
      stop_(stop),
      segment_size_(read_control_file(data_directory_).parsed.wal_segment_size),
      ledger_(config.state_directory) {
  prepare_state_directory(config);
  if (config.wal.drop_when_behind_bytes > 0) {
    backlog_ = {.waiting = segments_waiting(data_directory_) * segment_size_.bytes,
                .allowed = config.wal.drop_when_behind_bytes};
  }
  archive_ = wal_archive(config, backlog_.too_much() ? std::min<std::chrono::milliseconds>(
                                                           config.wal.timeout, kPatienceBeyondLimit)
                                                     : config.wal.timeout);
  if (config.wal.acknowledge <= archive_->size()) return;
  throw Error(ErrorKind::kConfiguration,
              fmt::format("wal.acknowledge is {}, but {} repositories hold WAL",
                          config.wal.acknowledge, archive_->size()),
              {.object = "wal.acknowledge",
               .hint = "Lower it, or add a repository: no segment can be acknowledged like this."});
}

void PushCall::start_helper() {
  const bool others_lack_it = archive_->size() > config_.wal.acknowledge;
  if (!others_lack_it && !others_wait(data_directory_, file_.filename().string())) return;
  try {
    start_archive_helper(
        config_,
        {.direction = ArchiveDirection::kPush, .data_directory = data_directory_, .history = {}});
  } catch (const Error& error) {
    answer_.warnings.push_back("the archive helper could not be started: " + error.message());
  }
}

// What was acknowledged without being stored, and can be made good.
void PushCall::pay(Pusher& pusher, const std::stop_token& stop) {
  for (const std::string& owed : ledger_.owed()) {
    const fs::path path = data_directory_ / "pg_wal" / owed;
    std::error_code error;
    if (fs::exists(path, error)) {
      pusher.push(path, [] {}, stop);
    } else {
      answer_.warnings.push_back(owed + ", which was to be stored later, is gone from pg_wal");
    }
    ledger_.paid(owed);
  }
}

void PushCall::record_dropped(const std::stop_token& stop) {
  try {
    for (std::size_t i = 0; i < config_.wal.acknowledge; ++i) {
      record_dropped_wal(*archive_, i, push_options(config_, data_directory_), stop);
    }
  } catch (const Error& error) {
    if (stop_.stop_requested()) throw;
    answer_.warnings.push_back("which WAL was dropped could not be recorded: " + error.message());
  }
}

PushReport PushCall::push() {
  const Deadline deadline(
      stop_, backlog_.too_much()
                 ? std::min<std::chrono::milliseconds>(config_.wal.timeout, kPatienceBeyondLimit)
                 : config_.wal.timeout);
  try {
    Pusher pusher(*archive_, push_options(config_, data_directory_));
    if (!ledger_.empty()) pay(pusher, deadline.token());
    PushReport report = pusher.push(file_, [this] { start_helper(); }, deadline.token());
    if (!ledger_.empty()) record_dropped(deadline.token());
    return report;
  } catch (const Error&) {
    if (stop_.stop_requested() || !deadline.passed()) throw;
    throw Error(
        ErrorKind::kRepository,
        fmt::format("the WAL file was not stored within wal.timeout ({})",
                    human_duration(config_.wal.timeout)),
        {.object = file_.string(), .hint = "PostgreSQL will try again.", .retryable = true});
  }
}

// Dropping does not renew it: a repository that is back is found after kNotTriedAgain.
bool PushCall::failed_just_now() const {
  if (ledger_.empty() || ledger_.entries().empty()) return false;
  const auto last = ledger_.last_failure();
  if (!last) return false;
  const auto age = system_clock().now() - *last;
  return age >= age.zero() && age < kNotTriedAgain;
}

// A restored copy's WAL, another cluster's, a file that is none: that waits for a decision,
// whatever the limit.
void PushCall::refuse_what_may_not_be_dropped() const {
  const Pusher of_a_server_that_may_archive(*archive_, push_options(config_, data_directory_));
  const LocalWal of_this_cluster(
      file_, {read_control_file(data_directory_).parsed.system_identifier, segment_size_});
}

// PostgreSQL may remove the file after this.
void PushCall::drop(const std::string& reason) {
  const std::string name = file_.filename().string();
  const auto file = parse_wal_file_name(name);
  if (!file) throw Error(ErrorKind::kUsage, "this is not the name of a WAL file", {.object = name});
  answer_.report.identity.file = *file;
  answer_.backlog = backlog_;
  if (file->kind != WalFileKind::kSegment) {
    ledger_.owe(name);
    answer_.report.outcome = PushOutcome::kOwed;
    return;
  }
  ledger_.drop({.segment = name,
                .segment_size = segment_size_,
                .host = host_name(),
                .reason = reason,
                .at = system_clock().now()});
  answer_.report.outcome = PushOutcome::kDropped;
  answer_.dropped_because = reason;
}

ArchivePushAnswer PushCall::run() {
  if (backlog_.too_much() && failed_just_now()) {
    refuse_what_may_not_be_dropped();
    drop(ledger_.entries().back().what.reason);
    return std::move(answer_);
  }
  try {
    answer_.report = push();
    answer_.behind = repositories_behind(config_);
  } catch (const Error& error) {
    // What is refused waits for a decision, and a file that is none of WAL for somebody to look.
    const bool cannot_be_stored = error.kind() == ErrorKind::kRepository ||
                                  error.kind() == ErrorKind::kWrongKey ||
                                  error.kind() == ErrorKind::kNewerFormat;
    if (!backlog_.too_much() || !cannot_be_stored) throw;
    ledger_.failed(system_clock().now());
    drop(error.message());
  }
  return std::move(answer_);
}

}  // namespace

PushOptions push_options(const Config& config, const fs::path& data_directory) {
  return {.cluster = config.cluster,
          .host = host_name(),
          .data_directory = data_directory,
          .state_directory = config.state_directory,
          .acknowledge = config.wal.acknowledge,
          .compression = config.wal.compression};
}

std::vector<RepositoryLag> repositories_behind(const Config& config) {
  std::vector<RepositoryLag> behind;
  const RepositoryConfig* first = nullptr;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!repository.wal) continue;
    if (first == nullptr) {
      first = &repository;
      continue;
    }
    auto lag = read_lag(config.state_directory, repository.name);
    if (!lag || lag->url != repository.url || lag->first_url != first->url) continue;
    if (lag->missing > 0 || !lag->failure.empty()) behind.push_back(std::move(*lag));
  }
  return behind;
}

ArchivePushAnswer archive_push(const Config& config, const fs::path& file,
                               const std::stop_token& stop) {
  try {
    return PushCall(config, file, stop).run();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCancelled) {
      note_push_failure(config, file.filename().string(), error);
    }
    throw;
  }
}

}  // namespace holdfast
