#include "app/recovery_work.h"

#include <cerrno>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/open.h"
#include "core/cancellation.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "postgres/connection_string.h"
#include "postgres/control_file.h"
#include "postgres/local_server.h"
#include "restore/recovery_settings.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Kind = RecoveryTarget::Kind;
using Result = RecoveryStep::Result;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{100};
constexpr int kLinksMax = 40;       // as the kernel follows, one behind the other
constexpr int kUnansweredMax = 50;  // by a server that says it is ready
// How long the archive may give nothing although it had more when the recovery was planned.
constexpr std::chrono::minutes kStarvedPatience{5};

// A name below /tmp may be somebody else's after a restart of the machine.
bool is_private_folder(const fs::path& path, uid_t owner) {
  struct stat status{};
  return !path.empty() && ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == owner && (status.st_mode & 077U) == 0;
}

fs::path without_slash(fs::path path) {
  while (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  return path;
}

// To be promoted at the end of what it has: PostgreSQL promotes no server that has not reached its
// target, and without one it would take what was archived after the copy had been checked. All
// that it replayed is in its pg_wal. Histories say which timeline is free.
std::string without_more_wal(const std::string& restore_command) {
  return fmt::format("case \"%f\" in *.history) {} ;; *) exit 1 ;; esac", restore_command);
}

}  // namespace

std::string operator_name() {
  if (const char* name = std::getenv("SUDO_USER"); name != nullptr && *name != '\0') return name;
  return user_name(::getuid());
}

std::string recovery_time_now() {
  return to_rfc3339(system_clock().now());
}

fs::path place_of_cluster(const Config& config) {
  fs::path place = without_slash(config.postgres.data_directory);
  for (int i = 0; i < kLinksMax && fs::is_symlink(place); ++i) {
    const fs::path next = without_slash(place.parent_path() / fs::read_symlink(place));
    // As the kernel goes: behind a link, ".." is what is above the folder that it leads to.
    place = fs::weakly_canonical(next.parent_path()) / next.filename();
  }
  return place;
}

CopyServerOptions copy_server_options(const Config& config, const RecoveryRecord& record) {
  return {.data_directory = record.data_directory(),
          .bin_directory = find_bin_directory(record.major_version, config.postgres.bin_directory),
          .log = record.folder / "postgresql.log",
          .major_version = record.major_version,
          .known_roles = {user_of_connection(config.postgres.connection), "postgres"}};
}

std::string describe(const DetachedServer::Position& position) {
  return "paused at " + to_string(position.replayed) +
         (position.last_transaction ? ", last transaction " + to_rfc3339(*position.last_transaction)
                                    : "");
}

RecoveryWork::RecoveryWork(const Config& config, RecoveryStore& store, RecoveryRecord record,
                           Progress& progress, const std::stop_token& stop)
    : config_(config),
      store_(store),
      record_(std::move(record)),
      progress_(progress),
      stop_(stop) {}

void RecoveryWork::step(std::string name, const std::function<std::string()>& work) {
  if (!record_.steps.empty() && record_.steps.back().result == Result::kUnderWay) {
    record_.steps.back().result = Result::kFailed;
    record_.steps.back().detail = "interrupted";
  }
  record_.steps.push_back({.name = std::move(name),
                           .began = recovery_time_now(),
                           .by = operator_name(),
                           .host = host_name()});
  save();
  fault_point("recover.step_begun");
  try {
    const std::string detail = work();
    fault_point("recover.step_worked");
    end_step(Result::kDone, detail);
  } catch (const Error& error) {
    end_step(Result::kFailed,
             error.object().empty() ? error.message() : error.message() + ": " + error.object());
    throw;
  } catch (const std::exception& error) {  // of the standard library, from a damaged disk perhaps
    end_step(Result::kFailed, error.what());
    throw Error(ErrorKind::kHost, error.what(), {.object = record_.name});
  }
}

DetachedServer& RecoveryWork::server() {
  if (!server_) {
    const auto user = copy_server_user(record_.data_directory());
    if (!is_private_folder(record_.server_folder, user ? user->uid : ::geteuid())) {
      record_.server_folder = make_server_folder(user);
      save();
    }
    server_.emplace(copy_server_options(config_, record_), record_.server_folder);
  }
  return *server_;
}

void RecoveryWork::start_server(CopyWal wal) {
  RecoverySettings settings{.major_version = record_.major_version,
                            .restore_command = record_.restore_command,
                            .target = record_.target,
                            .archiving = RecoverySettings::Archiving::kOff};
  if (record_.target.kind == Kind::kLatest) {
    settings.mode = RecoverySettings::Mode::kStandby;
    if (wal == CopyWal::kKept) {
      settings.restore_command = without_more_wal(record_.restore_command);
    } else {
      settings.target.kind = Kind::kLsn;
      settings.target.lsn = record_.to;
      settings.target.stop = RecoveryTarget::Stop::kExclusive;
      settings.target.action = RecoveryTarget::Action::kPause;
    }
  }
  struct stat owner{};
  if (::stat(record_.data_directory().c_str(), &owner) != 0) {
    throw_errno(errno, "examine", record_.data_directory().native());
  }
  const Ownership ownership({FileOwner{.uid = owner.st_uid, .gid = owner.st_gid}});
  write_recovery_settings(record_.data_directory(), settings, {ownership, 0});
  server().start(wal);
  wal_ = wal;
  started_ = true;
}

std::string RecoveryWork::await_target() {
  progress_.phase("replay", record_.to.value - std::min(record_.from, record_.to).value);
  replayed_ = record_.from;
  fed_ = SteadyClock::now();
  for (;; std::this_thread::sleep_for(kPoll)) {
    check_cancelled(stop_);
    if (!server().running()) {
      if (started_ && !server().ended_outgrown()) server().throw_ended();
      start_server(wal_);  // what was there had been told to stop, perhaps, by somebody who was
                           // killed
    }
    const auto file = read_postmaster_file(record_.data_directory());  // before it is asked
    const auto position = server().position(stop_);
    if (!position) {
      unanswered_ = file && file->status == "ready" ? unanswered_ + 1 : 0;
      if (unanswered_ > kUnansweredMax) server().connection("template1", stop_);  // says why
      if (const std::string segment = server().segment(); !segment.empty()) {
        progress_.note(fmt::format("replaying {}", segment));
      }
      continue;
    }
    if (stands_at_target(*position)) {
      // A server that was started again has not replayed any.
      if (position->last_transaction) {
        record_.last_transaction = to_rfc3339(*position->last_transaction);
      }
      return describe(*position);
    }
    progress_.note(fmt::format(
        "replayed {}, target {}", to_string(position->replayed),
        record_.target.kind == Kind::kLatest ? to_string(record_.to) : to_string(record_.target)));
    watch_for_starving(*position);
  }
}

DetachedServer::Position RecoveryWork::require_paused() {
  refuse_abandoned();
  std::optional<DetachedServer::Position> position;
  if (record_.has_done("restore") && server().running()) position = server().position(stop_);
  if (position && position->paused) return *position;
  throw Error(
      ErrorKind::kRefused, "the recovery does not stand at its target",
      {.object = record_.name,
       .hint = fmt::format("'holdfast recover start --name {}' goes on with it.", record_.name)});
}

void RecoveryWork::refuse_abandoned() const {
  if (!record_.is_being_abandoned()) return;
  throw Error(
      ErrorKind::kRefused, "the recovery is being abandoned",
      {.object = record_.name,
       .hint = fmt::format("Finish that: holdfast recover abandon {} --yes", record_.name)});
}

void RecoveryWork::refuse_promoted() const {
  if (!record_.promotion) return;
  throw Error(
      ErrorKind::kRefused, "the promotion of this recovery has begun",
      {.object = record_.name,
       .hint = fmt::format("'holdfast recover status {}' tells what comes next.", record_.name)});
}

bool RecoveryWork::was_interrupted_in(std::string_view step) const {
  return !record_.steps.empty() && record_.steps.back().name == step &&
         record_.steps.back().result != Result::kDone;
}

void RecoveryWork::end_step(Result result, std::string detail) {
  record_.steps.back().ended = recovery_time_now();
  record_.steps.back().result = result;
  record_.steps.back().detail = std::move(detail);
  save();
}

bool RecoveryWork::stands_at_target(const DetachedServer::Position& position) {
  if (position.replayed > replayed_) {
    progress_.advance(position.replayed.value - replayed_.value);
    replayed_ = position.replayed;
  }
  if (!position.recovering) {
    throw Error(
        ErrorKind::kPostgres, "PostgreSQL on the recovered copy ended its recovery",
        {.object = record_.data_directory(), .hint = "Abandon this recovery and start another."});
  }
  if (position.outgrown) {
    server().stop(stop_);
    start_server(wal_);
    return false;
  }
  if (position.paused) return true;
  if (record_.target.kind != Kind::kLatest || !position.awaits_wal || !is_at_end(position)) {
    return false;
  }
  server().pause_replay(stop_);
  return true;
}

// The last record of the archive may reach into a segment that is not there.
bool RecoveryWork::is_at_end(const DetachedServer::Position& position) const {
  const auto control = read_control_file(record_.data_directory()).parsed;
  return position.replayed.value + control.wal_segment_size.bytes >= record_.to.value;
}

void RecoveryWork::watch_for_starving(const DetachedServer::Position& position) {
  const auto now = SteadyClock::now();
  if (!position.awaits_wal) fed_ = now;
  if (now - fed_ < kStarvedPatience) return;
  throw Error(ErrorKind::kRepository,
              fmt::format("recovery waits at {} for WAL up to {}", to_string(position.replayed),
                          to_string(record_.to)),
              {.object = record_.name,
               .hint = fmt::format("Read {}; then 'holdfast recover start --name {}' goes on.",
                                   (record_.folder / "postgresql.log").native(), record_.name)});
}

}  // namespace holdfast
