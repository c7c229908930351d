#include "app/promotion.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <iterator>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "app/copy_checks.h"
#include "app/open.h"
#include "app/operations.h"
#include "app/promotion_steps.h"
#include "app/recovery_report.h"
#include "app/recovery_work.h"
#include "app/verify_operations.h"
#include "core/error.h"
#include "core/text.h"
#include "postgres/control_file.h"
#include "repository/catalogue.h"
#include "repository/history.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kConfigFileBytesMax = std::size_t{4} << 20U;

[[noreturn]] void refuse(const std::string& message, const std::string& object,
                         const std::string& hint) {
  throw Error(ErrorKind::kRefused, message, {.object = object, .hint = hint});
}

void require_typed_name(const Config& config, const std::string& typed, std::string_view command) {
  if (typed == config.cluster) return;
  refuse(typed.empty() ? "this changes the cluster itself, and its name was not typed"
                       : "the name that was typed is not the cluster's",
         config.cluster, fmt::format("holdfast recover {} --confirm {}", command, config.cluster));
}

// Files and folders that PostgreSQL uses are made on the way, and it does not run as root.
void refuse_root() {
  if (::geteuid() != 0) return;
  refuse("a promotion is not for root", "root",
         "Run it as the owner of the data directory: sudo -u postgres holdfast recover …");
}

// Of one place one promotion at a time: a rollback must find what it replaced.
void refuse_another_promotion(const RecoveryStore& store, const std::string& name) {
  for (const std::string& other : store.names()) {
    const auto record = other == name ? std::nullopt : store.find(other);
    if (!record || !record->promotion) continue;
    refuse("another recovery was promoted, and can be rolled back", other,
           fmt::format("End that first: 'holdfast recover status {}' tells how.", other));
  }
}

void require_verdict(const RecoveryRecord& record) {
  const std::string again = fmt::format("holdfast recover check {}", record.name);
  if (!record.verdict) refuse("the recovered copy was not checked", record.name, again);
  if (record.verdict->passed) return;
  const auto& checks = record.verdict->checks;
  if (verdict_of(checks) == CopyVerdict::kNotChecked) {
    refuse("nobody has looked into the recovered copy: skipped were " + not_looked_at(checks),
           record.name, let_recovery_be_checked(record.name));
  }
  refuse("the checks of the recovered copy failed", record.name,
         fmt::format("'holdfast recover status {}' shows which. Another point: 'recover forward'. "
                     "Checked again: {}",
                     record.name, again));
}

void require_approvals(const Config& config, const RecoveryRecord& record) {
  if (record.approvals.size() >= config.recover.approvals) return;
  refuse(fmt::format("the recovery has {} of the {} approvals that recover.approvals asks for",
                     record.approvals.size(), config.recover.approvals),
         record.name, fmt::format("holdfast recover approve {} --by NAME", record.name));
}

// Whether a backup is of the history that the server in the data directory writes.
bool is_of_old_server(const Config& config, const CatalogueEntry& entry) {
  const fs::path old = config.postgres.data_directory;
  const auto binding = read_history_binding(old);
  if (binding && binding->cluster == config.cluster) return entry.name.history == binding->history;
  return entry.name.history.system_identifier == read_control_file(old).parsed.system_identifier;
}

bool is_damaged(const Repository& repository, const CatalogueEntry& entry,
                const std::stop_token& stop) {
  return entry.state == BackupState::kDamaged || entry.outcome.info.damaged_pages > 0 ||
         speaks_against(last_proof(repository, entry.name, stop));
}

// The backup that brings back what is replaced: the newest of those of which nobody knows that they
// are damaged.
std::string require_fresh_backup(const Config& config, const RecoveryRecord& record,
                                 const std::stop_token& stop) {
  const std::string hint =
      "holdfast backup. If that server cannot be backed up any more: --lost 'WHY'";
  const auto opened = open_repository(find_repository(config, record.repository), stop);
  const auto backups = list_backups(*opened, config.cluster, stop);
  std::string damaged;
  for (auto entry = backups.rbegin(); entry != backups.rend(); ++entry) {
    const bool is_backup =
        entry->state == BackupState::kCommitted || entry->state == BackupState::kDamaged;
    if (!is_backup || entry->outcome.info.recovered || !is_of_old_server(config, *entry)) continue;
    if (is_damaged(*opened, *entry, stop)) {
      if (damaged.empty()) damaged = fmt::format(" ({} is damaged)", entry->name.id.text);
      continue;
    }
    const auto age = system_clock().now() - entry->outcome.info.stop_time;
    if (age <= config.recover.backup_age) return entry->name.id.text;
    refuse(fmt::format("the last good backup of what would be replaced is {} old, and "
                       "recover.backup_age is {}{}",
                       human_duration(age), human_duration(config.recover.backup_age), damaged),
           entry->name.id.text, hint);
  }
  refuse("what would be replaced has no good backup" + damaged, config.cluster, hint);
}

// A copy of what the repository was cannot be taken over into what it is, where nothing of it is
// there any more: that would be found out when the old server has been stopped.
void require_present(const Config& config, const RecoveryRecord& record,
                     const std::stop_token& stop) {
  if (record.as_of.empty()) return;
  std::string why = "the backup is not in it any more";
  try {
    const auto opened = open_repository(find_repository(config, record.repository), stop);
    for (const CatalogueEntry& entry : list_backups(*opened, config.cluster, stop)) {
      if (entry.name.id.text == record.backup && entry.state == BackupState::kCommitted) return;
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    why = error.message();
  }
  refuse("the copy was made of the repository as it was, and it is not so now: " + why,
         record.backup,
         fmt::format("holdfast undelete --as-of {} --yes; then promote.", record.as_of));
}

// Also one of the file system that is around it, which has the same device number: then only the
// kernel knows (statx(2)).
bool is_mount_point(const fs::path& path) {
  struct statx own{};
  struct stat above{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &own) != 0) return false;
  if ((own.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (own.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  return ::stat(path.parent_path().c_str(), &above) == 0 &&
         ::makedev(own.stx_dev_major, own.stx_dev_minor) != above.st_dev;
}

// What is mounted in a data directory moves along with it, until the machine starts again: then it
// is mounted over what has taken the place. PostgreSQL's own folders are at most two levels deep.
fs::path mounted_in(const fs::path& place) {
  constexpr auto kSkip = fs::directory_options::skip_permission_denied;
  std::error_code unreadable;
  for (fs::recursive_directory_iterator entry(place, kSkip, unreadable), end;
       !unreadable && entry != end; entry.increment(unreadable)) {
    std::error_code gone;
    const bool folder = entry->is_directory(gone) && !entry->is_symlink(gone);
    if ((folder || entry.depth() == 0) && is_mount_point(entry->path())) return entry->path();
    if (entry.depth() > 0) entry.disable_recursion_pending();
  }
  return {};
}

fs::path existing_above(fs::path path) {
  while (!fs::exists(path)) path = path.parent_path();
  return path;
}

// Everything that a rename needs, before anything is stopped for it.
void require_place(const fs::path& place, const RecoveryRecord& record) {
  const fs::path above = existing_above(place.parent_path());
  struct stat there{};
  struct stat here{};
  if (::stat(above.c_str(), &there) != 0) throw_errno(errno, "examine", above.native());
  if (::stat(record.folder.c_str(), &here) != 0) {
    throw_errno(errno, "examine", record.folder.native());
  }
  if (there.st_dev != here.st_dev) {
    refuse("the recovered copy is on another file system than the cluster's data directory",
           record.folder,
           fmt::format("It is put in place by a rename. Recover it there: 'holdfast recover start "
                       "--name ANOTHER --scratch {}'.",
                       above.native()));
  }
  if (is_mount_point(place)) {
    refuse("the data directory is a mount point, which cannot be renamed", place,
           "Let the data directory be a folder below the mount point, and lead there with a "
           "symbolic link: docs/promotion.md says how.");
  }
  if (const fs::path mounted = mounted_in(place); !mounted.empty()) {
    refuse("a file system is mounted inside the data directory", mounted,
           "Mount it elsewhere, and let a symbolic link lead there: docs/promotion.md says how.");
  }
  if (::access(above.c_str(), W_OK) != 0) throw_errno(errno, "write to", above.native());
  for (const char* signal : {"standby.signal", "recovery.signal"}) {
    if (!fs::exists(place / signal)) continue;
    refuse("the server in the data directory is no primary", place / signal,
           "Promote where the primary is.");
  }
}

// Settings that were changed since the backup: the operator decides which are right.
std::vector<std::string> differing_files(const fs::path& old, const fs::path& recovered) {
  std::vector<std::string> differing;
  for (const char* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    if (!fs::exists(old / name)) continue;
    if (read_file(old / name, kConfigFileBytesMax) !=
        read_file(recovered / name, kConfigFileBytesMax)) {
      differing.emplace_back(name);
    }
  }
  if (fs::is_symlink(old / "pg_wal")) {
    differing.push_back(
        fmt::format("pg_wal, which was a link to {}", fs::read_symlink(old / "pg_wal").native()));
  }
  return differing;
}

std::vector<std::string> differing_files_if_readable(const fs::path& old,
                                                     const fs::path& recovered) {
  try {
    return differing_files(old, recovered);
  } catch (const std::exception& error) {
    return {fmt::format("nobody knows what: {}", error.what())};
  }
}

RecoveryPromotion pass_gate(const Config& config, RecoveryWork& work, const PromoteRequest& request,
                            const std::stop_token& stop) {
  const fs::path place = place_of_cluster(config);
  if (place.empty()) {
    throw Error(ErrorKind::kConfiguration, "the configuration does not say what is replaced",
                {.object = "postgres.data_directory"});
  }
  work.require_paused();
  require_verdict(work.record());
  require_approvals(config, work.record());
  require_present(config, work.record(), stop);
  RecoveryPromotion promotion{.lost = request.lost, .place = place};
  require_place(place, work.record());
  if (request.lost.empty()) {
    if (!fs::exists(place / "PG_VERSION")) {
      refuse("there is no cluster where postgres.data_directory says", place,
             "If it is lost, say so: --lost 'WHY'");
    }
    promotion.backup = require_fresh_backup(config, work.record(), stop);
  }
  if (fs::exists(place)) {
    promotion.aside = place.native() + ".replaced-" + to_compact(system_clock().now());
    promotion.differing = differing_files_if_readable(place, work.record().data_directory());
  }
  struct stat copy{};
  if (::stat(work.record().data_directory().c_str(), &copy) != 0) {
    throw_errno(errno, "examine", work.record().data_directory().native());
  }
  promotion.copy_device = copy.st_dev;
  promotion.copy_inode = copy.st_ino;
  promotion.system_identifier =
      read_control_file(work.record().data_directory()).parsed.system_identifier;
  plan_standbys(config, place, request.standbys, promotion.standbys);
  require_typed_name(config, request.confirmed, "promote " + work.record().name);
  return promotion;
}

PromotionAnswer answer_of(const RecoveryStore& store, const RecoveryWork& work,
                          const PromotionSteps& steps) {
  PromotionAnswer answer{.record = work.record(),
                         .record_file = store.file_of(work.record().name),
                         .warnings = steps.warnings()};
  answer.reports = write_recovery_reports(store, answer.record);
  return answer;
}

// For somebody at three in the morning: what runs now, and the two ways on. That they cannot be
// told must not hide what happened.
Error explained(const Error& error, const RecoveryStore& store, const RecoveryWork& work,
                const PromotionSteps& steps) {
  std::string hint = error.hint();
  if (!hint.empty()) hint += ' ';
  try {
    hint +=
        fmt::format("Now: {}. Next: {}. ", steps.who_serves(), next_of_promotion(work.record()));
    hint += fmt::format("Report: {}", write_recovery_reports(store, work.record()).at(0).native());
  } catch (const std::exception& untold) {
    hint += fmt::format("('holdfast recover status' says what comes next: {})", untold.what());
  }
  return {error.kind(),
          error.message(),
          {.object = error.object(), .hint = hint, .retryable = error.retryable()}};
}

PromotionAnswer go_through(const RecoveryStore& store, const RecoveryWork& work,
                           const PromotionSteps& steps, const std::function<void()>& all) {
  try {
    all();
  } catch (const Error& error) {
    throw explained(error, store, work, steps);
  }
  return answer_of(store, work, steps);
}

// One that did not get to its end can be turned round.
void refuse_rolled_back(const RecoveryRecord& record) {
  if (!record.has_done_since_turn(kLastRollbackStep)) return;
  refuse("the promotion of this recovery was rolled back", record.name,
         fmt::format("holdfast recover abandon {} --yes; then start another.", record.name));
}

// It may turn out on the way that nothing can be had of the old server any more.
void declare_lost(RecoveryWork& work, const std::string& why) {
  if (why.empty() || !work.record().promotion->lost.empty()) return;
  if (work.record().has_done_since_turn("fence old server")) {
    refuse("the old server was stopped and its WAL archived: nothing is lost", work.record().name,
           "Go on without --lost.");
  }
  work.change().promotion->lost = why;
  work.save();
}

}  // namespace

RecoveryRecord approve_recovery(const Config& config, const ApproveRequest& request) {
  if (request.by.empty()) {
    throw Error(ErrorKind::kUsage, "an approval needs a name", {.object = "--by"});
  }
  RecoveryStore store(config);
  const std::string name = store.resolve(request.name);
  const FileLock lock = store.lock(name);
  RecoveryRecord record = store.read(name);
  if (record.promotion) refuse("its promotion has begun already", name, "");
  require_verdict(record);
  if (std::ranges::find(record.approvals, request.by, &RecoveryApproval::by) !=
      record.approvals.end()) {
    refuse("this person has approved it already", request.by,
           "Each approval has to be another one's.");
  }
  record.approvals.push_back(
      {.by = request.by, .time = recovery_time_now(), .host = operator_name() + "@" + host_name()});
  store.write(record);
  return record;
}

PromotionAnswer promote_recovery(const Config& config, const PromoteRequest& request,
                                 Progress& progress, const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string name = store.resolve(request.name);
  const FileLock lock = store.lock(name);
  RecoveryWork work(config, store, store.read(name), progress, stop);
  refuse_root();
  const FileLock cluster = store.lock_cluster();
  work.refuse_abandoned();
  refuse_rolled_back(work.record());
  refuse_another_promotion(store, name);
  if (!work.record().promotion) {
    work.change().promotion = pass_gate(config, work, request, stop);
    work.save();
  } else {
    require_typed_name(config, request.confirmed, "promote " + name);
    declare_lost(work, request.lost);
    RecoveryPromotion& promotion = *work.change().promotion;
    plan_standbys(config, promotion.place, request.standbys, promotion.standbys);
    work.save();
  }
  PromotionSteps steps(config, work, progress, stop);
  return go_through(store, work, steps, [&] { steps.promote(); });
}

PromotionAnswer rollback_recovery(const Config& config, const RollbackRequest& request,
                                  const std::stop_token& stop) {
  RecoveryStore store(config);
  const std::string name = store.resolve(request.name);
  const FileLock lock = store.lock(name);
  RecoveryWork work(config, store, store.read(name), null_progress(), stop);
  refuse_root();
  const FileLock cluster = store.lock_cluster();
  work.refuse_abandoned();
  const RecoveryRecord& record = work.record();
  if (!record.promotion) {
    refuse("this recovery was not promoted", name,
           fmt::format("'holdfast recover abandon {} --yes' gives it up.", name));
  }
  if (record.promotion->aside.empty()) {
    refuse("there was no data directory that could be put back", name, "");
  }
  require_typed_name(config, request.confirmed, "rollback " + name);
  PromotionSteps steps(config, work, null_progress(), stop);
  return go_through(store, work, steps, [&] { steps.roll_back(); });
}

}  // namespace holdfast
