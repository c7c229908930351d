// Names, block maps, file pages and the manifest's root.

#include <algorithm>
#include <limits>

#include "repository/chunk_fetcher.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;

TEST(Names, HistoriesAndIdsHaveOneSpelling) {
  EXPECT_EQ(parse_history_name("0001-77"), (HistoryName{1, 77}));
  for (const char* wrong : {"1-77", "0001-077", "0001-", "-77", "0001", "0001-77 ", "0001-7a",
                            "0001-18446744073709551616", "00001-77", "../0001-77", "+001-77"}) {
    EXPECT_FALSE(parse_history_name(wrong)) << wrong;
  }
  EXPECT_TRUE(parse_backup_id("20261122T020000Z-3f9a"));
  for (const char* wrong :
       {"20261122T020000Z-3F9A", "20261122T020000Z-3f9", "latest", "", "20261122T020000Z-3f9g",
        "20261122t020000Z-3f9a", "20261122T020000Z/3f9a", "20261122T020000Z-3f9a/"}) {
    EXPECT_FALSE(parse_backup_id(wrong)) << wrong;
  }
  EXPECT_TRUE(parse_backup_id(new_backup_id(system_clock().now()).text));
}

TEST(Names, ClusterNamesCannotLeaveTheirPlace) {
  for (const char* good : {"demo", "a", "A.b_c-1"}) EXPECT_TRUE(is_valid_cluster_name(good));
  for (const char* wrong : {"", ".", "..", "a/b", "-a", "_a", "a b", "keys", "repository", "a\n"}) {
    EXPECT_FALSE(is_valid_cluster_name(wrong)) << wrong;
  }
  EXPECT_FALSE(is_valid_cluster_name(std::string(64, 'a')));
}

TEST(Names, NumberedRecordsAreParsedStrictly) {
  EXPECT_EQ(names::parse_key_generation("keys/0012"), 12U);
  EXPECT_EQ(names::parse_key_generation("keys/10000"), 10000U);
  for (const char* wrong : {"keys/12", "keys/0000", "keys/0001.tmp", "keys/", "key/0001"}) {
    EXPECT_FALSE(names::parse_key_generation(wrong)) << wrong;
  }
  EXPECT_EQ(names::parse_proof(backup_name(), names::proof(backup_name(), 3)), 3U);
  EXPECT_FALSE(names::parse_proof(backup_name(), names::proof(backup_name(), 3) + "x"));
}

TEST(PathOrder, IsTheOrderOfWalkingFoldersFirst) {
  // A strict order in which a folder is followed directly by what is in it.
  std::vector<std::string> paths{"a", "a/b", "a/b/c", "a/c", "a-b", "a.b", "a0", "b", "b!", "b/a"};
  std::vector<std::string> sorted = paths;
  std::ranges::sort(sorted, path_before);
  EXPECT_EQ(sorted, (std::vector<std::string>{"a", "a/b", "a/b/c", "a/c", "a-b", "a.b", "a0", "b",
                                              "b/a", "b!"}));
  for (const auto& x : paths) {
    EXPECT_FALSE(path_before(x, x));
    for (const auto& y : paths) {
      EXPECT_EQ(x != y, path_before(x, y) != path_before(y, x)) << x << " " << y;
    }
  }
}

PackIndex pack_of(PackRegistry& registry, std::uint32_t number) {
  Salt salt;
  salt.fill(static_cast<std::byte>(number));
  return registry.intern({{1, 77}, backup_name().id, names::PackKind::kData, number, salt});
}

BlockMap random_map(std::mt19937_64& random, PackRegistry& registry, std::uint32_t blocks) {
  BlockMap map;
  while (blocks > 0) {
    const auto run = std::min(blocks, static_cast<std::uint32_t>(1 + random() % 64));
    if (random() % 3 == 0) {
      map.add_zeros(run);
    } else {
      map.add_chunk(run,
                    {pack_of(registry, static_cast<std::uint32_t>(1 + random() % 5)),
                     std::uint32_t(random() % 30'000'000), std::uint32_t(33 + random() % 100'000)},
                    std::uint32_t(random() % 100'000));
      for (std::uint32_t i = 0; i < run; ++i) map.hashes.push_back(random());
    }
    blocks -= run;
  }
  return map;
}

TEST(BlockMaps, RandomOnesComeBack) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 50; ++i) {
    PackRegistry registry;
    const BlockMap map =
        random_map(random, registry, static_cast<std::uint32_t>(1 + random() % kBlocksPerMapPage));
    const Bytes page = encode_map_page(map, registry);
    PackRegistry other;
    pack_of(other, 5);  // other numbers than where it was written
    const BlockMap back = decode_map_page(page, other);
    EXPECT_EQ(back.hashes, map.hashes);
    ASSERT_EQ(back.extents.size(), map.extents.size());
    for (std::size_t j = 0; j < map.extents.size(); ++j) {
      EXPECT_EQ(back.extents[j].blocks, map.extents[j].blocks);
      EXPECT_EQ(back.extents[j].chunk.offset, map.extents[j].chunk.offset);
      if (!map.extents[j].zero()) {
        EXPECT_EQ(other.at(back.extents[j].chunk.pack).number,
                  registry.at(map.extents[j].chunk.pack).number);
      }
    }
    EXPECT_EQ(encode_map_page(back, other), page);
  }
}

// The sum of offset and length once wrapped around and passed for small.
TEST(BlockMaps, AnAddressThatWrapsAroundIsDamage) {
  PackRegistry registry;
  const std::vector<PackIndex> table{pack_of(registry, 1)};
  Encoder out;
  out.varint(0);
  out.varint(std::numeric_limits<std::uint64_t>::max() - 99);
  out.varint(200);
  EXPECT_EQ(kind_of([&] {
              Decoder in(out.view());
              decode_chunk_address(in, table);
            }),
            ErrorKind::kDamage);
}

TEST(BlockMaps, TwoPagesThatDisagreeAboutAPackAreDamage) {
  PackRegistry registry;
  pack_of(registry, 1);
  EXPECT_EQ(kind_of([&] {
              registry.intern({{1, 77}, backup_name().id, names::PackKind::kData, 1, Salt{}});
            }),
            ErrorKind::kDamage);
}

class Pages : public testing::Test {
 protected:
  std::vector<FilePageRef> write_section(const std::vector<std::string>& paths) {
    PackRegistry registry;
    const BackupName name = backup_name();
    PackWriter maps(repository_->store(), repository_->keys(),
                    {.backup = name, .kind = names::PackKind::kMap}, {});
    MapSink sink(maps, registry, name);
    SectionWriter writer(sink);
    for (const std::string& path : paths) writer.add({.path = path, .mode = 0600});
    auto pages = writer.finish();
    maps.finish();
    return pages;
  }
  TestRepository shared_;
  std::unique_ptr<Repository> repository_ = shared_.open();
};

TEST_F(Pages, CutsDoNotDependOnEarlierPaths) {
  std::vector<std::string> paths;
  for (int i = 0; i < 20'000; ++i) paths.push_back(fmt::format("base/1/{:06}", i));
  const auto before = write_section(paths);
  ASSERT_GT(before.size(), 5U);
  shared_.objects->objects.erase(names::pack(backup_name(), names::PackKind::kMap, 1));
  paths.insert(paths.begin(), {"aaa", "aab"});
  const auto after = write_section(paths);
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 1; i < before.size(); ++i) {
    EXPECT_EQ(after[i].first_path, before[i].first_path);
    EXPECT_EQ(after[i].entries, before[i].entries);
  }
}

TEST_F(Pages, EntriesComeBackAndAreFound) {
  std::vector<TestFile> files;
  for (int i = 0; i < 3000; ++i)
    files.push_back({fmt::format("base/1/{:05}", i), 100, numbered_content});
  files.push_back({"base/2/big", 200ULL << 20U, [](std::uint64_t at, std::size_t n) {
                     return at % (4U << 20U) == 0 ? numbered_content(at, n) : Bytes{};
                   }});
  write_backup(*repository_, files);
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  Manifest manifest(
      read_manifest(*repository_, list_backups(*repository_, "demo", kNoStop)[0].outcome,
                    chunks.registry(), kNoStop),
      chunks);
  std::vector<std::string> paths;
  manifest.for_each(
      Section::kData, [&](const FileEntry& entry) { paths.push_back(entry.path); }, kNoStop);
  ASSERT_EQ(paths.size(), files.size());
  for (std::size_t i = 0; i < files.size(); i += 97) {
    const auto entry = manifest.find(files[i].path, kNoStop);
    ASSERT_TRUE(entry) << files[i].path;
    EXPECT_EQ(entry->size, files[i].size);
  }
  EXPECT_FALSE(manifest.find("base/1/99999", kNoStop));
  const FileEntry big = *manifest.find("base/2/big", kNoStop);
  EXPECT_EQ(big.map_pages.size(), 4U);
  EXPECT_EQ(manifest.slice_map(big, 3, kNoStop).blocks(), 1024U);
}

// An authentic page, in the place of another one.
TEST_F(Pages, APageOfOtherFilesIsDamage) {
  std::vector<TestFile> files;
  for (int i = 0; i < 3000; ++i) files.push_back({fmt::format("base/1/{:05}", i), 0});
  write_backup(*repository_, files);
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  ManifestRoot root =
      read_manifest(*repository_, list_backups(*repository_, "demo", kNoStop)[0].outcome,
                    chunks.registry(), kNoStop);
  ASSERT_GT(root.pages[0].size(), 1U);
  root.pages[0][0].address = root.pages[0][1].address;
  root.pages[0][0].entries = root.pages[0][1].entries;
  Manifest manifest(root, chunks);
  const auto failure =
      failure_of([&] { manifest.for_each(Section::kData, [](const FileEntry&) {}, kNoStop); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind(), ErrorKind::kDamage);
  EXPECT_EQ(failure->object(), names::pack(backup_name(), names::PackKind::kMap, 1));
}

// Without the key an attacker can still move chunks about inside a pack.
TEST_F(Pages, AChunkThatWasMovedWithinItsPackIsDamage) {
  PackWriter writer(repository_->store(), repository_->keys(), {.backup = backup_name()}, {});
  const Bytes first(1000, std::byte{1}), second(1000, std::byte{2});
  const NewChunk a = writer.add(1000, Compression::kNone, first);
  const NewChunk b = writer.add(1000, Compression::kNone, second);
  writer.finish();
  Bytes& pack = shared_.object(names::pack(backup_name(), names::PackKind::kData, 1));
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  const PackIndex index = chunks.registry().intern(
      {{1, 77}, backup_name().id, names::PackKind::kData, 1, writer.salt(1)});
  EXPECT_EQ(chunks.read({index, a.offset, a.sealed_length}, kNoStop), first);
  std::swap_ranges(pack.begin() + a.offset, pack.begin() + a.offset + a.sealed_length,
                   pack.begin() + b.offset);
  EXPECT_EQ(kind_of([&] { chunks.read({index, a.offset, a.sealed_length}, kNoStop); }),
            ErrorKind::kDamage);
}

TEST_F(Pages, ConcurrentFetchingTellsEachDamagedChunkAndGoesOn) {
  PackWriter writer(repository_->store(), repository_->keys(), {.backup = backup_name()}, {});
  std::vector<NewChunk> places;
  for (int i = 0; i < 10; ++i) {
    places.push_back(writer.add(500, Compression::kNone, Bytes(500, std::byte(i))));
  }
  writer.finish();
  ChunkReader chunks(repository_->store(), repository_->keys(), "demo");
  const PackIndex index = chunks.registry().intern(
      {{1, 77}, backup_name().id, names::PackKind::kData, 1, writer.salt(1)});
  Bytes& pack = shared_.object(names::pack(backup_name(), names::PackKind::kData, 1));
  pack[places[3].offset + 50] ^= std::byte{1};
  pack.resize(places[8].offset);  // and the last two are cut off
  std::vector<ChunkRequest> requests;
  for (std::size_t i = 0; i < places.size(); ++i) {
    requests.push_back({{index, places[i].offset, places[i].sealed_length}, i});
  }
  std::mutex mutex;
  std::set<std::size_t> good, bad;
  const auto failed = [&](const std::vector<std::size_t>& tags, const Error&) {
    const std::lock_guard lock(mutex);
    bad.insert(tags.begin(), tags.end());
  };
  fetch_chunks(chunks, requests, {.threads = 2, .failed = failed}, kNoStop,
               [&](const std::vector<std::size_t>& tags, ByteView) {
                 const std::lock_guard lock(mutex);
                 good.insert(tags.begin(), tags.end());
               });
  EXPECT_EQ(bad, (std::set<std::size_t>{3, 8, 9}));
  EXPECT_EQ(good, (std::set<std::size_t>{0, 1, 2, 4, 5, 6, 7}));
  EXPECT_EQ(kind_of([&] {
              fetch_chunks(chunks, requests, {}, kNoStop,
                           [](const std::vector<std::size_t>&, ByteView) {});
            }),
            ErrorKind::kDamage);
}

}  // namespace
}  // namespace holdfast
