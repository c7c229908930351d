#pragma once
// What the tests of repositories and verification share: a store in memory whose objects a test can
// look at and change, repositories in it, and a writer of small backups without a PostgreSQL.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/cancellation.h"
#include "core/error.h"
#include "repository/catalogue.h"
#include "repository/chunk_reader.h"
#include "repository/history.h"
#include "repository/manifest.h"
#include "repository/outcome.h"
#include "repository/pack_writer.h"
#include "repository/repository.h"

namespace holdfast::test {

inline const std::stop_token kNoStop;

struct MemoryObjects {
  std::mutex mutex;
  std::map<std::string, Bytes> objects;
  std::set<std::string> undeletable;
  std::map<std::string, Timestamp> modified;  // by name; long ago where it has none
};

// Several stores can share the same objects.
class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryObjects> objects) : shared_(std::move(objects)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions&,
                 const std::stop_token& stop) override {
    check_cancelled(stop);
    const std::lock_guard lock(shared_->mutex);
    return shared_->objects.try_emplace(name, to_bytes(content)).second ? PutOutcome::kCreated
                                                                        : PutOutcome::kExists;
  }
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    check_cancelled(stop);
    const std::lock_guard lock(shared_->mutex);
    const auto at = shared_->objects.find(name);
    return at == shared_->objects.end() ? std::nullopt : std::optional(at->second);
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    const auto whole = get(name, stop);
    if (!whole) return false;
    if (offset + out.size() > whole->size()) {
      throw Error(ErrorKind::kDamage, "the object ends too early", {.object = name});
    }
    std::copy_n(whole->begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return true;
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    const auto whole = get(name, stop);
    if (!whole) return std::nullopt;
    return ObjectInfo{.name = name, .size = whole->size()};
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    check_cancelled(stop);
    const std::lock_guard lock(shared_->mutex);
    ListPage page;
    std::string last;
    const auto& objects = shared_->objects;
    auto at = objects.lower_bound(request.prefix);
    if (request.after >= request.prefix) at = objects.upper_bound(request.after);
    while (at != objects.end() && at->first.starts_with(request.prefix)) {
      const auto& [name, content] = *at;
      if (page.objects.size() + page.folders.size() == request.limit) {
        page.next = last;
        return page;
      }
      const auto slash = name.find('/', request.prefix.size());
      if (!request.group_folders || slash == std::string::npos) {
        const auto modified = shared_->modified.find(name);
        page.objects.push_back(
            {.name = name,
             .size = content.size(),
             .modified = modified == shared_->modified.end() ? Timestamp{} : modified->second});
        last = name;
        ++at;
      } else {
        page.folders.push_back(name.substr(0, slash + 1));
        last = name.substr(0, slash + 1) + "\xFF";  // behind all that is in it
        at = objects.upper_bound(last);
      }
    }
    return page;
  }
  void remove(const std::string& name, const std::stop_token&) override {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->undeletable.contains(name)) throw Error(ErrorKind::kRepository, "locked");
    shared_->objects.erase(name);
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    std::vector<RemoveFailure> failures;
    for (const std::string& name : names) {
      try {
        remove(name, stop);
      } catch (const Error& error) {
        failures.push_back({name, error.message()});
      }
    }
    return failures;
  }
  const Capabilities& capabilities() const override { return capabilities_; }
  Timestamp now(const std::stop_token&) override { return system_clock().now(); }
  std::string describe() const override { return "memory"; }

 private:
  std::shared_ptr<MemoryObjects> shared_;
  Capabilities capabilities_{.exclusive_create = true, .parallel_requests = 4};
};

inline std::optional<Error> failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline ErrorKind kind_of(const std::function<void()>& work) {
  const auto failure = failure_of(work);
  EXPECT_TRUE(failure.has_value()) << "nothing was thrown";
  return failure ? failure->kind() : ErrorKind::kBug;
}

inline Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

enum class Sealed { kPlain, kEncrypted };

// A repository in memory.
class TestRepository {
 public:
  explicit TestRepository(Sealed sealed = Sealed::kEncrypted) {
    if (sealed == Sealed::kEncrypted) key = KeyFile{Secret(Bytes(32, std::byte{7}))};
    MemoryStore store(objects);
    Repository::create(store, {.key = key, .key_label = "first", .holdfast_version = "test"},
                       kNoStop);
  }
  std::unique_ptr<ObjectStore> store() const { return std::make_unique<MemoryStore>(objects); }
  std::unique_ptr<Repository> open() const { return open_on(store()); }
  std::unique_ptr<Repository> open_on(std::unique_ptr<ObjectStore> on) const {
    return Repository::open(std::move(on), key, kNoStop);
  }
  Bytes& object(const std::string& name) { return objects->objects.at(name); }

  std::shared_ptr<MemoryObjects> objects = std::make_shared<MemoryObjects>();
  std::optional<KeySource> key;
};

struct TestFile {
  std::string path;
  std::uint64_t size = 0;
  // The content of 256 KiB from `offset`; empty: all zero.
  std::function<Bytes(std::uint64_t offset, std::size_t length)> content = {};
  FileType type = FileType::kRegular;
};

inline BackupName backup_name(const std::string& id = "20260101T000000Z-0001") {
  return {"demo", {1, 77}, {id}};
}

struct TestBackupOptions {
  BackupName name = backup_name();
  std::size_t pack_bytes = std::size_t{4} << 20U;
  std::string label = {};
  // What `files` do not have is taken over from this backup, by reference.
  std::optional<BackupName> on = {};
  WalSegmentSize wal_segment_size = {};
  // Says what else is recorded of it.
  std::function<void(BackupInfo&)> describe = [](BackupInfo&) {};
};

// Writes one backup; see write_backup().
class TestBackupWriter {
 public:
  TestBackupWriter(const Repository& repository, const TestBackupOptions& options)
      : repository_(repository),
        options_(options),
        data_(repository.store(), repository.keys(),
              {.backup = options.name, .pack_bytes = options.pack_bytes}, {}),
        maps_(repository.store(), repository.keys(),
              {.backup = options.name, .kind = names::PackKind::kMap, .pack_bytes = 8U << 20U}, {}),
        chunks_(repository.store(), repository.keys(), options.name.cluster),
        sink_(maps_, registry(), options.name),
        section_(sink_) {}

  void write(const std::vector<TestFile>& files) {
    if (options_.on) take_over_from_parent();
    for (const TestFile& file : files) entries_.insert_or_assign(file.path, sealed(file));
    for (const auto& [path, entry] : entries_) section_.add(entry);
    root_.pages[0] = section_.finish();
    root_.info.name = options_.name;
    root_.info.label = options_.label;
    root_.info.owners = {{}};
    root_.info.page_hash_key = repository_.page_hasher().key_name();
    root_.info.wal_segment_size = options_.wal_segment_size;
    options_.describe(root_.info);
    cite_packs();
    commit();
  }

 private:
  PackRegistry& registry() { return chunks_.registry(); }

  void take_over_from_parent() {
    const auto backups = list_backups(repository_, options_.on->cluster, kNoStop);
    const auto parent = std::ranges::find(backups, *options_.on, &CatalogueEntry::name);
    ASSERT_NE(parent, backups.end()) << options_.on->id.text;
    Manifest manifest(read_manifest(repository_, parent->outcome, registry(), kNoStop), chunks_);
    manifest.for_each(
        Section::kData, [&](const FileEntry& entry) { entries_.emplace(entry.path, entry); },
        kNoStop);
    parents_packs_ = manifest.root().packs;
    root_.info.type = "incr";
    root_.info.incremental = IncrementalFacts{.parent = *options_.on, .source = "comparison"};
  }
  FileEntry sealed(const TestFile& file) {
    FileEntry entry{.path = file.path, .type = file.type, .mode = 0600, .size = file.size};
    for (std::size_t slice = 0; slice < slice_count(entry); ++slice) {
      BlockMap map = map_of_slice(file, slice);
      if (slice_count(entry) == 1 && fits_in_entry(map)) {
        entry.map = std::move(map);
      } else {
        entry.map_pages.push_back(sink_.seal_map(map));
      }
    }
    return entry;
  }
  BlockMap map_of_slice(const TestFile& file, std::size_t slice) {
    constexpr std::uint64_t kChunk = std::uint64_t{256} << 10U;
    BlockMap map;
    const std::uint64_t end = std::min(file.size, (slice + 1) * kBytesPerMapPage);
    for (std::uint64_t at = slice * kBytesPerMapPage; at < end; at += kChunk) {
      const std::size_t length = std::min(kChunk, end - at);
      const auto blocks = static_cast<std::uint32_t>((length + kBlockBytes - 1) / kBlockBytes);
      const Bytes content = file.content ? file.content(at, length) : Bytes{};
      if (content.empty()) {
        map.add_zeros(blocks);
      } else {
        add_chunk(map, blocks, content);
      }
    }
    return map;
  }
  void add_chunk(BlockMap& map, std::uint32_t blocks, const Bytes& content) {
    const auto packed = compressor_.compress(content);
    const NewChunk chunk =
        data_.add(static_cast<std::uint32_t>(content.size()), packed.compression, packed.payload);
    const BackupName& name = options_.name;
    const PackIndex pack = registry().intern(
        {name.history, name.id, names::PackKind::kData, chunk.pack, data_.salt(chunk.pack)});
    map.add_chunk(blocks, {pack, chunk.offset, chunk.sealed_length}, 0);
    for (std::size_t i = 0; i < content.size(); i += kBlockBytes) {
      const std::size_t length = std::min<std::size_t>(kBlockBytes, content.size() - i);
      map.hashes.push_back(repository_.page_hasher()(ByteView(content).subspan(i, length)));
    }
  }
  void cite_packs() {
    for (const CitedPack& pack : parents_packs_) {
      if (section_.cited().contains(pack.pack)) root_.packs.push_back(pack);
    }
    const BackupName& name = options_.name;
    for (const auto kind : {names::PackKind::kData, names::PackKind::kMap}) {
      PackWriter& writer = kind == names::PackKind::kData ? data_ : maps_;
      for (const StoredPack& pack : writer.finish()) {
        root_.packs.push_back(
            {registry().intern({name.history, name.id, kind, pack.number, pack.salt}), pack.bytes});
      }
    }
  }
  void commit() {
    const Bytes manifest =
        seal_record(ContainerKind::kManifest, repository_.keys(), repository_.keys().cipher,
                    encode_manifest_root(root_, registry()));
    repository_.store().put(names::manifest(options_.name), manifest, {}, kNoStop);
    commit_backup(repository_,
                  {.committed = true,
                   .time = "2026-01-01T00:00:01Z",
                   .by = "test",
                   .info = root_.info,
                   .manifest_bytes = manifest.size(),
                   .manifest_sha256 = to_hex(sha256(manifest))},
                  kNoStop);
  }

  const Repository& repository_;
  const TestBackupOptions& options_;
  PackWriter data_, maps_;
  ChunkReader chunks_;
  MapSink sink_;
  SectionWriter section_;
  Compressor compressor_{{}};
  std::map<std::string, FileEntry, decltype(&path_before)> entries_{&path_before};
  std::vector<CitedPack> parents_packs_;
  ManifestRoot root_;
};

// Writes and commits a backup of `files`.
inline void write_backup(const Repository& repository, const std::vector<TestFile>& files,
                         const TestBackupOptions& options = {}) {
  const BackupName& name = options.name;
  register_cluster(repository, name.cluster,
                   {.system_identifier = name.history.system_identifier,
                    .wal_segment_size = options.wal_segment_size,
                    .host = "test"},
                   kNoStop);
  write_begin(repository, name, {"host", 1, "/data", "2026-01-01T00:00:00Z"}, kNoStop);
  TestBackupWriter(repository, options).write(files);
}

// Reproducible content that compresses about 2 : 1 and differs everywhere.
inline Bytes numbered_content(std::uint64_t offset, std::size_t length) {
  Bytes content(length);
  for (std::size_t i = 0; i + 16 <= length; i += 16)
    store_le(&content[i], (offset + i) * 0x9e3779b97f4a7c15U);
  return content;
}

}  // namespace holdfast::test
