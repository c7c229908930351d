#include "backup/backup.h"

#include <mutex>
#include <set>

#include <unistd.h>

#include "backup/archived_wal.h"
#include "backup/choose_base.h"
#include "backup/external_config.h"
#include "backup/file_pipeline.h"
#include "backup/file_walker.h"
#include "backup/final_files.h"
#include "backup/memory_plan.h"
#include "backup/owners.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "core/counted.h"
#include "core/fault_point.h"
#include "core/log.h"
#include "repository/sweep.h"
#include "repository/wal_mark.h"
#include "repository/write_once.h"
#include "system/files.h"

namespace holdfast {
namespace {

// One backup from the first query to the commit record. Steps run in the order of the methods.
class BackupRun {
 public:
  BackupRun(const Repository& repository, const BackupOptions& options, Progress& progress,
            const std::stop_token& stop)
      : repository_(repository),
        options_(options),
        progress_(progress),
        stop_(stop),
        session_(Session::connect(options.connection, stop)),
        plan_(plan_memory(options.memory_bytes, options.jobs,
                          repository.store().capabilities().parallel_requests)),
        chunks_(repository.store(), repository.keys(), options.cluster) {
    if (options.rate > 0) rate_.emplace(RateLimit{options.rate});
  }

  BackupResult run();

 private:
  void lock();
  void prepare();
  HistoryRecord history();
  void start();
  ArchivedWal archived_wal();
  void require_own_line();
  void find_base();
  void collect_config();
  void read_data_files();
  void stop_backup_mode();
  void note_new_tablespaces();
  BackupStop end_backup_mode();
  void wait_for_archive();
  void store_final_files();
  void commit();

  SealContext seal_context(FileOpener& files, PageGuard* guard);
  Lsn insert_position();
  FileEntry entry_for(const WalkedFile& file);
  void note_findings(const PageGuard& guard);
  void count(const FilePipeline::Counts& counts);
  void count_changes();
  void offer(SectionWriter& section, const KnownFilePage& page) const;
  void cite_older_packs(const std::set<PackIndex>& cited);
  std::uint64_t expected_bytes();

  const Repository& repository_;
  const BackupOptions& options_;
  Progress& progress_;
  const std::stop_token& stop_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();

  std::optional<FileLock> host_lock_;
  Session session_;
  std::mutex session_mutex_;  // workers ask for the insert position while the main thread waits
  const MemoryPlan plan_;
  ControlFile control_;
  std::optional<RateLimiter> rate_;
  std::set<std::uint32_t> tablespaces_before_;  // the start of backup mode
  OwnerTable owners_;
  FinalFiles final_files_;
  BackupResult result_;

  std::vector<CatalogueEntry> backups_;
  ChunkReader chunks_;  // of older backups; its registry has this one's packs too
  PackRegistry& registry_ = chunks_.registry();
  ChosenBase base_;
  std::set<SegmentName> known_same_;  // WAL segments that the archive has as this server has them
  std::unique_ptr<PackWriter> data_packs_, map_packs_;
  std::unique_ptr<MapSink> maps_;
  ManifestRoot root_;
};

void BackupRun::lock() {
  host_lock_ = FileLock::try_acquire(options_.state_directory / "backup.lock");
  std::string holder;
  const bool locked =
      host_lock_ && session_.try_lock(backup_lock_key(session_.server().system_identifier), holder);
  if (locked) {
    fault_point("backup.locked");
    return;
  }
  const auto backups = list_backups(repository_, options_.cluster, stop_);
  throw Error(ErrorKind::kRefused,
              fmt::format("another backup of this cluster is running: {}{}",
                          describe_running(repository_, backups, stop_),
                          holder.empty() ? "" : "; session: " + holder),
              {.object = options_.cluster,
               .hint = "Wait until it has ended. A backup that died holds no lock."});
}

// Where the backup goes.
HistoryRecord BackupRun::history() {
  if (options_.copy) return options_.copy->history;
  require_taken_over(options_.data_directory);
  return history_to_write(list_histories(repository_, options_.cluster, stop_), options_.cluster,
                          identity_of(session_.server(), options_.host),
                          read_history_binding(options_.data_directory));
}

void BackupRun::prepare() {
  const ServerInfo& server = session_.server();
  control_ = check_server(server, options_.data_directory);
  const HistoryRecord into = history();
  lock();
  backups_ = list_backups(repository_, options_.cluster, stop_);
  check_label(options_.label, backups_);
  SweepResult swept = sweep_dead_backups(repository_, backups_,
                                         {options_.host, options_.data_directory.string()}, stop_);
  result_.swept = std::move(swept.swept);
  for (const std::string& id : swept.lost_commit) {
    result_.warnings.push_back(fmt::format(
        "backup {} was verified once, but its commit record is gone; nothing of it was removed: "
        "bring the object 'outcome' back from another copy of the repository",
        id));
  }
  if (!swept.not_removed.empty()) {
    result_.warnings.push_back(
        fmt::format("{} of backups that died could not be removed, for example {}",
                    counted(swept.not_removed.size(), "object"), swept.not_removed.front()));
  }
  BackupInfo& info = result_.info;
  info.name = {options_.cluster, into.name, next_backup_id(session_.server_time(), backups_)};
  write_begin(repository_, info.name,
              {.host = options_.host,
               .pid = static_cast<std::uint64_t>(::getpid()),
               .data_directory = options_.data_directory.string(),
               .started = to_rfc3339_seconds(system_clock().now())},
              stop_);
  fault_point("backup.begun");
}

void BackupRun::start() {
  const ServerInfo& server = session_.server();
  BackupInfo& info = result_.info;
  info.label = options_.label;
  info.reason = options_.reason;
  info.standalone = options_.standalone;
  info.annotations = options_.annotations;
  info.from_standby = server.in_recovery;
  info.host = options_.host;
  info.holdfast_version = options_.holdfast_version;
  info.postgres_version_num = server.version_num;
  info.catalog_version = control_.catalog_version;
  info.data_directory = options_.data_directory.string();
  info.wal_segment_size = server.wal_segment_size;
  info.relation_segment_blocks = control_.relation_segment_blocks;
  info.data_checksums = control_.data_checksum_version != 0;
  static constexpr std::array<const char*, 4> kCompressions{"none", "zstd", "lz4", "gzip"};
  info.compression = kCompressions.at(std::size_t(options_.compression.compression));
  info.page_hash_key = repository_.page_hasher().key_name();
  info.encryption = repository_.keys().cipher == Cipher::kNone ? "none" : "aes-256-gcm";

  progress_.phase("start", 0);
  progress_.note("waiting for a checkpoint");
  session_.reserve_wal(fmt::format("holdfast_{}", ::getpid()));
  for (const TablespaceInfo& space : session_.tablespaces()) tablespaces_before_.insert(space.oid);
  const BackupStart began =
      session_.start_backup("holdfast " + info.name.id.text, options_.checkpoint);
  info.start_lsn = began.lsn;
  info.timeline = began.timeline;
  info.start_time = began.server_time;
  if (options_.copy) {
    info.recovered = options_.copy->facts;
    require_one_timeline(*options_.copy, began);
  }
  // Asked for after the start: a tablespace made in between is in the WAL that the backup carries.
  for (const TablespaceInfo& space : session_.tablespaces()) {
    info.tablespaces.push_back({space.oid, space.name, space.location});
  }
  if (const auto root = open_data_directory(options_.data_directory)->stat_target("")) {
    info.data_directory_mode = root->mode;
    info.data_directory_owner = owners_.intern(root->uid, root->gid);
  }
  fault_point("backup.started");
}

// Of this backup, as far as its positions are known by now.
ArchivedWal BackupRun::archived_wal() {
  const BackupInfo& info = result_.info;
  return {.place = {info.name.cluster, info.name.history},
          .timeline = info.timeline,
          .start = info.start_lsn,
          .stop = info.stop_lsn,
          .segment_size = info.wal_segment_size,
          .primary_connection = options_.primary_connection,
          .wal_directory = options_.data_directory / "pg_wal",
          .patience = options_.archive_patience,
          .known_same = &known_same_};
}

// An ordinary backup is compared with the archive while it waits for its WAL.
void BackupRun::require_own_line() {
  if (result_.info.standalone) require_line_of_archive(repository_, archived_wal(), stop_);
}

void BackupRun::find_base() {
  if (options_.type == BackupType::kFull) return;
  progress_.note("looking for what changed");
  BackupInfo& info = result_.info;
  base_ = choose_base(repository_, backups_,
                      {.child = info.name,
                       .timeline = info.timeline,
                       .start = info.start_lsn,
                       .start_time = info.start_time,
                       .data_checksums = info.data_checksums,
                       .relation_segment_blocks = info.relation_segment_blocks,
                       .postgres_version_num = info.postgres_version_num,
                       .wal_directory = options_.data_directory / "pg_wal",
                       .refresh = options_.refresh,
                       .reread = options_.reread,
                       .threads = repository_.store().capabilities().parallel_requests,
                       .known_same = &known_same_},
                      chunks_, stop_);
  std::ranges::move(base_.warnings, std::back_inserter(result_.warnings));
  if (!base_.base) return;
  info.type = "incr";
  // The same owners under the same numbers, so that file pages can be shared.
  for (const FileOwner& owner : base_.manifest->info().owners) owners_.intern(owner.uid, owner.gid);
}

Lsn BackupRun::insert_position() {
  const std::lock_guard lock(session_mutex_);
  return session_.insert_position();
}

SealContext BackupRun::seal_context(FileOpener& files, PageGuard* guard) {
  return {.files = files,
          .data_packs = *data_packs_,
          .maps = *maps_,
          .guard = guard,
          .hasher = repository_.page_hasher(),
          .compression = options_.compression,
          .rate = rate_ ? &*rate_ : nullptr,
          .backup = result_.info.name,
          .progress = progress_};
}

FileEntry BackupRun::entry_for(const WalkedFile& file) {
  return {.path = file.path,
          .type = file.stat.type,
          .mode = file.stat.mode,
          .owner = owners_.intern(file.stat.uid, file.stat.gid),
          .modified_ns = file.stat.modified_ns,
          .size = file.stat.type == FileType::kRegular ? file.stat.size : 0};
}

void BackupRun::collect_config() {
  if (options_.copy) return;  // it runs with another one; what it restored is in its directory
  ExternalConfig config = collect_external_config(session_.server(), options_.data_directory);
  for (auto& [name, file] : config.files) {
    result_.info.external_config[name] = file.original.string();
    final_files_.add(name, std::move(file.content), 0600);
  }
  for (std::string& warning : config.warnings) result_.warnings.push_back(std::move(warning));
}

void BackupRun::read_data_files() {
  BackupInfo& info = result_.info;
  data_packs_ = std::make_unique<PackWriter>(
      repository_.store(), repository_.keys(),
      PackWriterOptions{.backup = info.name,
                        .kind = names::PackKind::kData,
                        .pack_bytes = plan_.data_pack_bytes,
                        .uploads = plan_.data_uploads,
                        .stored = [](const StoredPack&) { fault_point("backup.pack_stored"); }},
      stop_);
  map_packs_ = std::make_unique<PackWriter>(repository_.store(), repository_.keys(),
                                            PackWriterOptions{.backup = info.name,
                                                              .kind = names::PackKind::kMap,
                                                              .pack_bytes = plan_.map_pack_bytes,
                                                              .uploads = plan_.map_uploads},
                                            stop_);
  maps_ = std::make_unique<MapSink>(*map_packs_, registry_, info.name);

  auto source = open_data_directory(options_.data_directory);
  if (options_.wrap_source) source = options_.wrap_source(std::move(source));
  PageGuard guard({.backup_start = info.start_lsn,
                   .relation_segment_blocks = info.relation_segment_blocks,
                   .insert_position = [this] { return insert_position(); }});
  SectionWriter section(*maps_);
  std::optional<ManifestCursor> parents;
  SealContext context = seal_context(*source, info.data_checksums ? &guard : nullptr);
  if (base_.base) {
    context.base = base_.base.get();
    parents.emplace(*base_.manifest, Section::kData, stop_,
                    [&](const KnownFilePage& page) { offer(section, page); });
  }
  FilePipeline pipeline(context, plan_.workers, section, stop_);
  std::set<std::uint32_t> tablespaces;
  for (const BackupTablespace& space : info.tablespaces) tablespaces.insert(space.oid);
  FileWalker walker(*source, {info.postgres_version_num / 10000, info.catalog_version},
                    std::move(tablespaces));
  progress_.phase("copy", expected_bytes());
  walker.walk(
      [&](const WalkedFile& file) {
        // Read last of all, and not here where the server may be writing it.
        if (file.path == kControlFilePath) return;
        if (result_.info.external_config.contains(file.path)) return;  // not what the server reads
        FileEntry entry = entry_for(file);
        if (entry.type == FileType::kRegular) {
          auto parent = parents ? parents->find(entry.path) : std::nullopt;
          if (parent && (parent->type != FileType::kRegular || parent->size == 0)) parent.reset();
          pipeline.add_file(std::move(entry), std::move(parent));
        } else {
          pipeline.add_without_content(std::move(entry));
        }
      },
      stop_);
  pipeline.finish();
  root_.pages[std::size_t(Section::kData)] = section.finish();
  cite_older_packs(section.cited());
  count(pipeline.counts());
  count_changes();
  info.wal_directory = walker.wal_directory();
  for (const std::string& link : walker.followed_links()) {
    result_.warnings.push_back("followed a symbolic link inside the data directory: " + link);
  }
  for (const std::string& path : walker.special_files()) {
    result_.warnings.push_back("left out a special file inside the data directory: " + path);
  }
  note_findings(guard);
  fault_point("backup.files_read");
}

void BackupRun::count(const FilePipeline::Counts& counts) {
  BackupInfo& info = result_.info;
  info.files += counts.files;
  info.data_bytes += counts.bytes;
  info.content_bytes += counts.content_bytes;
  for (BackupTablespace& space : info.tablespaces) {
    const auto at = counts.tablespace_content.find(space.oid);
    if (at != counts.tablespace_content.end()) space.content_bytes += at->second;
  }
}

// A page in a pack that is due must not be shared.
void BackupRun::offer(SectionWriter& section, const KnownFilePage& page) const {
  if (!base_.base->due.has(page.address.pack)) section.offer(page);
}

void BackupRun::cite_older_packs(const std::set<PackIndex>& cited) {
  if (!base_.base) return;
  for (const CitedPack& pack : base_.manifest->root().packs) {
    if (cited.contains(pack.pack)) root_.packs.push_back(pack);
  }
}

void BackupRun::count_changes() {
  if (!base_.base) return;
  const UpdateCounts& counts = base_.base->counts;
  base_.facts.read_bytes = counts.read_bytes;
  base_.facts.changed_bytes = counts.changed_bytes;
  base_.facts.refreshed_bytes = counts.refreshed_bytes;
  result_.info.incremental = base_.facts;
}

// For the progress display only; 0 when the role may not see sizes.
std::uint64_t BackupRun::expected_bytes() {
  try {
    const auto rows = session_.query(
        "select coalesce(sum(pg_catalog.pg_tablespace_size(oid)), 0) from "
        "pg_catalog.pg_tablespace");
    return rows.empty() ? 0 : std::stoull(rows[0][0].value_or("0"));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    return 0;
  }
}

void BackupRun::note_findings(const PageGuard& guard) {
  BackupInfo& info = result_.info;
  PageGuard::Findings found = guard.findings();
  info.damaged_pages = found.damaged_pages;
  info.damaged = std::move(found.damaged);
  info.excused_pages = found.excused_pages;
  info.excused = std::move(found.excused);
  if (info.damaged_pages > 0) {
    result_.warnings.push_back(fmt::format(
        "{} damaged pages in the cluster, the first in {} block {}; they are in the backup as they "
        "are",
        info.damaged_pages, info.damaged.front().path, info.damaged.front().block));
  }
}

// Asked for before the start and after the end: one that is made outside of both, and named all the
// same, does no harm.
void BackupRun::note_new_tablespaces() {
  BackupInfo& info = result_.info;
  for (const TablespaceInfo& space : session_.tablespaces()) {
    if (space.location.empty()) continue;  // inside the data directory
    if (!tablespaces_before_.contains(space.oid)) info.tablespaces_made.push_back(space.location);
  }
}

BackupStop BackupRun::end_backup_mode() {
  try {
    return session_.stop_backup();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kPostgres) throw;
    if (!result_.info.from_standby || session_.in_recovery()) throw;
    throw Error(ErrorKind::kPostgres, "the standby was promoted while the backup was running",
                {.object = options_.cluster,
                 .hint = "Such a backup does not restore. Take it again: the server is now backed "
                         "up as the primary that it is."});
  }
}

void BackupRun::stop_backup_mode() {
  BackupInfo& info = result_.info;
  progress_.phase("stop", 0);
  // Read last, and before backup mode ends: the recovery of a standby's backup takes its earliest
  // consistent point from this file.
  final_files_.add(std::string(kControlFilePath),
                   read_control_file(options_.data_directory).content, 0600);
  const BackupStop stopped = end_backup_mode();
  info.stop_lsn = options_.copy ? stop_of_copy(*options_.copy, stopped, session_) : stopped.lsn;
  info.stop_time = stopped.server_time;
  final_files_.add("backup_label", to_bytes(as_bytes(stopped.backup_label)), 0600);
  if (!stopped.tablespace_map.empty()) {
    final_files_.add("tablespace_map", to_bytes(as_bytes(stopped.tablespace_map)), 0600);
  }
  if (session_.timeline() != info.timeline) {
    throw Error(ErrorKind::kPostgres, "the server's timeline changed while the backup was running",
                {.object = options_.cluster, .hint = "Take the backup again."});
  }
  note_new_tablespaces();
  fault_point("backup.stopped");
}

void BackupRun::wait_for_archive() {
  const BackupInfo& info = result_.info;
  const std::uint64_t bytes = info.wal_segment_size.bytes;
  // Only a standby that is far behind begins in WAL so old (repository/wal_mark.h).
  if (wal_is_going(repository_, {info.name.cluster, info.name.history},
                   {info.start_lsn.value / bytes, (info.stop_lsn.value - 1) / bytes}, stop_)) {
    throw Error(ErrorKind::kRefused,
                "WAL that this backup needs was expired from the repository or is going to be",
                {.object = info.name.id.text,
                 .hint = "Take it again when the standby has caught up, or with --standalone."});
  }
  progress_.phase("wal", 0);
  await_archived_wal(repository_, session_, archived_wal(), progress_, stop_);
  fault_point("backup.wal_archived");
}

void BackupRun::store_final_files() {
  BackupInfo& info = result_.info;
  if (!info.standalone) wait_for_archive();
  if (info.standalone)
    final_files_.add_wal(std::make_unique<CarriedWal>(
        CarriedWalOptions{.wal_directory = options_.data_directory / "pg_wal",
                          .timeline = info.timeline,
                          .start = info.start_lsn,
                          .stop = info.stop_lsn,
                          .segment_size = info.wal_segment_size,
                          .system_identifier = info.name.history.system_identifier}));
  SectionWriter section(*maps_);
  // Not ours: what root backs up is the server's all the same.
  const std::uint32_t owner = info.data_directory_owner;
  FilePipeline pipeline(seal_context(final_files_, nullptr), plan_.workers, section, stop_);
  for (const FinalFiles::File& file : final_files_.files()) {
    pipeline.add_file({.path = file.path,
                       .type = FileType::kRegular,
                       .mode = file.mode,
                       .owner = owner,
                       .modified_ns = info.stop_time.time_since_epoch().count() * 1000,
                       .size = file.size});
  }
  pipeline.finish();
  root_.pages[std::size_t(Section::kFinal)] = section.finish();
  count(pipeline.counts());
  fault_point("backup.wal_stored");
}

void BackupRun::commit() {
  BackupInfo& info = result_.info;
  progress_.phase("commit", 0);
  const auto cite = [&](PackWriter& writer, names::PackKind kind) {
    for (const StoredPack& pack : writer.finish()) {
      root_.packs.push_back(
          {registry_.intern({info.name.history, info.name.id, kind, pack.number, pack.salt}),
           pack.bytes});
      info.stored_bytes += pack.bytes;
      ++info.pack_count;
    }
  };
  cite(*data_packs_, names::PackKind::kData);
  cite(*map_packs_, names::PackKind::kMap);
  info.owners = owners_.owners();
  info.duration_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  root_.info = info;
  const Bytes manifest =
      seal_record(ContainerKind::kManifest, repository_.keys(), repository_.keys().cipher,
                  encode_manifest_root(root_, registry_));
  put_once(repository_.store(), names::manifest(info.name), manifest, ObjectClass::kCatalogue,
           stop_);
  fault_point("backup.manifest_stored");
  if (options_.before_commit) options_.before_commit(info.name);
  Outcome outcome{.committed = true,
                  .time = to_rfc3339_seconds(system_clock().now()),
                  .by = fmt::format("{} process {}", options_.host, ::getpid()),
                  .info = info,
                  .manifest_bytes = manifest.size(),
                  .manifest_sha256 = to_hex(sha256(manifest))};
  fault_point("backup.before_commit");
  commit_backup(repository_, outcome, stop_);
  fault_point("backup.committed");
}

BackupResult BackupRun::run() {
  prepare();
  start();
  require_own_line();
  find_base();
  collect_config();
  read_data_files();
  stop_backup_mode();
  store_final_files();
  commit();
  return std::move(result_);
}

}  // namespace

BackupResult take_backup(const Repository& repository, const BackupOptions& options,
                         Progress& progress, const std::stop_token& stop) {
  return BackupRun(repository, options, progress, stop).run();
}

}  // namespace holdfast
