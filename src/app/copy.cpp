#include "app/copy.h"

#include <algorithm>

#include "app/open.h"
#include "app/version.h"
#include "core/counted.h"
#include "core/known.h"
#include "restore/target_time.h"
#include "storage/storage_class.h"

namespace holdfast {
namespace {

// The two repositories of a copy, open.
struct Sides {
  const RepositoryConfig& from;
  const RepositoryConfig& to;
  std::unique_ptr<Repository> source, target;
};

Sides open_sides(const Config& config, const CopyRequest& request, const std::stop_token& stop) {
  const RepositoryConfig& from = find_repository(config, request.from);
  const RepositoryConfig& to = find_repository(config, request.to);
  if (from.name == to.name) {
    throw Error(ErrorKind::kUsage, "a copy goes to another repository than it comes from",
                {.object = to.name, .hint = "Name the one that it comes from with --from."});
  }
  Sides sides{.from = from,
              .to = to,
              .source = open_repository(from, {.rate = config.backup.rate}, stop),
              .target = open_repository(to, stop)};
  if (sides.source->keys().repository_id == sides.target->keys().repository_id) {
    throw Error(ErrorKind::kConfiguration, "both names are of one and the same repository",
                {.object = to.url});
  }
  return sides;
}

bool is_wanted(const CatalogueEntry& entry, const std::optional<Timestamp>& since) {
  return entry.state == BackupState::kCommitted &&
         (!since || entry.outcome.info.stop_time >= *since);
}

std::vector<CatalogueEntry> select(const Config& config, const CopyRequest& request,
                                   const Repository& source, std::vector<std::string>& warnings,
                                   const std::stop_token& stop) {
  if (request.backup) return {find_backup(source, config.cluster, *request.backup, stop)};
  std::optional<Timestamp> since;
  if (request.since) {
    since = parse_day_or_time(*request.since, system_clock().now(),
                              known(TimeZone::find(config.timezone)));
  }
  std::vector<CatalogueEntry> wanted;
  for (CatalogueEntry& entry : list_backups(source, config.cluster, stop)) {
    if (entry.state == BackupState::kDamaged) {
      warnings.push_back(fmt::format("backup {} is damaged and was not copied: {}",
                                     entry.name.id.text, entry.damage));
    }
    if (is_wanted(entry, since)) wanted.push_back(std::move(entry));
  }
  return wanted;
}

CopyOptions options_of(const Config& config, const CopyRequest& request, const Sides& sides) {
  const bool frozen = is_frozen_class(sides.to.storage_class.data);
  return {.form = request.form,
          .wal = request.wal,
          .read_back = frozen ? ReadBack::kNo : ReadBack::kYes,
          .from_name = sides.from.name,
          .host = host_name(),
          .jobs = effective_jobs(config.backup.jobs),
          .memory_bytes = config.memory_bytes};
}

// A plain copy is recovered with the WAL beside it, which archive-get looks for in some
// repositories only.
void remind_of_archive(const Sides& sides, CopyAnswer& answer) {
  const bool plain = std::ranges::any_of(answer.copied, [](const CopiedBackup& copied) {
    return copied.state == CopiedBackup::State::kCopied && copied.form == CopyForm::kPlain;
  });
  if (!plain || sides.to.wal) return;
  answer.warnings.push_back(fmt::format(
      "the configuration says wal: false of repository {}: to recover a plain copy from it, say "
      "wal: true there, or copy with --standalone",
      sides.to.name));
}

// What `ask` finds in the target about one backup. No where a record there cannot be read: the
// copy of that backup says so, and the others are copied.
template <class Ask>
bool is_so_in_target(Ask&& ask) {
  try {
    return ask();
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return false;
  }
}

// Unless one is named, those that the target never takes again are left out: its retention is its
// own.
void leave_out(const Sides& sides, const CopyRequest& request, std::vector<CatalogueEntry>& backups,
               std::vector<std::string>& warnings, const std::stop_token& stop) {
  if (request.backup) return;
  std::vector<std::string> ids;
  std::erase_if(backups, [&](const CatalogueEntry& backup) {
    const bool never =
        is_so_in_target([&] { return never_again(*sides.target, backup.name, stop).has_value(); });
    if (never) ids.push_back(backup.name.id.text);
    return never;
  });
  if (ids.empty()) return;
  warnings.push_back(fmt::format("not copied again: {} that repository {} had, or gave up: {}{}",
                                 counted(ids.size(), "backup"), sides.to.name, ids.front(),
                                 ids.size() > 1 ? " … " + ids.back() : ""));
}

// What is refused (another history in the target) is refused for every backup.
bool ends_one_copy_only(ErrorKind kind) {
  return condemns_one_object(kind) && kind != ErrorKind::kRefused;
}

// Runs `work` for each backup. Damage of one is noted, everything else is thrown.
template <class Work>
void for_each_wanted(const std::vector<CatalogueEntry>& backups, std::vector<FailedCopy>& failed,
                     Work&& work) {
  for (const CatalogueEntry& backup : backups) {
    try {
      work(backup);
    } catch (Error& error) {
      error.during("copy of backup " + backup.name.id.text);
      if (!ends_one_copy_only(error.kind()) || backups.size() == 1) throw;
      failed.push_back({backup.name.id.text, error});
    }
  }
}

// What the target does not have yet and the source cannot read now; of all backups at once, so that
// they thaw at the same time.
void bring_back_sources(const Sides& sides, const std::vector<CatalogueEntry>& backups,
                        const CopyRequest& request, Progress& progress,
                        const std::stop_token& stop) {
  if (!sides.source->store().capabilities().storage_classes) return;
  std::vector<CatalogueEntry> missing;
  for (const CatalogueEntry& backup : backups) {
    const bool is_missing =
        is_so_in_target([&] { return !read_outcome(*sides.target, backup.name, stop); });
    if (is_missing) missing.push_back(backup);
  }
  bring_back(*sides.source, cold_objects(*sides.source, missing, stop), request.thaw, progress,
             stop);
}

// Before anything is copied: what is stored in a frozen class must be thawed to be read again.
void require_readable_copies(const Sides& sides, const CopyRequest& request) {
  const std::string& storage_class = sides.to.storage_class.data;
  if (request.verify == VerifyCopies::kNo || !is_frozen_class(storage_class)) return;
  const auto speed = request.thaw.speed;
  const bool known = speed && thaw_time(storage_class, *speed);
  if (known && request.thaw.confirmed == Confirmed::kYes) return;
  throw Error(ErrorKind::kRefused,
              fmt::format("copies in {} must be thawed before they can be verified", storage_class),
              {.object = sides.to.name,
               .hint = fmt::format("S3 bills for that. It takes: {}. Add --thaw SPEED --yes to "
                                   "this command, or leave out --verify: every pack is "
                                   "authenticated while it is copied.",
                                   describe_thaw_times(storage_class))});
}

VerifyResult verify_copies(const Config& config, const Sides& sides,
                           const std::vector<CopiedBackup>& copied, const CopyRequest& request,
                           Progress& progress, const std::stop_token& stop) {
  std::vector<CatalogueEntry> backups;
  for (const CopiedBackup& copy : copied) {
    backups.push_back(find_backup(*sides.target, config.cluster, copy.name.id.text, stop));
  }
  bring_back(*sides.target, cold_objects(*sides.target, backups, stop), request.thaw, progress,
             stop);
  return verify_backups(*sides.target, backups,
                        {.mode = VerifyMode::kFull,
                         .cluster = config.cluster,
                         .jobs = effective_jobs(config.backup.jobs),
                         .memory_bytes = config.memory_bytes,
                         .host = host_name(),
                         .holdfast_version = holdfast_version()},
                        progress, stop);
}

}  // namespace

CopyAnswer copy_backups(const Config& config, const CopyRequest& request, Progress& progress,
                        const std::stop_token& stop) {
  const Sides sides = open_sides(config, request, stop);
  require_readable_copies(sides, request);
  CopyAnswer answer{.from = sides.from.name, .to = sides.to.name};
  auto backups = select(config, request, *sides.source, answer.warnings, stop);
  leave_out(sides, request, backups, answer.warnings, stop);
  const CopyOptions options = options_of(config, request, sides);
  bring_back_sources(sides, backups, request, progress, stop);
  for_each_wanted(backups, answer.failed, [&](const CatalogueEntry& backup) {
    CopiedBackup copied =
        copy_backup({.from = *sides.source, .to = *sides.target}, backup, options, progress, stop);
    answer.warnings.insert(answer.warnings.end(), copied.warnings.begin(), copied.warnings.end());
    answer.copied.push_back(std::move(copied));
  });
  remind_of_archive(sides, answer);
  if (request.verify == VerifyCopies::kYes) {
    answer.verified = verify_copies(config, sides, answer.copied, request, progress, stop);
  }
  return answer;
}

CopyPreview preview_copy(const Config& config, const CopyRequest& request,
                         const std::stop_token& stop) {
  const Sides sides = open_sides(config, request, stop);
  CopyPreview preview{.from = sides.from.name, .to = sides.to.name};
  auto backups = select(config, request, *sides.source, preview.warnings, stop);
  leave_out(sides, request, backups, preview.warnings, stop);
  const CopyOptions options = options_of(config, request, sides);
  CountedWal counted;
  for_each_wanted(backups, preview.failed, [&](const CatalogueEntry& backup) {
    CopyPlan plan =
        plan_copy({.from = *sides.source, .to = *sides.target}, backup, options, counted, stop);
    std::ranges::move(plan.warnings, std::back_inserter(preview.warnings));
    preview.plans.push_back(std::move(plan));
  });
  return preview;
}

}  // namespace holdfast
