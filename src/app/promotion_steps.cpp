#include "app/promotion_steps.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/copy_checks.h"
#include "app/hooks.h"
#include "app/last_wal.h"
#include "app/new_standbys.h"
#include "app/operations.h"
#include "app/server_log.h"
#include "app/take_over.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "core/counted.h"
#include "core/error.h"
#include "core/redact.h"
#include "core/text.h"
#include "postgres/connection.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/local_server.h"
#include "recover/copy_start.h"
#include "recover/replaced_server.h"
#include "restore/recovery_settings.h"
#include "system/files.h"
#include "system/http_client.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStartServerStep = "start server";
constexpr int kFenceTries = 3;  // against a service manager that starts what was stopped
constexpr std::chrono::minutes kServerPatience{3};
constexpr std::chrono::milliseconds kAnswerPoll{200};
constexpr std::chrono::seconds kHealthTimeout{10};
constexpr std::uintmax_t kLogLookedAtBytes = std::uintmax_t{4} << 20U;

bool is_data_directory(const fs::path& path) {
  return fs::exists(path / "PG_VERSION");
}

bool cannot_start(const fs::path& data_directory) {
  return !fs::exists(data_directory / kControlFilePath) && !running_server(data_directory);
}

// A server that was killed, or one that runs in another container, would not have said this.
void require_shut_down(const ControlFile& control, const fs::path& data_directory) {
  if (control.state == ClusterState::kShutDown) return;
  throw Error(ErrorKind::kRefused,
              "no server runs here, but the last one was not shut down cleanly",
              {.object = data_directory,
               .hint = "It may run where it cannot be seen: in another container, on another host. "
                       "If it died: start it and let it stop, or promote with --lost 'WHY'."});
}

// Whether it has left its recovery, by what its control file says: PostgreSQL removes the signal
// files before it has got so far.
bool has_left_recovery(const ControlFile& control) {
  return control.state != ClusterState::kInArchiveRecovery &&
         control.state != ClusterState::kShutDownInRecovery;
}

}  // namespace

const PromotionSteps::Step PromotionSteps::kPromote[] = {
    {"stop application", &PromotionSteps::stop_application},
    {"fence old server", &PromotionSteps::fence_old_server},
    {"promote copy", &PromotionSteps::promote_copy},
    {"set aside", &PromotionSteps::set_aside},
    {"put in place", &PromotionSteps::put_in_place},
    {kStartServerStep, &PromotionSteps::start_server},
    {"take over archive", &PromotionSteps::take_over_archive},
    {"start application", &PromotionSteps::start_application},
    {"validate", &PromotionSteps::validate},
    {"back up", &PromotionSteps::back_up},
};

const PromotionSteps::Step PromotionSteps::kRollBack[] = {
    {"rollback: stop application", &PromotionSteps::stop_application},
    {"rollback: stop standbys", &PromotionSteps::set_standbys_aside},
    {"rollback: fence new server", &PromotionSteps::fence_new_server},
    {"rollback: put back copy", &PromotionSteps::put_back_copy},
    {"rollback: put back old server", &PromotionSteps::put_back_old_server},
    {"rollback: let it start", &PromotionSteps::let_old_server_start},
    {"rollback: start server", &PromotionSteps::start_old_server},
    {"rollback: take over archive", &PromotionSteps::take_back_archive},
    {"rollback: start application", &PromotionSteps::start_application},
};

void PromotionSteps::run(const std::string& step, const std::function<std::string()>& work) {
  progress_.phase(step, 0);
  try {
    work_.step(step, work);
  } catch (Error& error) {
    error.during(fmt::format("step '{}' of the promotion", step));
    throw;
  }
}

std::string PromotionSteps::who_serves() const {
  const fs::path& place = promotion().place;
  if (!running_server(place)) return "no server runs in " + place.native();
  return fmt::format("{} runs in {}", is_copy(place) ? "the recovered copy" : "the old server",
                     place.native());
}

// It may have died since: then it is started again, as a step of its own, when somebody says that
// the promotion is to go on.
void PromotionSteps::start_again_if_it_died() {
  if (!work_.record().has_done_since_turn(kStartServerStep) || work_.record().is_promoted() ||
      running_server(promotion().place)) {
    return;
  }
  run(kStartServerStep, [&] { return start_server() + ", after it had died"; });
}

void PromotionSteps::promote() {
  start_again_if_it_died();
  for (const Step& step : kPromote) {
    if (work_.record().has_done_since_turn(step.name)) continue;
    run(step.name, [&] { return (this->*step.work)(); });
  }
  for (std::size_t i = 0; i < promotion().standbys.size(); ++i) {
    const std::string name = standby_step(i);
    if (promotion().standbys[i].dropped || work_.record().has_done_since_turn(name)) continue;
    run(name, [&] { return build_standby_of(i); });
  }
}

void PromotionSteps::roll_back() {
  require_way_back();
  for (const Step& step : kRollBack) {
    if (work_.record().has_done_since_turn(step.name)) continue;
    run(step.name, [&] { return (this->*step.work)(); });
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

bool PromotionSteps::is_copy(const fs::path& path) const {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == promotion().copy_device &&
         status.st_ino == promotion().copy_inode;
}

fs::path PromotionSteps::old_directory() const {
  const RecoveryPromotion& at = promotion();
  return !at.aside.empty() && fs::exists(at.aside) ? at.aside : at.place;
}

void PromotionSteps::require_way_back() const {
  const fs::path old = old_directory();
  const bool whole =
      is_data_directory(old) && (fs::exists(old / kControlFilePath) || is_fenced(old));
  if (whole && !is_copy(old)) return;
  throw Error(ErrorKind::kRefused,
              "the replaced data directory is gone: there is nothing to go back to",
              {.object = promotion().aside, .hint = "Nothing was changed."});
}

void PromotionSteps::require_nobody_answers() const {
  try {
    Session session = Session::connect(config_.postgres.connection, stop_);
    const bool is_ours = session.server().system_identifier == promotion().system_identifier;
    if (!is_ours || session.in_recovery()) return;
  } catch (const Error& error) {
    if (says_no_server(error)) return;
    if (error.kind() != ErrorKind::kPostgres) throw;
    throw Error(ErrorKind::kRefused,
                "whether a server of this cluster still runs elsewhere could not be told: " +
                    error.message(),
                {.object = redact_secrets(config_.postgres.connection),
                 .hint = "Something may be there. Make postgres.connection one that leads to the "
                         "server in the data directory and to no other."});
  }
  throw Error(ErrorKind::kRefused,
              "a server of this cluster still answers, and it is not the one in the data directory",
              {.object = redact_secrets(config_.postgres.connection),
               .hint = "Stop it first, wherever it runs. Or correct postgres.connection."});
}

void PromotionSteps::stop_server(const fs::path& data_directory) {
  if (data_directory == promotion().place) hook(config_.hooks.stop_server, "stop_server");
  stop_server_in(data_directory, stop_);
}

std::string PromotionSteps::fence_server(const fs::path& data_directory) {
  if (cannot_start(data_directory)) return "it cannot start";
  for (int i = 0; i < kFenceTries; ++i) {
    unfence(data_directory);  // a server that was started meanwhile could not stop without it
    stop_server(data_directory);
    const ControlFile stopped = read_control_file(data_directory).parsed;
    // The copy was seen to run here: if it crashed, it crashed.
    if (!is_copy(data_directory)) require_shut_down(stopped, data_directory);
    const std::string archived = archive_last_wal(config_, data_directory, stop_);
    const bool same = read_control_file(data_directory).parsed.checkpoint == stopped.checkpoint;
    fence(data_directory);
    if (same && !running_server(data_directory)) return archived;
  }
  throw Error(
      ErrorKind::kRefused, "something starts the server again whenever it is stopped",
      {.object = data_directory,
       .hint = "Let the hook stop_server tell the service manager, for instance "
               "'sudo systemctl stop postgresql@15-main'. Then promote again, or roll back."});
}

// The operator said that it is lost: its WAL may be what cannot be had any more. But it must stop.
std::string PromotionSteps::fence_lost_server(const fs::path& data_directory) {
  std::string why;
  try {
    return fence_server(data_directory);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    why = error.message();
  } catch (const std::exception& error) {  // a damaged disk
    why = error.what();
  }
  stop_server_in(data_directory, stop_);
  if (fs::exists(data_directory / kControlFilePath)) fence(data_directory);
  if (running_server(data_directory)) {
    throw Error(
        ErrorKind::kRefused, "the old server was started again",
        {.object = data_directory,
         .hint = "Let the hook stop_server tell the service manager, then promote again, or "
                 "roll back."});
  }
  why = "its last WAL could not be archived: " + why;
  warnings_.push_back("of the old server: " + why);
  return why;
}

// Also before each step that relies on it: somebody may have undone it meanwhile.
std::string PromotionSteps::keep_old_fenced() {
  const fs::path old = old_directory();
  if (!is_data_directory(old) || is_copy(old)) return "there is none";
  return promotion().lost.empty() ? fence_server(old) : fence_lost_server(old);
}

std::string PromotionSteps::fence_old_server() {
  // Once for all: by the second try it may be the options of nobody.
  if (promotion().start_options.empty()) {
    try {
      work_.change().promotion->start_options = last_start_options(old_directory());
    } catch (const Error& error) {
      if (promotion().lost.empty()) throw;
      warnings_.push_back(error.message());
    }
    work_.save();
  }
  const std::string said = keep_old_fenced();
  require_nobody_answers();
  // After a rollback that was turned round, wherever that had got to.
  unfence(is_copy(promotion().place) ? promotion().place : work_.record().data_directory());
  return said;
}

std::string PromotionSteps::promote_copy() {
  keep_old_fenced();
  const fs::path& copy = work_.record().data_directory();
  if (is_copy(promotion().place)) return "it is in its place already";
  const auto control = [&] { return read_control_file(copy).parsed; };
  if (!has_left_recovery(control())) work_.server().stop(stop_);
  if (!has_left_recovery(control())) {
    work_.start_server(CopyWal::kKept);
    work_.await_target();
    require_as_checked();
    work_.server().promote(stop_);
  } else if (!work_.server().running() && control().state != ClusterState::kShutDown) {
    work_.server().start(CopyWal::kKept);
  }
  work_.server().await_open(stop_);
  work_.server().stop(stop_);
  const ControlFile stopped = control();
  const bool is_new = work_.record().target.timeline.number < stopped.checkpoint_timeline;
  if (stopped.state != ClusterState::kShutDown || !is_new) {
    throw Error(ErrorKind::kPostgres, "the copy was not promoted as it should",
                {.object = copy, .hint = "Roll back, abandon it, and start another recovery."});
  }
  struct stat owner{};
  if (::stat(copy.c_str(), &owner) != 0) throw_errno(errno, "examine", copy.native());
  const Ownership ownership({FileOwner{.uid = owner.st_uid, .gid = owner.st_gid}});
  remove_recovery_settings(copy, {ownership, 0});
  return fmt::format("timeline {}, shut down at {}", stopped.checkpoint_timeline.value,
                     to_string(stopped.checkpoint));
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
  keep_old_fenced();
  const RecoveryPromotion& at = promotion();
  if (at.aside.empty()) return "there is none";
  if (!fs::exists(at.aside) && !is_copy(at.place)) rename_durably(at.place, at.aside);
  return at.aside.native();
}

std::string PromotionSteps::put_in_place() {
  keep_old_fenced();
  const RecoveryPromotion& at = promotion();
  if (!is_copy(at.place)) {
    make_folders(at.place.parent_path(), 0700);
    rename_durably(work_.record().data_directory(), at.place);
  }
  return at.place.native();
}

// One look at the server: kPostgres where it is not there yet, kRefused where it is the wrong one.
void PromotionSteps::look_at_server() {
  const fs::path& place = promotion().place;
  Session session = Session::connect(config_.postgres.connection, stop_);
  if (session.in_recovery()) {
    throw Error(ErrorKind::kPostgres, "the server is in recovery", {.object = place});
  }
  check_server(session.server(), place);
  const auto row = session.query("select pg_backend_pid(), current_setting('archive_mode')").at(0);
  if (!is_session_of(place, std::stoi(row.at(0).value_or("0")))) {
    throw Error(ErrorKind::kRefused,
                "postgres.connection leads to another server than the one in the data directory",
                {.object = redact_secrets(config_.postgres.connection),
                 .hint = "Correct it, then promote again, or roll back."});
  }
  if (is_copy(place) && row.at(1) == "off") {
    throw Error(ErrorKind::kRefused, "the promoted server archives nothing: archive_mode is off",
                {.object = place,
                 .hint = "Set it to on in its configuration, stop the server, and promote again."});
  }
}

void PromotionSteps::await_server() {
  const auto deadline = std::chrono::steady_clock::now() + kServerPatience;
  for (;; std::this_thread::sleep_for(kAnswerPoll)) {
    check_cancelled(stop_);
    try {
      return look_at_server();
    } catch (const Error& error) {
      const bool may_come = error.kind() == ErrorKind::kPostgres;
      if (!may_come || std::chrono::steady_clock::now() > deadline) throw;
    }
  }
}

void PromotionSteps::start_with_pg_ctl() {
  const fs::path& place = promotion().place;
  try {
    start_server_in({.data_directory = place,
                     .bin_directory = find_bin_directory(data_directory_version(place),
                                                         config_.postgres.bin_directory),
                     .options = promotion().start_options,
                     .log = server_log()},
                    stop_);
  } catch (const Error& error) {
    // A service manager was quicker, and its server is the one that is looked at next.
    if (error.kind() != ErrorKind::kPostgres || !running_server(place)) throw;
  }
}

std::string PromotionSteps::start_server() {
  const fs::path& place = promotion().place;
  if (!running_server(place)) {
    if (!config_.hooks.start_server.run.empty()) {
      hook(config_.hooks.start_server, "start_server");
    } else {
      start_with_pg_ctl();
    }
  }
  await_server();
  return "it answers";
}

std::string PromotionSteps::take_over_archive() {
  NewHistoryResult taken = take_over(config_, stop_);
  std::ranges::move(taken.warnings, std::back_inserter(warnings_));
  if (is_copy(promotion().place)) work_.change().promotion->unarchived = false;
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

// What a service manager started writes where nobody told us.
std::string PromotionSteps::check_log() {
  const bool ours = config_.hooks.start_server.run.empty() && fs::exists(server_log());
  if (config_.recover.log.empty() && !ours) return "log: not looked at, set recover.log";
  const fs::path log = config_.recover.log.empty() ? server_log() : fs::path(config_.recover.log);
  const std::uintmax_t size = end_of_log(log);
  std::ifstream in(log, std::ios::binary);
  if (!in) {
    throw Error(ErrorKind::kCheckFailed, "the server's log cannot be read",
                {.object = log, .hint = "Correct recover.log, then promote again."});
  }
  in.seekg(static_cast<std::streamoff>(size > kLogLookedAtBytes ? size - kLogLookedAtBytes : 0));
  const LogFindings found = read_server_log(in);
  if (!found.panic.empty()) {
    throw Error(ErrorKind::kCheckFailed, "the server's log has: " + found.panic, {.object = log});
  }
  if (found.fatal == 0) return "log: nothing";
  return fmt::format("log: {} ended by FATAL, the last: {}", counted(found.fatal, "session"),
                     found.last_fatal);
}

std::string PromotionSteps::validate() {
  const auto results = check_production(config_, stop_);
  if (!all_passed(results)) {
    const auto failed =
        std::ranges::find(results, CheckResult::Verdict::kFailed, &CheckResult::verdict);
    throw Error(ErrorKind::kCheckFailed,
                fmt::format("the check '{}' failed: {}", failed->name, failed->detail),
                {.object = promotion().place,
                 .hint = lacks_right(failed->detail) ? rights_remedy(config_) : ""});
  }
  hook(config_.hooks.validate, "validate");
  if (!config_.recover.health.empty()) await_health();
  look_at_server();  // it may have died of what was asked of it
  return fmt::format("{}{}{}, {}", counted(results.size(), "check"),
                     config_.hooks.validate.run.empty() ? "" : ", hook",
                     config_.recover.health.empty() ? "" : ", health", check_log());
}

std::string PromotionSteps::back_up() {
  const RepositoryConfig& repository = find_repository(config_, work_.record().repository);
  BackupResult taken =
      backup(config_, repository,
             {.reason = fmt::format("after the promotion of recovery {}", work_.record().name)},
             progress_, stop_);
  std::ranges::move(taken.warnings, std::back_inserter(warnings_));
  work_.change().promotion->fresh_backup = taken.info.name.id.text;
  return taken.info.name.id.text;
}

std::string PromotionSteps::build_standby_of(std::size_t index) {
  const RecoveryPromotion& at = promotion();
  return build_standby(
      config_,
      {.recovery = work_.record().lasting_name(),
       .repository = work_.record().repository,
       .backup = at.fresh_backup,
       .system_identifier = at.system_identifier},
      work_.change().promotion->standbys.at(index), [&] { work_.save(); }, progress_, stop_);
}

// Of a server that is taken back they serve nobody.
std::string PromotionSteps::set_standbys_aside() {
  std::string said;
  for (RecoveryStandby& standby : work_.change().promotion->standbys) {
    if (!set_standby_aside(work_.record().lasting_name(), standby, [&] { work_.save(); }, stop_)) {
      warnings_.push_back(fmt::format("{} was left as it is: somebody else made it",
                                      standby.data_directory.native()));
    }
    if (!standby.aside.empty()) said += (said.empty() ? "" : ", ") + standby.aside.native();
  }
  return said.empty() ? "there are none" : said;
}

// The new server, where it got so far: it must not come back while the old one starts.
std::string PromotionSteps::fence_new_server() {
  const fs::path& place = promotion().place;
  if (!is_copy(place)) return "it is not in place";
  if (!fs::exists(place / kRestoreMarker)) {
    const std::string archived = fence_server(place);
    require_nobody_answers();
    return archived;
  }
  // Nothing of it may be archived before the take-over, and it may have been written to.
  if (work_.record().has_begun("start server")) work_.change().promotion->unarchived = true;
  work_.save();
  if (cannot_start(place)) return "it cannot start";
  stop_server(place);
  fence(place);
  return "it was stopped, before it had taken over the archive";
}

std::string PromotionSteps::put_back_copy() {
  const fs::path copy = work_.record().data_directory();
  if (is_copy(promotion().place)) rename_durably(promotion().place, copy);
  return copy.native();
}

std::string PromotionSteps::put_back_old_server() {
  const RecoveryPromotion& at = promotion();
  if (fs::exists(at.aside)) rename_durably(at.aside, at.place);
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
