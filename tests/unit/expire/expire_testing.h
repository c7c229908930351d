#pragma once
// What the tests of expiry share: a repository in memory with a clock of its own, and backups that
// consist of names: packs are a few bytes, manifests say which of them a backup cites.

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "expire/expire.h"
#include "repository/intent.h"
#include "storage/store_decorator.h"
#include "unit/repository/repository_testing.h"

namespace holdfast::test {

inline constexpr WalSegmentSize kTestSegmentSize{1U << 20U};
inline constexpr std::chrono::hours kDay{24};

inline Timestamp time_at(const std::string& text) {
  return *parse_rfc3339(text);
}

struct StoreTime final : Clock {
  Timestamp now() const override { return current; }
  Timestamp current = time_at("2026-01-01T00:00:00Z");
  std::map<std::string, Timestamp> written;
  // What a listing does not show although it is there.
  std::set<std::string> hidden_prefixes;
  std::set<std::string> cleaned;  // folders whose leftovers were removed
  std::mutex mutex;
};

// Gives objects the time at which they were written.
class TimedStore final : public StoreDecorator {
 public:
  TimedStore(std::unique_ptr<ObjectStore> inner, std::shared_ptr<StoreTime> time)
      : StoreDecorator(std::move(inner)), time_(std::move(time)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    const PutOutcome outcome = inner().put(name, content, options, stop);
    const std::lock_guard lock(time_->mutex);
    if (outcome == PutOutcome::kCreated) time_->written[name] = time_->current;
    return outcome;
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    auto info = inner().head(name, stop);
    if (info) info->modified = written(name);
    return info;
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    ListPage page = inner().list(request, stop);
    std::erase_if(page.objects, [&](const ObjectInfo& object) { return is_hidden(object.name); });
    std::erase_if(page.folders, [&](const std::string& folder) { return is_hidden(folder); });
    for (ObjectInfo& object : page.objects) object.modified = written(object.name);
    return page;
  }
  std::uint64_t remove_leftovers(const std::string& prefix, const std::stop_token&) override {
    const std::lock_guard lock(time_->mutex);
    time_->cleaned.insert(prefix);
    return 0;
  }
  Timestamp now(const std::stop_token&) override { return time_->current; }

 private:
  Timestamp written(const std::string& name) {
    const std::lock_guard lock(time_->mutex);
    return time_->written[name];
  }
  bool is_hidden(const std::string& name) const {
    return std::ranges::any_of(time_->hidden_prefixes,
                               [&](const auto& prefix) { return name.starts_with(prefix); });
  }
  std::shared_ptr<StoreTime> time_;
};

struct MadePack {
  BackupName folder;
  std::uint32_t number = 1;
};

struct MadeBackup {
  std::uint32_t packs = 2;            // own ones
  std::vector<MadePack> cites = {};   // of others
  std::uint64_t start = 0, stop = 0;  // segments
  TimelineId timeline{1};
  bool standalone = false;
  HistoryName history{1, 77};
};

// The cluster "demo" with one history.
class ExpireBed {
 public:
  explicit ExpireBed(Sealed sealed = Sealed::kPlain) : repository_(sealed) {
    opened = repository_.open_on(std::make_unique<TimedStore>(repository_.store(), time));
    register_cluster(*opened, "demo",
                     {.system_identifier = 77, .wal_segment_size = kTestSegmentSize, .host = "t"},
                     kNoStop);
    options.cluster = "demo";
    options.host = "t";
    options.host_clock = time.get();
  }

  // As `backup` writes one, that ends now.
  BackupName begin() {
    BackupName name = next_name();
    write_begin(*opened, name, {"other", 1, "/data", to_rfc3339(time->current)}, kNoStop);
    return name;
  }
  BackupName backup(const MadeBackup& made = {}) {
    const BackupName name = begin();
    commit(name, made);
    return name;
  }
  void commit(const BackupName& name, const MadeBackup& made = {}) {
    PackRegistry registry;
    ManifestRoot root;
    for (std::uint32_t n = 1; n <= made.packs; ++n) {
      put_pack(name, n);
      root.packs.push_back(
          {registry.intern({name.history, name.id, names::PackKind::kData, n, {}}), 4});
    }
    for (const MadePack& pack : made.cites) {
      root.packs.push_back(
          {registry.intern(
               {pack.folder.history, pack.folder.id, names::PackKind::kData, pack.number, {}}),
           4});
    }
    root.info.name = name;
    root.info.type = made.cites.empty() ? "full" : "incr";
    root.info.wal_segment_size = kTestSegmentSize;
    root.info.owners = {{}};
    describe(root.info, made);
    root.info.page_hash_key = opened->page_hasher().key_name();
    const Bytes manifest = seal_record(ContainerKind::kManifest, opened->keys(),
                                       opened->keys().cipher, encode_manifest_root(root, registry));
    opened->store().put(names::manifest(name), manifest, {}, kNoStop);
    commit_backup(*opened,
                  {.committed = true,
                   .time = to_rfc3339(time->current),
                   .by = "test",
                   .info = root.info,
                   .manifest_bytes = manifest.size(),
                   .manifest_sha256 = to_hex(sha256(manifest))},
                  kNoStop);
  }
  // One with content, that can be restored, and what `made` says of WAL. What `files` do not have
  // it takes over from the backup `on`.
  BackupName backup_of(const std::vector<TestFile>& files, const MadeBackup& made,
                       const std::optional<BackupName>& on = {}) {
    const BackupName name = next_name();
    if (on) write_intent(*opened, {.cited = *on, .citing = name}, kNoStop);
    write_backup(*opened, files,
                 {.name = name,
                  .on = on,
                  .wal_segment_size = kTestSegmentSize,
                  .describe = [&](BackupInfo& info) { describe(info, made); }});
    return name;
  }
  void put_pack(const BackupName& name, std::uint32_t number) {
    put(names::pack(name, names::PackKind::kData, number));
  }
  void put(const std::string& object) {
    opened->store().put(object, as_bytes("pack"), {}, kNoStop);
  }
  void segments(std::uint64_t first, std::uint64_t last, TimelineId timeline = TimelineId{1}) {
    for (std::uint64_t n = first; n <= last; ++n) {
      put(names::wal_segment({"demo", history}, {timeline, n}, kTestSegmentSize));
    }
  }
  bool has_segment(std::uint64_t number, TimelineId timeline = TimelineId{1}) const {
    return has(names::wal_segment({"demo", history}, {timeline, number}, kTestSegmentSize));
  }
  bool has(const std::string& object) const { return objects().contains(object); }
  bool has_pack(const BackupName& name, std::uint32_t number) const {
    return has(names::pack(name, names::PackKind::kData, number));
  }
  // Objects of a backup.
  std::size_t count(const BackupName& name) const {
    std::size_t count = 0;
    for (const auto& [object, content] : objects()) {
      count += object.starts_with(names::backup_prefix(name)) ? 1 : 0;
    }
    return count;
  }
  std::map<std::string, Bytes>& objects() const { return repository_.objects->objects; }
  std::set<std::string>& undeletable() const { return repository_.objects->undeletable; }

  ExpireResult expire() { return run_expire(*opened, options, kNoStop); }
  // Runs twice with the grace period between.
  void expire_fully() {
    expire();
    pass(options.grace);
    expire();
  }
  void remove(const BackupName& name) {
    request_deletion(*opened, options, {.backup = name, .reason = "test"}, MarkIt::kYes, kNoStop);
  }
  void pass(std::chrono::milliseconds some) { time->current += some; }

  // Every backup that is listed as complete has its manifest and every pack that it cites.
  void expect_whole() {
    for (const CatalogueEntry& entry : list_backups(*opened, "demo", kNoStop)) {
      if (entry.state != BackupState::kCommitted) continue;
      PackRegistry registry;
      const ManifestRoot root = read_manifest(*opened, entry.outcome, registry, kNoStop);
      for (const CitedPack& cited : root.packs) {
        const PackRef& pack = registry.at(cited.pack);
        EXPECT_TRUE(has_pack({"demo", pack.history, pack.backup}, pack.number))
            << entry.name.id.text << " lacks " << pack.backup.text << "/" << pack.number;
      }
    }
  }
  std::vector<std::string> complete() {
    std::vector<std::string> ids;
    for (const CatalogueEntry& entry : list_backups(*opened, "demo", kNoStop)) {
      if (entry.state == BackupState::kCommitted) ids.push_back(entry.name.id.text);
    }
    return ids;
  }
  BackupState state_of(const BackupName& name) {
    for (const CatalogueEntry& entry : list_backups(*opened, "demo", kNoStop)) {
      if (entry.name == name) return entry.state;
    }
    return BackupState::kAborted;
  }

 private:
  BackupName next_name() {
    return {"demo", history, {fmt::format("{}-{:04x}", to_compact(time->current), ++made_)}};
  }
  void describe(BackupInfo& info, const MadeBackup& made) const {
    info.standalone = made.standalone;
    info.timeline = made.timeline;
    info.start_lsn = Lsn{made.start * kTestSegmentSize.bytes + 0x28};
    info.stop_lsn = Lsn{made.stop * kTestSegmentSize.bytes + 0x100};
    info.start_time = info.stop_time = time->current;
    info.postgres_version_num = 170000;
  }

  TestRepository repository_;

 public:
  std::shared_ptr<StoreTime> time = std::make_shared<StoreTime>();
  std::unique_ptr<Repository> opened;
  HistoryName history{1, 77};
  ExpireOptions options;

 private:
  int made_ = 0;
};

}  // namespace holdfast::test
