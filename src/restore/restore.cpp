#include "restore/restore.h"

#include <algorithm>
#include <chrono>

#include <fcntl.h>
#include <sys/stat.h>

#include "core/cancellation.h"
#include "core/fault_point.h"
#include "core/parallel.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "repository/file_reader.h"
#include "repository/history.h"
#include "restore/delta.h"
#include "restore/external_config.h"
#include "restore/window.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Written by the server at start from our own links instead.
constexpr std::string_view kTablespaceMap = "tablespace_map";

constexpr std::size_t kSlicesAtOnce = 64;
constexpr std::size_t kFilesAtOnce = 20000;

// Whether the restore of sections writes this file.
bool is_content(const FileEntry& entry) {
  return entry.type == FileType::kRegular && entry.path != kControlFilePath &&
         entry.path != kTablespaceMap;
}

class RestoreRun {
 public:
  RestoreRun(const Repository& repository, const CatalogueEntry& backup,
             const RestoreOptions& options, Progress& progress, const std::stop_token& stop)
      : repository_(repository),
        options_(options),
        progress_(progress),
        stop_(stop),
        chunks_(repository.store(), repository.keys(), backup.name.cluster),
        manifest_(read_manifest(repository, backup.outcome, chunks_.registry(), stop), chunks_),
        hasher_(page_hasher_of(repository, manifest_.root())),
        ownership_(manifest_.info().owners) {}

  RestoreResult run();
  const fs::path& saved_wal() const { return result_.saved_wal; }

 private:
  void restore_section(Section section);
  void add(const FileEntry& entry);
  void create_files();
  void finish_window(Window& window);
  void lock_target();
  void give_places_to_owner() const;
  void bring_in_config() const;
  void configure_recovery();
  bool follows_primary() const {
    return options_.recovery && options_.recovery->mode == RecoverySettings::Mode::kStandby;
  }
  void bind_to_history() const;
  void set_late_modes();
  void sync_everything() const;
  void write_control_file();
  std::size_t threads() const;

  const Repository& repository_;
  const RestoreOptions& options_;
  Progress& progress_;
  const std::stop_token& stop_;
  ChunkReader chunks_;
  Manifest manifest_;
  const PageHasher hasher_;
  Ownership ownership_;
  RestoreResult result_;
  std::optional<FileLock> lock_;
  WindowCounts counts_;
  std::vector<FileEntry> new_files_;                     // of the window that is being filled
  std::vector<std::pair<fs::path, mode_t>> late_modes_;  // without the owner's right to write
};

std::size_t RestoreRun::threads() const {
  // Enough to keep the store and every core busy; each holds one read, one chunk and one run.
  const std::size_t wish =
      std::max(options_.jobs, repository_.store().capabilities().parallel_requests);
  const std::size_t fits = std::max<std::size_t>(
      1, (options_.memory_bytes - std::min<std::uint64_t>(options_.memory_bytes, 64U << 20U)) /
             (kReadBytes + (std::size_t{1} << 20U) + kRunBytes));
  return std::min(wish, fits);
}

RestoreResult RestoreRun::run() {
  const auto began = std::chrono::steady_clock::now();
  result_.backup = manifest_.info();
  result_.target = examine_target(manifest_.info(), options_.target);
  lock_target();
  mark_target(result_.target, manifest_.info());
  fault_point("restore.marker_written");
  if (result_.target.state == TargetState::kDelta) {
    progress_.phase("prepare", 0);
    DeltaPreparation prepared = prepare_delta(result_.target, manifest_, stop_);
    result_.saved_wal = std::move(prepared.saved_wal);
    result_.files_removed = prepared.removed_files;
    fault_point("restore.delta_prepared");
  } else if (result_.target.state == TargetState::kResume) {
    result_.files_removed = remove_strangers(result_.target, manifest_, stop_);
  }
  make_places(result_.target);
  give_places_to_owner();
  progress_.phase("restore", manifest_.info().data_bytes);
  restore_section(Section::kData);
  restore_section(Section::kFinal);
  if (!manifest_.info().external_config.empty()) bring_in_config();
  configure_recovery();
  set_late_modes();
  fault_point("restore.before_sync");
  progress_.phase("sync", 0);
  sync_everything();
  fault_point("restore.before_control_file");
  remove_durably(result_.target.data_directory / kRestoreLock);
  if (follows_primary()) bind_to_history();
  write_control_file();
  if (follows_primary()) remove_durably(result_.target.data_directory / kRestoreMarker);
  if (options_.stand_ins != nullptr) result_.stood_in = options_.stand_ins->stood_in();
  result_.bytes_written = counts_.written;
  result_.bytes_kept = counts_.kept;
  result_.duration_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return std::move(result_);
}

void RestoreRun::restore_section(Section section) {
  const WindowContext context{.manifest = manifest_,
                              .chunks = chunks_,
                              .hasher = hasher_,
                              .data_directory = result_.target.data_directory,
                              .compare_first = result_.target.state != TargetState::kFresh,
                              .threads = threads(),
                              .progress = progress_,
                              .stand_ins = options_.stand_ins};
  std::optional<Window> window(std::in_place, context, counts_);
  manifest_.for_each(
      section,
      [&](const FileEntry& entry) {
        add(entry);
        // A file may be larger than a window; its slices then go into several.
        const std::size_t slices = slice_count(entry);
        for (std::size_t i = 0; i < slices && is_content(entry); i += kSlicesAtOnce) {
          window->add(entry, i, std::min(slices, i + kSlicesAtOnce));
          if (window->full()) {
            finish_window(*window);
            window.emplace(context, counts_);
          }
        }
        if (new_files_.size() >= kFilesAtOnce) create_files();
      },
      stop_);
  finish_window(*window);
}

void RestoreRun::add(const FileEntry& entry) {
  if (entry.type == FileType::kRegular && !is_content(entry)) return;
  const fs::path path = result_.target.data_directory / entry.path;
  if (manifest_.info().external_config.contains(entry.path)) {
    make_folders(path.parent_path(), 0700);  // conf.d and the like are not folders of the backup
  }
  if (entry.type == FileType::kFolder) {
    std::error_code error;
    fs::create_directory(path, error);
    if (error) throw_errno(error.value(), "create the folder", path.string());
    if (::chmod(path.c_str(), static_cast<mode_t>(entry.mode | 0700U)) != 0) {
      throw_errno(errno, "set the mode of", path.string());
    }
    ownership_.give_path(path, entry.owner);
    return;
  }
  if ((entry.mode & 0200U) == 0) late_modes_.emplace_back(path, static_cast<mode_t>(entry.mode));
  ++result_.files;
  new_files_.push_back(entry);
}

void RestoreRun::create_files() {
  const std::vector<FileEntry> files = std::exchange(new_files_, {});
  parallel_for(files.size(), threads(), stop_, [&](std::size_t i, const std::stop_token&) {
    create_file(result_.target.data_directory / files[i].path, files[i], ownership_);
  });
}

void RestoreRun::finish_window(Window& window) {
  create_files();
  window.restore(stop_);
  fault_point("restore.window_written");
}

// Two restores into one directory would undo each other's work.
void RestoreRun::lock_target() {
  make_folders(result_.target.data_directory, 0700);
  const fs::path path = result_.target.data_directory / kRestoreLock;
  lock_ = FileLock::try_acquire(path);
  if (!lock_) {
    throw Error(ErrorKind::kRefused, "another restore into this directory is running",
                {.object = path.parent_path().string(), .hint = "Wait until it has ended."});
  }
}

void RestoreRun::give_places_to_owner() const {
  const std::uint32_t owner = manifest_.info().data_directory_owner;
  const RestoreTarget& target = result_.target;
  ownership_.give_path(target.data_directory, owner);
  ownership_.give_path(target.data_directory / kRestoreMarker, owner);
  if (!target.wal_directory.empty()) ownership_.give_path(target.wal_directory, owner);
  if (!target.tablespaces.empty()) {
    ownership_.give_path(target.data_directory / "pg_tblspc", owner);
  }
  for (const TablespaceTarget& space : target.tablespaces) {
    ownership_.give_path(space.location, owner);
  }
}

void RestoreRun::bring_in_config() const {
  const fs::path& root = result_.target.data_directory;
  const std::uint32_t owner = manifest_.info().data_directory_owner;
  for (const fs::path& folder : relocate_config_file(root)) ownership_.give_path(folder, owner);
  for (const auto& [name, original] : manifest_.info().external_config) {
    ownership_.give_path(root / name, owner);
    if ((root / name).parent_path() != root) {
      ownership_.give_path((root / name).parent_path(), owner);
    }
  }
}

void RestoreRun::configure_recovery() {
  const RestoredOwner owner{ownership_, manifest_.info().data_directory_owner};
  if (!options_.recovery) {
    // It has those with which the copy was recovered.
    if (manifest_.info().recovered) {
      remove_recovery_settings(result_.target.data_directory, owner);
    }
    write_settings_without_recovery(result_.target.data_directory, options_.archiving, owner);
    return;
  }
  for (std::string& warning :
       write_recovery_settings(result_.target.data_directory, *options_.recovery, owner)) {
    result_.warnings.push_back(std::move(warning));
  }
}

// A standby is of the primary's history, also after a failover: it may archive without take-over.
void RestoreRun::bind_to_history() const {
  const RestoreTarget& target = result_.target;
  write_history_binding(target.data_directory, {manifest_.info().name.cluster, target.history});
  ownership_.give_path(result_.target.data_directory / kHistoryBinding,
                       manifest_.info().data_directory_owner);
}

void RestoreRun::set_late_modes() {
  // PostgreSQL starts in a directory of mode 0700 or 0750 only.
  const fs::path& root = result_.target.data_directory;
  const auto root_mode = static_cast<mode_t>(0700U | (manifest_.info().data_directory_mode & 050U));
  if (::chmod(root.c_str(), root_mode) != 0) throw_errno(errno, "set the mode of", root.string());
  for (const auto& [path, mode] : late_modes_) {
    if (::chmod(path.c_str(), mode) != 0) throw_errno(errno, "set the mode of", path.string());
  }
}

void RestoreRun::sync_everything() const {
  sync_file_system(result_.target.data_directory);
  if (!result_.target.wal_directory.empty()) sync_file_system(result_.target.wal_directory);
  for (const TablespaceTarget& space : result_.target.tablespaces) {
    sync_file_system(space.location);
  }
}

void RestoreRun::write_control_file() {
  const auto entry = manifest_.find(kControlFilePath, stop_);
  if (!entry || !entry->map || entry->map->extents.size() != 1 || entry->size > kBlockBytes) {
    throw Error(ErrorKind::kDamage, "the backup has no control file",
                {.object = names::manifest(manifest_.info().name)});
  }
  Bytes content;
  FileReader(manifest_, chunks_, hasher_, options_.stand_ins)
      .read(
          *entry, {0, entry->size},
          [&](ByteView piece) { content.insert(content.end(), piece.begin(), piece.end()); },
          stop_);
  const fs::path path = result_.target.data_directory / kControlFilePath;
  write_durably(path, content, static_cast<mode_t>(entry->mode), Overwrite::kYes);
  const FileDescriptor fd = open_or_throw(path, O_RDONLY);
  ownership_.give(fd.get(), entry->owner, path.string());
  ++result_.files;
}

// For a backup whose manifest is damaged: another repository's is restored as a whole, into the
// directory that the first run has begun, and what this one has stands in for what that one lacks.
RestoreResult restore_other(const Repository& repository, const StandIns::Whole& other,
                            const Error& damage, RestoreOptions options, Progress& progress,
                            const std::stop_token& stop) {
  const std::shared_ptr<const Repository> own(std::shared_ptr<const Repository>(), &repository);
  StandIns stand_ins({{options.repository_name, [&](const std::stop_token&) { return own; }}});
  options.stand_ins = &stand_ins;
  RestoreResult result = RestoreRun(*other.repository, other.backup, options, progress, stop).run();
  result.stood_in.push_back({.object = damage.object(),
                             .problem = damage.message(),
                             .repository = other.name,
                             .bytes = result.backup.data_bytes});
  return result;
}

}  // namespace

RestoreResult restore_backup(const Repository& repository, const CatalogueEntry& backup,
                             const RestoreOptions& options, Progress& progress,
                             const std::stop_token& stop) {
  std::optional<RestoreRun> run;
  RestoreResult result;
  try {
    run.emplace(repository, backup, options, progress, stop);
    result = run->run();
  } catch (const Error& damage) {
    if (options.stand_ins == nullptr || damage.kind() != ErrorKind::kDamage) throw;
    const auto other = options.stand_ins->whole(backup.outcome.info, stop);
    if (!other) throw;
    const fs::path saved_wal = run ? run->saved_wal() : fs::path();
    run.reset();  // it holds the lock of the directory
    result = restore_other(repository, *other, damage, options, progress, stop);
    if (result.saved_wal.empty()) result.saved_wal = saved_wal;
    // What stood in before the manifest turned out to be damaged is in the directory too.
    const auto before = options.stand_ins->stood_in();
    result.stood_in.insert(result.stood_in.begin(), before.begin(), before.end());
  }
  for (const StoodIn& each : result.stood_in) {
    result.warnings.push_back("damaged: " + describe(each));
  }
  return result;
}

}  // namespace holdfast
