#pragma once
// What the tests of copies share: a backup and one that builds on it, in memory, and a deep
// verification of what a copy has become.

#include <gtest/gtest.h>

#include "copy/copy.h"
#include "unit/repository/repository_testing.h"
#include "verify/verify.h"

namespace holdfast::test {

inline const BackupName kParent = backup_name("20260101T000000Z-0001");
inline const BackupName kChild = backup_name("20260102T000000Z-0002");
inline constexpr std::uint64_t kBigBytes = std::uint64_t{72} << 20U;  // two slices

inline void write_parent(const Repository& repository) {
  write_backup(repository,
               {{"base/1/big", kBigBytes, numbered_content},
                {"base/1/small", 3000, numbered_content},
                {"base/1/zeros", 100000},
                {"global/empty", 0}},
               {.name = kParent});
}

inline CatalogueEntry entry_of(const Repository& repository, const BackupName& name) {
  for (const CatalogueEntry& entry : list_backups(repository, name.cluster, kNoStop)) {
    if (entry.name == name) return entry;
  }
  ADD_FAILURE() << "no backup " << name.id.text;
  return {};
}

// A backup with everything that the parent has, taken over by reference, and one more file.
inline void write_child(const Repository& repository) {
  ChunkReader chunks(repository.store(), repository.keys(), "demo");
  PackRegistry& registry = chunks.registry();
  Manifest parent(
      read_manifest(repository, entry_of(repository, kParent).outcome, registry, kNoStop), chunks);
  write_begin(repository, kChild, {"host", 1, "/data", "2026-01-02T00:00:00Z"}, kNoStop);
  PackWriter data(repository.store(), repository.keys(), {.backup = kChild}, {});
  PackWriter maps(repository.store(), repository.keys(),
                  {.backup = kChild, .kind = names::PackKind::kMap}, {});
  MapSink sink(maps, registry, kChild);
  SectionWriter section(sink);
  parent.for_each(Section::kData, [&](const FileEntry& entry) { section.add(entry); }, kNoStop);
  const Bytes content = numbered_content(1U << 30U, 8192);
  const NewChunk chunk = data.add(8192, Compression::kNone, content);
  FileEntry added{.path = "global/later", .mode = 0600, .size = 8192};
  added.map.emplace().add_chunk(1,
                                {registry.intern({kChild.history, kChild.id, names::PackKind::kData,
                                                  chunk.pack, data.salt(chunk.pack)}),
                                 chunk.offset, chunk.sealed_length},
                                0);
  added.map->hashes = {repository.page_hasher()(content)};
  section.add(added);
  ManifestRoot root = parent.root();
  root.pages[0] = section.finish();
  root.info.name = kChild;
  root.info.type = "incr";
  root.info.incremental = IncrementalFacts{.parent = kParent, .source = "comparison"};
  for (const auto kind : {names::PackKind::kData, names::PackKind::kMap}) {
    PackWriter& writer = kind == names::PackKind::kData ? data : maps;
    for (const StoredPack& pack : writer.finish()) {
      root.packs.push_back(
          {registry.intern({kChild.history, kChild.id, kind, pack.number, pack.salt}), pack.bytes});
    }
  }
  const Bytes manifest =
      seal_record(ContainerKind::kManifest, repository.keys(), repository.keys().cipher,
                  encode_manifest_root(root, registry));
  repository.store().put(names::manifest(kChild), manifest, {}, kNoStop);
  commit_backup(repository,
                {.committed = true,
                 .time = "2026-01-02T00:00:01Z",
                 .by = "test",
                 .info = root.info,
                 .manifest_bytes = manifest.size(),
                 .manifest_sha256 = to_hex(sha256(manifest))},
                kNoStop);
}

inline CopiedBackup copy_one(const Repository& from, const Repository& to, const BackupName& name,
                             CopyOptions options = {}) {
  options.from_name = "source";
  options.host = "test";
  options.jobs = 2;
  return copy_backup({.from = from, .to = to}, entry_of(from, name), options, null_progress(),
                     kNoStop);
}

// Every byte read, decompressed and compared with its hash: what is wrong, one line each.
inline std::vector<std::string> complaints(const Repository& repository, const BackupName& name) {
  const VerifyResult found = verify_backups(
      repository, {entry_of(repository, name)},
      {.mode = VerifyMode::kDeep, .cluster = "demo", .host = "test"}, null_progress(), kNoStop);
  std::vector<std::string> lines = found.warnings;
  for (const VerifyFinding& finding : found.findings) {
    lines.push_back(finding.object + ": " + finding.problem);
  }
  EXPECT_GT(found.bytes, 0U);
  return lines;
}

inline const std::vector<std::string> kNone;

inline ManifestRoot root_of(const Repository& repository, const BackupName& name) {
  PackRegistry registry;
  return read_manifest(repository, entry_of(repository, name).outcome, registry, kNoStop);
}

}  // namespace holdfast::test
