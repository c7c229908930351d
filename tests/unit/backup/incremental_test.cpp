// Generations of backups on top of each other, without a server: what a manifest says is always
// what the files held, however blocks were carried on, stored anew, refreshed or cut off.
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "backup/choose_base.h"
#include "backup/file_pipeline.h"
#include "backup/memory_plan.h"
#include "support/peak_memory.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using test::kNoStop;
using Files = std::map<std::string, std::string, decltype(&path_before)>;

class TextFile final : public SourceFile {
 public:
  TextFile(const std::string& text, std::atomic<std::uint64_t>& read) : text_(text), read_(read) {}
  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    if (offset >= text_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(out.size(), text_.size() - offset);
    const ByteView bytes = as_bytes(text_);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
    read_ += count;
    return count;
  }

 private:
  const std::string& text_;
  std::atomic<std::uint64_t>& read_;
};

class TextFiles final : public FileOpener {
 public:
  explicit TextFiles(const Files& texts) : texts_(texts) {}
  std::unique_ptr<SourceFile> open(const std::string& path) override {
    const auto at = texts_.find(path);
    return at == texts_.end() ? nullptr : std::make_unique<TextFile>(at->second, read);
  }
  std::atomic<std::uint64_t> read = 0;

 private:
  const Files& texts_;
};

// What a backup of this test is: its root as it would be stored.
struct Generation {
  Bytes root;
  std::uint64_t stored_bytes = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t refreshed_bytes = 0;
};

struct BuildOn {
  const Generation* parent = nullptr;
  const ChangedBlocks* changes = nullptr;
  // Backups whose packs are due.
  std::set<std::string> due = {};
};

class Incremental : public testing::Test {
 protected:
  Generation back_up(const Files& files, const BuildOn& on = {});
  Files content_of(const Generation& generation);
  // Names of the backups whose packs this one needs.
  std::set<std::string> needs(const Generation& generation);

  const BackupName name(int number) const {
    return {"demo", {1, 42}, {fmt::format("202611{:02}T020000Z-0000", number)}};
  }

  test::TestRepository storage_{test::Sealed::kPlain};
  std::unique_ptr<Repository> repository_ = storage_.open();
  int made_ = 0;
};

Generation Incremental::back_up(const Files& files, const BuildOn& on) {
  const BackupName backup = name(++made_);
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  PackRegistry& registry = chunks.registry();
  PackWriter data(repository_->store(), repository_->keys(), {.backup = backup}, kNoStop);
  PackWriter maps(repository_->store(), repository_->keys(),
                  {.backup = backup, .kind = names::PackKind::kMap}, kNoStop);
  MapSink sink(maps, registry, backup);
  SectionWriter section(sink);
  std::optional<Manifest> parent;
  std::optional<Base> base;
  std::optional<ManifestCursor> cursor;
  if (on.parent != nullptr) {
    parent.emplace(decode_manifest_root(on.parent->root, registry), chunks);
    PackSet due;
    for (const CitedPack& pack : parent->root().packs) {
      if (on.due.contains(registry.at(pack.pack).backup.text)) due.add(pack.pack);
    }
    base.emplace(*parent, on.changes, due);
    cursor.emplace(*parent, Section::kData, kNoStop, [&](const KnownFilePage& page) {
      if (!base->due.has(page.address.pack)) section.offer(page);
    });
  }
  TextFiles source(files);
  FilePipeline pipeline({.files = source,
                         .data_packs = data,
                         .maps = sink,
                         .hasher = repository_->page_hasher(),
                         .compression = {},
                         .backup = backup,
                         .progress = null_progress(),
                         .base = base ? &*base : nullptr},
                        3, section, kNoStop);
  for (const auto& [path, text] : files) {
    auto before = cursor ? cursor->find(path) : std::nullopt;
    if (before && before->size == 0) before.reset();
    pipeline.add_file({.path = path, .mode = 0600, .size = text.size()}, std::move(before));
  }
  pipeline.finish();
  ManifestRoot root;
  root.info.name = backup;
  root.info.owners = {{}};
  root.pages[0] = section.finish();
  Generation made;
  const auto cite = [&](PackWriter& writer, names::PackKind kind) {
    for (const StoredPack& pack : writer.finish()) {
      root.packs.push_back(
          {registry.intern({backup.history, backup.id, kind, pack.number, pack.salt}), pack.bytes});
      made.stored_bytes += pack.bytes;
    }
  };
  if (parent) {
    for (const CitedPack& pack : parent->root().packs) {
      if (section.cited().contains(pack.pack)) root.packs.push_back(pack);
    }
  }
  cite(data, names::PackKind::kData);
  cite(maps, names::PackKind::kMap);
  std::set<PackIndex> named;
  for (const CitedPack& pack : root.packs) named.insert(pack.pack);
  for (const PackIndex pack : section.cited()) EXPECT_TRUE(named.contains(pack));
  made.root = encode_manifest_root(root, registry);
  made.read_bytes = source.read;
  if (base) made.refreshed_bytes = base->counts.refreshed_bytes;
  return made;
}

Files Incremental::content_of(const Generation& generation) {
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  Manifest manifest(decode_manifest_root(generation.root, chunks.registry()), chunks);
  Files files(&path_before);
  manifest.for_each(
      Section::kData,
      [&](const FileEntry& entry) {
        std::string text;
        for (std::size_t slice = 0; slice < slice_count(entry); ++slice) {
          const BlockMap map = manifest.slice_map(entry, slice, kNoStop);
          if (!entry.map) {
            EXPECT_EQ(entry.map_pages[slice].packs, packs_of(map));
            EXPECT_EQ(entry.map_pages[slice].stored_blocks, map.hashes.size());
          }
          std::size_t hash = 0;
          for (const Extent& extent : map.extents) {
            const std::size_t bytes =
                std::min<std::uint64_t>(extent.blocks * kBlockBytes, entry.size - text.size());
            if (extent.zero()) {
              text.append(bytes, '\0');
              continue;
            }
            const Bytes plain = chunks.read(extent.chunk, kNoStop);
            const ByteView part = ByteView(plain).subspan(extent.offset_in_chunk, bytes);
            for (std::size_t at = 0; at < bytes; at += kBlockBytes) {
              EXPECT_EQ(map.hashes.at(hash++),
                        repository_->page_hasher()(
                            part.subspan(at, std::min<std::size_t>(kBlockBytes, bytes - at))));
            }
            text.append(as_text(part));
          }
        }
        files[entry.path] = text;
      },
      kNoStop);
  return files;
}

std::set<std::string> Incremental::needs(const Generation& generation) {
  PackRegistry registry;
  std::set<std::string> backups;
  for (const CitedPack& pack : decode_manifest_root(generation.root, registry).packs) {
    backups.insert(registry.at(pack.pack).backup.text);
  }
  return backups;
}

std::string noise(std::mt19937_64& random, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

void touch(Files& files, const std::string& path, std::size_t block) {
  std::string& text = files.at(path);
  text.at(block * kBlockBytes + 17) ^= 1;
}

constexpr std::size_t kMiB = std::size_t{1} << 20U;

Files some_files(std::mt19937_64& random) {
  Files files(&path_before);
  files["base/5/1000"] = noise(random, 3 * kMiB);
  files["base/5/1001"] = noise(random, 40'960);
  files["base/5/1001_vm"] = noise(random, 8192);
  files["base/5/1002"] = std::string(36 * kBlockBytes, '\0');
  files["base/5/PG_VERSION"] = "15\n";
  files["base/5/pg_filenode.map"] = noise(random, 524);
  files["postgresql.conf"] = noise(random, 29'000);
  return files;
}

TEST_F(Incremental, OfUnchangedFilesStoresOnlyItsRoot) {
  std::mt19937_64 random(1);
  const Files files = some_files(random);
  const Generation full = back_up(files);
  const Generation again = back_up(files, {.parent = &full});
  EXPECT_EQ(content_of(again), files);
  EXPECT_EQ(again.stored_bytes, 0U);
  EXPECT_EQ(needs(again), std::set<std::string>{name(1).id.text});
}

TEST_F(Incremental, StoresTheBlocksThatChangedAndNamesThePacksOfAllItsBlocks) {
  std::mt19937_64 random(2);
  Files files = some_files(random);
  const Generation full = back_up(files);
  touch(files, "base/5/1000", 7);
  touch(files, "base/5/1000", 300);
  touch(files, "base/5/1001", 4);
  const Generation second = back_up(files, {.parent = &full});
  EXPECT_EQ(content_of(second), files);
  EXPECT_LT(second.stored_bytes, 3 * 8192 + 3 * 8192);
  EXPECT_EQ(needs(second), (std::set<std::string>{name(1).id.text, name(2).id.text}));
}

TEST_F(Incremental, ReadsOnlyWhatChangedWhereThatIsKnown) {
  std::mt19937_64 random(3);
  Files files = some_files(random);
  const Generation full = back_up(files);
  touch(files, "base/5/1000", 7);
  ChangedBlocks changes({});
  changes.add({RelationBlocks{{1663, 5, 1000}, kMainFork, {{7, 1}}}});
  const Generation second = back_up(files, {.parent = &full, .changes = &changes});
  EXPECT_EQ(content_of(second), files);
  // That block, and all that is no main fork.
  EXPECT_EQ(second.read_bytes, 8192U + 8192 + 3 + 524 + 29'000);
}

TEST_F(Incremental, WhatWalDoesNotNameStaysAsTheParentHasIt) {
  // The proof that the test above reads nothing else: a change behind the oracle's back is missed.
  std::mt19937_64 random(4);
  Files files = some_files(random);
  const Generation full = back_up(files);
  Files changed = files;
  touch(changed, "base/5/1000", 9);
  const ChangedBlocks none({});
  EXPECT_EQ(content_of(back_up(changed, {.parent = &full, .changes = &none})), files);
}

TEST_F(Incremental, VisibilityAndFreeSpaceMapsAreAlwaysCompared) {
  std::mt19937_64 random(5);
  Files files = some_files(random);
  files["base/5/1000_vm"] = noise(random, 16'384);
  files["base/5/1000_fsm"] = noise(random, 24'576);
  files["base/5/1000_init"] = noise(random, 8192);
  const Generation full = back_up(files);
  for (const char* path : {"base/5/1000_vm", "base/5/1000_fsm", "base/5/1000_init"}) {
    touch(files, path, 0);
  }
  const ChangedBlocks none({});
  EXPECT_EQ(content_of(back_up(files, {.parent = &full, .changes = &none})), files);
}

TEST_F(Incremental, CutExtendedNewAndVanishedFilesAreAsTheyAre) {
  std::mt19937_64 random(6);
  Files files = some_files(random);
  files["base/5/2000"] = noise(random, 70 * kMiB);  // two slices
  const Generation full = back_up(files);
  const ChangedBlocks none({});
  files["base/5/2000"].resize(10 * kMiB);
  files["base/5/1000"] += noise(random, 65 * kMiB);
  files["base/5/1003"] = noise(random, kMiB);
  files.erase("base/5/1001");
  EXPECT_EQ(content_of(back_up(files, {.parent = &full, .changes = &none})), files);
  EXPECT_EQ(content_of(back_up(files, {.parent = &full})), files);
}

// Its map is so small that the entry has it, until it grows: found in a review, unreadable then.
TEST_F(Incremental, AFileOfOneSparseSliceMayGrowByAnother) {
  std::mt19937_64 random(12);
  Files files = some_files(random);
  files["base/5/2000"] = std::string(64 * kMiB, '\0');
  touch(files, "base/5/2000", 5);
  const Generation full = back_up(files);
  files["base/5/2000"] += noise(random, kMiB);
  ChangedBlocks changes({});
  changes.add({RelationBlocks{{1663, 5, 2000}, kMainFork, {{8192, 128}}}});
  const Generation second = back_up(files, {.parent = &full, .changes = &changes});
  EXPECT_EQ(content_of(second), files);
  EXPECT_EQ(content_of(back_up(files, {.parent = &second, .changes = &changes})), files);
}

// Cut and extended again: the blocks behind the cut may be zero without WAL naming them.
TEST_F(Incremental, BlocksBehindACutAreReadWhateverWalNames) {
  std::mt19937_64 random(7);
  Files files = some_files(random);
  const Generation full = back_up(files);
  std::string& text = files["base/5/1000"];
  text = text.substr(0, kMiB) + std::string(2 * kMiB, '\0');
  WalFileEvent cut{.kind = WalFileEvent::Kind::kTruncate,
                   .file = {1663, 5, 1000},
                   .truncated = WalFileEvent::kTruncatesMain,
                   .blocks = 128};
  ChangedBlocks changes({});
  changes.add({cut});
  EXPECT_EQ(content_of(back_up(files, {.parent = &full, .changes = &changes})), files);
}

TEST_F(Incremental, PacksThatAreDueAreNotNamedAgain) {
  std::mt19937_64 random(8);
  Files files = some_files(random);
  files["base/5/2000"] = std::string(100 * kMiB, '\0');  // maps without a single block
  const Generation full = back_up(files);
  touch(files, "base/5/1000", 3);
  const Generation second = back_up(files, {.parent = &full});
  const ChangedBlocks none({});
  const Generation third =
      back_up(files, {.parent = &second, .changes = &none, .due = {name(1).id.text}});
  EXPECT_EQ(content_of(third), files);
  EXPECT_EQ(needs(third), (std::set<std::string>{name(2).id.text, name(3).id.text}));
  EXPECT_GT(third.refreshed_bytes, 2 * kMiB);
}

TEST_F(Incremental, FragmentedSlicesAreStoredTogetherAgain) {
  std::mt19937_64 random(9);
  Files files(&path_before);
  files["base/5/1000"] = noise(random, 2 * kMiB);  // 16 chunks
  Generation last = back_up(files);
  bool gathered = false;
  for (std::size_t round = 0; round < 60; ++round) {
    touch(files, "base/5/1000", random() % 256);
    const Generation next = back_up(files, {.parent = &last});
    ASSERT_EQ(content_of(next), files) << round;
    gathered = gathered || needs(next).size() < needs(last).size() / 2;
    EXPECT_LE(needs(next).size(), 50U);
    last = next;
  }
  EXPECT_TRUE(gathered);
}

TEST_F(Incremental, RandomGenerationsHoldWhatTheFilesHeld) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  Files files(&path_before);
  std::vector<std::pair<Generation, Files>> made;
  for (int round = 0; round < 25; ++round) {
    ChangedBlocks changes({});
    for (int i = 0; i < 12; ++i) {
      const std::uint32_t relation = 1000 + static_cast<std::uint32_t>(random() % 40);
      const std::string path = fmt::format("base/5/{}", relation);
      const RelationFile file{1663, 5, relation};
      std::string& text = files[path];
      const std::uint64_t blocks = text.size() / kBlockBytes;
      switch (random() % 6) {
        case 0:  // extend
          text += noise(random, (1 + random() % 40) * kBlockBytes);
          break;
        case 1:  // cut, and perhaps extend by zeros that WAL does not name
          text.resize(blocks == 0 ? 0 : random() % blocks * kBlockBytes);
          changes.add_from(file, static_cast<std::uint32_t>(text.size() / kBlockBytes));
          if (random() % 2 == 0) text.append(random() % 30 * kBlockBytes, '\0');
          break;
        case 2:  // drop and make anew
          text = noise(random, random() % 60 * kBlockBytes);
          changes.add_from(file, 0);
          break;
        case 3:
          files.erase(path);
          changes.add_from(file, 0);
          break;
        default:
          for (std::uint64_t n = blocks / 10; n > 0; --n) {
            const auto block = static_cast<std::uint32_t>(random() % blocks);
            touch(files, path, block);
            changes.add({RelationBlocks{file, kMainFork, {{block, 1}}}});
          }
      }
      files[fmt::format("global/{}", random() % 50)] = noise(random, random() % 20'000);
    }
    BuildOn on;
    if (!made.empty()) {
      on.parent = &made.back().first;
      if (random() % 3 != 0) on.changes = &changes;
      if (random() % 4 == 0) on.due = {name(1 + static_cast<int>(random() % made.size())).id.text};
    }
    Generation generation = back_up(files, on);
    ASSERT_EQ(content_of(generation), files) << "round " << round;
    made.emplace_back(std::move(generation), files);
  }
  for (const auto& [generation, then] : made) ASSERT_EQ(content_of(generation), then);
}

// A parent of 1 TiB whose packs and maps exist by name only: what is not fetched need not be there.
struct Terabyte {
  static constexpr std::size_t kFiles = 1024, kSlices = 16, kPacks = 10'000;

  Bytes make(const Repository& repository, const BackupName& name) {
    PackRegistry registry;
    std::mt19937_64 random(11);
    std::vector<PackIndex> packs;
    for (std::uint32_t i = 0; i < kPacks; ++i) {
      PackRef pack{name.history, name.id, names::PackKind::kData, i + 1, {}};
      for (std::byte& byte : pack.salt) byte = static_cast<std::byte>(random());
      packs.push_back(registry.intern(pack));
    }
    PackWriter maps(repository.store(), repository.keys(),
                    {.backup = name, .kind = names::PackKind::kMap}, kNoStop);
    MapSink sink(maps, registry, name);
    SectionWriter section(sink);
    for (std::size_t i = 0; i < kFiles; ++i) {
      FileEntry entry{.path = path(i), .mode = 0600, .size = kSlices * kBytesPerMapPage};
      for (std::size_t slice = 0; slice < kSlices; ++slice) {
        const std::size_t at = (i * kSlices + slice) * kPacks / (kFiles * kSlices);
        const ChunkAddress page{packs.at(at), static_cast<std::uint32_t>(random() % 10'000'000),
                                68'456};
        entry.map_pages.push_back({page, {packs.at(at), packs.at(at / 2)}, 8192});
      }
      section.add(entry);
    }
    ManifestRoot root;
    root.info.name = name;
    root.info.owners = {{}};
    root.pages[0] = section.finish();
    for (const PackIndex pack : packs) root.packs.push_back({pack, 33'554'000});
    for (const StoredPack& pack : maps.finish()) {
      root.packs.push_back(
          {registry.intern({name.history, name.id, names::PackKind::kMap, pack.number, pack.salt}),
           pack.bytes});
    }
    return encode_manifest_root(root, registry);
  }
  static std::string path(std::size_t i) { return fmt::format("base/5/{}", 100'000 + i); }
};

class NothingToRead final : public FileOpener {
 public:
  std::unique_ptr<SourceFile> open(const std::string& path) override {
    ADD_FAILURE() << "opened " << path;
    return nullptr;
  }
};

constexpr std::uint64_t kBudget = std::uint64_t{256} << 20U;

// Copies the parent's maps on as a backup with the default budget does, and returns what it stores.
std::uint64_t store_terabyte_again(const Repository& repository, const Bytes& parent_root,
                                   const BackupName& backup) {
  const MemoryPlan plan = plan_memory(kBudget, 2, 4);
  ChunkReader chunks(repository.store(), repository.keys(), "demo");
  Manifest parent(decode_manifest_root(parent_root, chunks.registry()), chunks);
  const ChangedBlocks none({});
  Base base(parent, &none, {});
  PackWriter data(
      repository.store(), repository.keys(),
      {.backup = backup, .pack_bytes = plan.data_pack_bytes, .uploads = plan.data_uploads},
      kNoStop);
  PackWriter maps(repository.store(), repository.keys(),
                  {.backup = backup,
                   .kind = names::PackKind::kMap,
                   .pack_bytes = plan.map_pack_bytes,
                   .uploads = plan.map_uploads},
                  kNoStop);
  MapSink sink(maps, chunks.registry(), backup);
  SectionWriter section(sink);
  ManifestCursor cursor(parent, Section::kData, kNoStop,
                        [&](const KnownFilePage& page) { section.offer(page); });
  NothingToRead files;
  FilePipeline pipeline({.files = files,
                         .data_packs = data,
                         .maps = sink,
                         .hasher = repository.page_hasher(),
                         .compression = {},
                         .backup = backup,
                         .progress = null_progress(),
                         .base = &base},
                        plan.workers, section, kNoStop);
  for (std::size_t i = 0; i < Terabyte::kFiles; ++i) {
    const std::string path = Terabyte::path(i);
    pipeline.add_file({.path = path, .mode = 0600, .size = Terabyte::kSlices * kBytesPerMapPage},
                      cursor.find(path));
  }
  pipeline.finish();
  ManifestRoot root = parent.root();
  root.pages[0] = section.finish();
  EXPECT_EQ(section.cited().size(), root.packs.size());
  std::uint64_t stored = seal_record(ContainerKind::kManifest, repository.keys(), Cipher::kNone,
                                     encode_manifest_root(root, chunks.registry()))
                             .size();
  for (PackWriter* writer : {&data, &maps}) {
    for (const StoredPack& pack : writer->finish()) stored += pack.bytes;
  }
  return stored;
}

TEST_F(Incremental, OfATerabyteInWhichNothingChangedStoresLessThanAMebibyteInTheBudget) {
  const BackupName parent_name = name(++made_);
  const Bytes parent_root = Terabyte().make(*repository_, parent_name);
  const BackupName backup = name(++made_);
  std::uint64_t stored = 0;
  const long extra =
      test::extra_kib([&] { stored = store_terabyte_again(*repository_, parent_root, backup); });
  EXPECT_LT(stored, kMiB);
  RecordProperty("extra_kib", std::to_string(extra));
  if (test::kMeasuresMemory) {
    EXPECT_LT(extra, kBudget / 1024);
  }
}

}  // namespace
}  // namespace holdfast
