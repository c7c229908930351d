#include "app/promotion_steps.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/copy_checks.h"
#include "app/hooks.h"
#include "app/last_wal.h"
#include "app/operations.h"
#include "app/take_over.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "core/error.h"
#include "core/text.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/local_server.h"
#include "recover/replaced_server.h"
#include "restore/recovery_settings.h"
#include "system/files.h"
#include "system/http_client.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr int kFenceTries = 3;  // against a service manager that starts what was stopped
constexpr std::chrono::minutes kServerPatience{3};
constexpr std::chrono::milliseconds kAnswerPoll{200};
constexpr std::chrono::seconds kHealthTimeout{10};
constexpr std::uintmax_t kLogLookedAtBytes = std::uintmax_t{4} << 20U;

bool is_data_directory(const fs::path& path) {
  return fs::exists(path / "PG_VERSION");
}

// What a server says whenever it starts, stops, or is asked too early.
constexpr std::array<std::string_view, 4> kHarmless{
    "the database system is starting up", "the database system is shutting down",
    "the database system is not yet accepting connections",
    "terminating connection due to administrator command"};

bool is_fatal(std::string_view line) {
  if (line.find("PANIC:") != std::string_view::npos) return true;
  if (line.find("FATAL:") == std::string_view::npos) return false;
  return std::ranges::none_of(kHarmless, [&](std::string_view known) {
    return line.find(known) != std::string_view::npos;
  });
}

}  // namespace

const PromotionSteps::Step PromotionSteps::kPromote[] = {
    {"stop application", &PromotionSteps::stop_application},
    {"fence old server", &PromotionSteps::fence_old_server},
    {"promote copy", &PromotionSteps::promote_copy},
    {"set aside", &PromotionSteps::set_aside},
    {"put in place", &PromotionSteps::put_in_place},
    {"start server", &PromotionSteps::start_server},
    {"take over archive", &PromotionSteps::take_over_archive},
    {"start application", &PromotionSteps::start_application},
    {"validate", &PromotionSteps::validate},
    {"back up", &PromotionSteps::back_up},
};

const PromotionSteps::Step PromotionSteps::kRollBack[] = {
    {"rollback: stop application", &PromotionSteps::stop_application},
    {"rollback: fence new server", &PromotionSteps::fence_new_server},
    {"rollback: put back copy", &PromotionSteps::put_back_copy},
    {"rollback: put back old server", &PromotionSteps::put_back_old_server},
    {"rollback: let it start", &PromotionSteps::let_old_server_start},
    {"rollback: start server", &PromotionSteps::start_old_server},
    {"rollback: take over archive", &PromotionSteps::take_back_archive},
    {"rollback: start application", &PromotionSteps::start_application},
};

void PromotionSteps::promote() {
  for (const Step& step : kPromote) {
    if (work_.record().has_done(step.name)) continue;
    progress_.phase(step.name, 0);
    work_.step(step.name, [&] { return (this->*step.work)(); });
  }
}

void PromotionSteps::roll_back() {
  for (const Step& step : kRollBack) {
    if (work_.record().has_done(step.name)) continue;
    progress_.phase(step.name, 0);
    work_.step(step.name, [&] { return (this->*step.work)(); });
  }
}

std::string PromotionSteps::hook(const HookConfig& hook, const std::string& name) {
  return run_hook(hook,
                  {.name = name,
                   .cluster = config_.cluster,
                   .recovery = work_.record().name,
                   .data_directory = promotion().place,
                   .log = config_.state_directory / "hooks.log"},
                  stop_);
}

fs::path PromotionSteps::server_log() const {
  return config_.state_directory / "server.log";
}

std::string PromotionSteps::stop_application() {
  return hook(config_.hooks.stop_application, "stop_application");
}

std::string PromotionSteps::start_application() {
  return hook(config_.hooks.start_application, "start_application");
}

void PromotionSteps::stop_server() {
  hook(config_.hooks.stop_server, "stop_server");
  stop_server_in(promotion().place, stop_);
}

std::string PromotionSteps::fence_server() {
  const fs::path& place = promotion().place;
  if (is_fenced(place) && !running_server(place)) return "it cannot start";
  for (int i = 0; i < kFenceTries; ++i) {
    unfence(place);  // a server that was started meanwhile could not even stop without it
    stop_server();
    const ControlFile stopped = read_control_file(place).parsed;
    const std::string archived = archive_last_wal(config_, place, stop_);
    const bool same = read_control_file(place).parsed.checkpoint == stopped.checkpoint;
    fence(place);
    if (same && !running_server(place)) return archived;
  }
  throw Error(ErrorKind::kRefused, "something starts the server again whenever it is stopped",
              {.object = place,
               .hint = "Let the hook stop_server tell the service manager, for instance "
                       "'systemctl stop postgresql@15-main'. Then promote again, or roll back."});
}

std::string PromotionSteps::fence_old_server() {
  const fs::path& place = promotion().place;
  if (!is_data_directory(place)) return "there is none";
  // Once for all: by the second try it may be the options of nobody.
  if (promotion().start_options.empty()) {
    work_.change().promotion->start_options = last_start_options(place);
    work_.save();
  }
  if (promotion().lost.empty()) return fence_server();
  try {
    return fence_server();
  } catch (const Error& error) {
    // The operator said that it is lost: its WAL may be what cannot be had any more. It must stop.
    if (error.kind() == ErrorKind::kCancelled || running_server(place)) throw;
    if (fs::exists(place / kControlFilePath)) fence(place);
    warnings_.push_back("the last WAL of the old server could not be archived: " + error.message());
    return "its last WAL could not be archived: " + error.message();
  }
}

std::string PromotionSteps::promote_copy() {
  const fs::path& copy = work_.record().data_directory();
  if (!fs::exists(copy)) return "it is in its place already";
  // Without a signal file it was promoted by a call that was interrupted.
  if (would_recover(copy)) {
    work_.server().stop(stop_);
    work_.start_server(CopyWal::kKept);
    work_.await_target();
    require_as_checked();
    work_.server().promote(stop_);
  } else if (!work_.server().running() &&
             read_control_file(copy).parsed.state != ClusterState::kShutDown) {
    work_.server().start(CopyWal::kKept);
  }
  work_.server().await_open(stop_);
  work_.server().stop(stop_);
  const ControlFile control = read_control_file(copy).parsed;
  if (control.state != ClusterState::kShutDown) {
    throw Error(ErrorKind::kPostgres, "the promoted copy did not shut down cleanly",
                {.object = copy});
  }
  struct stat owner{};
  if (::stat(copy.c_str(), &owner) != 0) throw_errno(errno, "examine", copy.native());
  const Ownership ownership({FileOwner{.uid = owner.st_uid, .gid = owner.st_gid}});
  remove_recovery_settings(copy, {ownership, 0});
  return fmt::format("timeline {}, shut down at {}", control.checkpoint_timeline.value,
                     to_string(control.checkpoint));
}

// What was checked is what is promoted.
void PromotionSteps::require_as_checked() {
  const auto position = work_.server().position(stop_);
  const std::string at = position ? to_string(position->replayed) : "nowhere";
  if (at == work_.record().verdict->at) return;
  throw Error(
      ErrorKind::kPostgres,
      fmt::format("the copy stands at {}, but was checked at {}", at, work_.record().verdict->at),
      {.object = work_.record().name, .hint = "Roll back, and start another recovery."});
}

std::string PromotionSteps::set_aside() {
  const RecoveryPromotion& at = promotion();
  if (at.aside.empty()) return "there is none";
  if (!fs::exists(at.aside)) rename_durably(at.place, at.aside);
  return at.aside.native();
}

std::string PromotionSteps::put_in_place() {
  const RecoveryPromotion& at = promotion();
  const fs::path copy = work_.record().data_directory();
  if (fs::exists(copy)) {
    make_folders(at.place.parent_path(), 0700);
    rename_durably(copy, at.place);
  }
  return at.place.native();
}

void PromotionSteps::await_server() {
  const auto deadline = std::chrono::steady_clock::now() + kServerPatience;
  for (;; std::this_thread::sleep_for(kAnswerPoll)) {
    try {
      Session session = Session::connect(config_.postgres.connection, stop_);
      if (session.in_recovery()) {
        throw Error(ErrorKind::kPostgres, "the server is in recovery",
                    {.object = promotion().place});
      }
      check_server(session.server(), promotion().place);
      return;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kPostgres || std::chrono::steady_clock::now() > deadline)
        throw;
    }
    check_cancelled(stop_);
  }
}

std::string PromotionSteps::start_server() {
  const fs::path& place = promotion().place;
  if (!running_server(place)) {
    if (!config_.hooks.start_server.run.empty()) {
      hook(config_.hooks.start_server, "start_server");
    } else {
      start_server_in({.data_directory = place,
                       .bin_directory = find_bin_directory(data_directory_version(place),
                                                           config_.postgres.bin_directory),
                       .options = promotion().start_options,
                       .log = server_log()},
                      stop_);
    }
  }
  await_server();
  return config_.postgres.connection.empty() ? "" : "it answers";
}

std::string PromotionSteps::take_over_archive() {
  NewHistoryResult taken = take_over(config_, stop_);
  std::ranges::move(taken.warnings, std::back_inserter(warnings_));
  return "history " + to_string(taken.history.name);
}

void PromotionSteps::await_health() {
  const RecoverConfig& wanted = config_.recover;
  HttpClient client({.failure_kind = ErrorKind::kCheckFailed, .total_timeout = kHealthTimeout});
  const auto deadline = std::chrono::steady_clock::now() + wanted.health_within;
  std::string last;
  do {
    try {
      const HttpResponse answer = client.request({.url = wanted.health}, stop_);
      if (answer.status == static_cast<int>(wanted.health_status)) return;
      last = fmt::format("status {}", answer.status);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      last = error.message();
    }
    std::this_thread::sleep_for(kAnswerPoll);
  } while (std::chrono::steady_clock::now() < deadline);
  throw Error(ErrorKind::kCheckFailed,
              fmt::format("the application is not healthy after {}: {}, wanted is status {}",
                          human_duration(wanted.health_within), last, wanted.health_status),
              {.object = wanted.health});
}

void PromotionSteps::check_log() {
  const fs::path log = config_.recover.log.empty() ? server_log() : fs::path(config_.recover.log);
  std::error_code none;
  const std::uintmax_t size = fs::file_size(log, none);
  if (none && config_.recover.log.empty()) return;  // the service manager started it
  std::ifstream in(log, std::ios::binary);
  if (!in) {
    throw Error(ErrorKind::kCheckFailed, "the server's log cannot be read", {.object = log});
  }
  in.seekg(static_cast<std::streamoff>(size > kLogLookedAtBytes ? size - kLogLookedAtBytes : 0));
  // Lines of the old server are none of it: the last start counts.
  std::string fatal;
  for (std::string line; std::getline(in, line);) {
    if (line.find("starting PostgreSQL ") != std::string::npos) fatal.clear();
    if (is_fatal(line)) fatal = line;
  }
  if (fatal.empty()) return;
  throw Error(ErrorKind::kCheckFailed, "the server's log has: " + fatal, {.object = log});
}

std::string PromotionSteps::validate() {
  const auto results = check_production(config_, stop_);
  if (!all_passed(results)) {
    const auto failed =
        std::ranges::find(results, CheckResult::Verdict::kFailed, &CheckResult::verdict);
    throw Error(ErrorKind::kCheckFailed,
                fmt::format("the check '{}' failed: {}", failed->name, failed->detail),
                {.object = promotion().place});
  }
  hook(config_.hooks.validate, "validate");
  if (!config_.recover.health.empty()) await_health();
  check_log();
  return fmt::format("{} checks{}{}, log", results.size(),
                     config_.hooks.validate.run.empty() ? "" : ", hook",
                     config_.recover.health.empty() ? "" : ", health");
}

std::string PromotionSteps::back_up() {
  const RepositoryConfig& repository = find_repository(config_, work_.record().repository);
  BackupResult taken =
      backup(config_, repository,
             {.reason = fmt::format("after the promotion of recovery {}", work_.record().name)},
             progress_, stop_);
  std::ranges::move(taken.warnings, std::back_inserter(warnings_));
  return taken.info.name.id.text;
}

// The new server, where it got so far: it must not come back while the old one starts.
std::string PromotionSteps::fence_new_server() {
  if (!work_.record().has_begun("put in place")) return "it was never in place";
  if (fs::exists(work_.record().data_directory())) return "it is not in place";
  const fs::path& place = promotion().place;
  if (!is_data_directory(place)) return "there is none";
  if (is_fenced(place) && !running_server(place)) return "it cannot start";
  // Before the take-over nothing of it may be archived: it stays in the copy.
  if (!fs::exists(place / kRestoreMarker)) return fence_server();
  stop_server();
  fence(place);
  return "it was stopped";
}

std::string PromotionSteps::put_back_copy() {
  const fs::path copy = work_.record().data_directory();
  const RecoveryPromotion& at = promotion();
  if (fs::exists(copy) || !work_.record().has_begun("put in place")) return "it is there";
  rename_durably(at.place, copy);
  return copy.native();
}

std::string PromotionSteps::put_back_old_server() {
  const RecoveryPromotion& at = promotion();
  if (!fs::exists(at.aside)) return "it is there";
  rename_durably(at.aside, at.place);
  return at.place.native();
}

std::string PromotionSteps::let_old_server_start() {
  unfence(promotion().place);
  return "done";
}

std::string PromotionSteps::start_old_server() {
  return start_server();
}

std::string PromotionSteps::take_back_archive() {
  if (!work_.record().has_begun("take over archive")) return "it never left it";
  return take_over_archive();
}

}  // namespace holdfast
