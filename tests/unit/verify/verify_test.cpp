// Verification and cat on small backups in memory.

#include "verify/verify.h"

#include <algorithm>

#include "storage/fault_store.h"
#include "storage/metrics_store.h"
#include "unit/repository/repository_testing.h"
#include "verify/file_reader.h"

namespace holdfast {
namespace {

using namespace test;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

std::vector<TestFile> some_files() {
  return {{"base/1/1", 3 * kMiB, numbered_content},
          {"base/1/2", 70 * kMiB,
           [](std::uint64_t at, std::size_t length) {
             return at < 66 * kMiB ? Bytes{} : numbered_content(at + 5, length);
           }},
          {"base/1/3", 100, numbered_content},
          {"postgresql.conf", 0}};
}

VerifyResult verify_on(const Repository& repository, VerifyMode mode = VerifyMode::kFull,
                       std::uint64_t memory = 64 * kMiB) {
  return verify_backups(repository, list_backups(repository, "demo", kNoStop),
                        {.mode = mode, .cluster = "demo", .memory_bytes = memory, .host = "here"},
                        null_progress(), kNoStop);
}

// Of a fault script: the whole-object reads and ranged reads of a run.
struct Recorder {
  std::mutex mutex;
  std::map<std::string, int> gets, ranges;
  FaultPlan plan() {
    return {.script = [this](const FaultCall& call) -> std::optional<FaultEffect> {
      const std::lock_guard lock(mutex);
      if (call.operation == StoreOperation::kGet) ++gets[std::string(call.name)];
      if (call.operation == StoreOperation::kGetRange) ++ranges[std::string(call.name)];
      return std::nullopt;
    }};
  }
};

class Verify : public testing::TestWithParam<Sealed> {
 protected:
  void SetUp() override { write_backup(*repository_.open(), some_files()); }
  VerifyResult verify(VerifyMode mode = VerifyMode::kFull) {
    return verify_on(*repository_.open(), mode);
  }
  TestRepository repository_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Sealing, Verify, testing::Values(Sealed::kPlain, Sealed::kEncrypted),
                         [](const auto& tested) {
                           return tested.param == Sealed::kPlain ? "Plain" : "Encrypted";
                         });

TEST_P(Verify, AGoodRepositoryHasNoFindingsInAnyMode) {
  for (const VerifyMode mode : {VerifyMode::kQuick, VerifyMode::kFull, VerifyMode::kDeep}) {
    const VerifyResult done = verify(mode);
    EXPECT_EQ(done.damaged_objects, 0U)
        << (done.findings.empty() ? "" : done.findings[0].object + done.findings[0].problem);
    EXPECT_TRUE(done.warnings.empty());
  }
}

// A verification that skips something is noticed here.
TEST_P(Verify, EveryByteOfEveryObjectIsRead) {
  Recorder recorder;
  const auto repository =
      repository_.open_on(make_fault_store(repository_.store(), recorder.plan()));
  recorder.gets.clear();
  const std::map<std::string, Bytes> stored = repository_.objects->objects;
  const VerifyResult done = verify_on(*repository);
  std::uint64_t packs_and_manifest = 0;
  for (const auto& [name, content] : stored) {
    EXPECT_GE(recorder.gets[name], 1) << name << " was not read as a whole";
    const bool counted = name.find("/pack/") != std::string::npos ||
                         name.find("/map/") != std::string::npos || name.ends_with("/manifest");
    if (counted) packs_and_manifest += content.size();
  }
  EXPECT_EQ(done.bytes, packs_and_manifest);
  EXPECT_EQ(done.objects, stored.size());
}

TEST_P(Verify, AFlippedBitInAnyObjectIsFoundAndNamed) {
  std::mt19937_64 random(20261122);
  const auto pristine = repository_.objects->objects;
  for (const auto& [name, content] : pristine) {
    for (const std::size_t at : {std::size_t{0}, content.size() / 2, content.size() - 1,
                                 std::size_t{random() % content.size()}}) {
      repository_.objects->objects = pristine;
      repository_.object(name)[at] ^= std::byte{0x10};
      const auto failure = failure_of([&] {
        const VerifyResult done = verify();
        ASSERT_EQ(done.damaged_objects, 1U) << name << " at " << at;
        EXPECT_EQ(done.findings[0].object, name);
      });
      // What cannot even be opened is an error that names the object.
      if (failure) {
        EXPECT_EQ(failure->kind(), ErrorKind::kDamage) << name << failure->message();
        EXPECT_EQ(failure->object(), name);
      }
    }
  }
}

TEST_P(Verify, AMissingObjectIsFoundAndNamed) {
  const auto pristine = repository_.objects->objects;
  for (const auto& [name, content] : pristine) {
    if (name == names::kDescriptor || name.starts_with("keys/")) continue;  // no repository then
    for (const VerifyMode mode : {VerifyMode::kQuick, VerifyMode::kFull, VerifyMode::kDeep}) {
      repository_.objects->objects = pristine;
      repository_.objects->objects.erase(name);
      const VerifyResult done = verify(mode);
      EXPECT_EQ(done.damaged_objects, 1U) << name;
      ASSERT_FALSE(done.findings.empty());
      EXPECT_EQ(done.findings[0].object, name);
    }
  }
}

TEST_P(Verify, SwappedPacksAreFound) {
  const std::string first = names::pack(backup_name(), names::PackKind::kData, 1);
  write_backup(*repository_.open(), some_files(), {.name = backup_name("20260102T000000Z-0002")});
  const std::string other =
      names::pack(backup_name("20260102T000000Z-0002"), names::PackKind::kData, 1);
  std::swap(repository_.object(first), repository_.object(other));
  const VerifyResult done = verify();
  EXPECT_EQ(done.damaged_objects, 2U);
}

TEST_P(Verify, ARecordCopiedOverThatOfAnotherBackupIsFound) {
  const BackupName second = backup_name("20260102T000000Z-0002");
  write_backup(*repository_.open(), some_files(), {.name = second});
  const auto pristine = repository_.objects->objects;
  for (const auto& name_of : {names::begin, names::outcome, names::manifest}) {
    repository_.objects->objects = pristine;
    repository_.object(name_of(second)) = repository_.object(name_of(backup_name()));
    const VerifyResult done = verify();
    ASSERT_EQ(done.damaged_objects, 1U) << name_of(second);
    EXPECT_EQ(done.findings[0].object, name_of(second));
  }
}

TEST_P(Verify, DamageNamesTheFilesAndBlocksThatAreLost) {
  // One chunk of 256 KiB in the middle of the first pack: 32 blocks of one file.
  const auto repository = repository_.open();
  ChunkReader chunks(repository->store(), repository->keys(), "demo");
  Manifest manifest(
      read_manifest(*repository, list_backups(*repository, "demo", kNoStop)[0].outcome,
                    chunks.registry(), kNoStop),
      chunks);
  const FileEntry file = *manifest.find("base/1/1", kNoStop);
  const Extent extent = manifest.slice_map(file, 0, kNoStop).extents.at(3);
  const std::string pack = chunks.pack_name(extent.chunk.pack);
  repository_.object(pack)[extent.chunk.offset + 100] ^= std::byte{1};
  for (const VerifyMode mode : {VerifyMode::kFull, VerifyMode::kDeep}) {
    const VerifyResult done = verify(mode);
    ASSERT_EQ(done.findings.size(), 1U);
    const VerifyFinding& finding = done.findings[0];
    EXPECT_EQ(finding.object, pack);
    EXPECT_EQ(finding.backup, backup_name().id.text);
    EXPECT_EQ(finding.affected_blocks, 32U);
    ASSERT_EQ(finding.files.size(), 1U);
    EXPECT_EQ(finding.files[0].path, "base/1/1");
    EXPECT_EQ(finding.files[0].ranges.at(0).first, 96U);
    EXPECT_EQ(finding.files[0].ranges.at(0).count, 32U);
  }
}

TEST_P(Verify, DamageInATrailerLosesNoBlock) {
  const std::string pack = names::pack(backup_name(), names::PackKind::kData, 1);
  repository_.object(pack).back() ^= std::byte{1};
  const VerifyResult done = verify();
  ASSERT_EQ(done.findings.size(), 1U);
  EXPECT_EQ(done.findings[0].affected_blocks, 0U);
}

TEST_P(Verify, AFailingStoreIsNotDamage) {
  const auto repository = repository_.open_on(
      make_fault_store(repository_.store(), parse_fault_plan("get@/pack/=fail")));
  EXPECT_EQ(kind_of([&] { verify_on(*repository); }), ErrorKind::kRepository);
}

TEST_P(Verify, StoresItsResultAsProof) {
  verify();
  repository_.object(names::pack(backup_name(), names::PackKind::kData, 1))[80] ^= std::byte{1};
  verify(VerifyMode::kDeep);
  const auto proof = last_proof(*repository_.open(), backup_name(), kNoStop);
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->number, 2U);
  EXPECT_FALSE(proof->ok);
  EXPECT_EQ(proof->mode, "deep");
  EXPECT_EQ(proof->damaged, std::vector{names::pack(backup_name(), names::PackKind::kData, 1)});
  EXPECT_TRUE(read_proof(*repository_.open(), backup_name(), 1, kNoStop).ok);
}

TEST_P(Verify, AProofThatCannotBeStoredIsAWarning) {
  const auto repository = repository_.open_on(
      make_fault_store(repository_.store(), parse_fault_plan("put@/proof/=deny")));
  const VerifyResult done = verify_on(*repository);
  EXPECT_EQ(done.damaged_objects, 0U);
  EXPECT_EQ(done.warnings.size(), 1U);
}

TEST_P(Verify, ADamagedCommitRecordIsAFindingWhileOtherBackupsAreVerified) {
  const BackupName second = backup_name("20260102T000000Z-0002");
  write_backup(*repository_.open(), some_files(), {.name = second});
  repository_.object(names::outcome(backup_name()))[70] ^= std::byte{1};
  const VerifyResult done = verify();
  ASSERT_EQ(done.damaged_objects, 1U);
  EXPECT_EQ(done.findings[0].object, names::outcome(backup_name()));
  EXPECT_EQ(done.backups.at(1).proof, 1U);
}

// Memory for one table at a time: several rounds find what one round finds, and no more.
TEST_P(Verify, RoundsOfLittleMemoryFindTheSame) {
  std::vector<TestFile> files;
  for (int i = 0; i < 300; ++i) {
    files.push_back({fmt::format("base/1/{:03}", i), 256 << 10U, numbered_content});
  }
  write_backup(*repository_.open(), files,
               {.name = backup_name("20260103T000000Z-0003"), .pack_bytes = 300 << 10U});
  repository_.object(names::pack(backup_name("20260103T000000Z-0003"), names::PackKind::kData,
                                 70))[200] ^= std::byte{1};
  repository_.object(names::pack(backup_name("20260103T000000Z-0003"), names::PackKind::kMap, 1))
      .back() ^= std::byte{1};
  const VerifyResult done = verify_on(*repository_.open(), VerifyMode::kFull, 64);
  ASSERT_EQ(done.findings.size(), 2U);
  EXPECT_EQ(done.findings[1].affected_files, 1U);
}

class Cat : public testing::Test {
 protected:
  Bytes cat(const CatRequest& request) { return cat_on(*repository_.open(), request); }
  static Bytes cat_on(const Repository& repository, const CatRequest& request) {
    Bytes out;
    cat_file(
        repository, find_backup(repository, "demo", "latest", kNoStop), request,
        [&](ByteView part) { out.insert(out.end(), part.begin(), part.end()); }, nullptr, kNoStop);
    return out;
  }
  TestRepository repository_;
};

TEST_F(Cat, GivesEveryRangeOfAFile) {
  write_backup(*repository_.open(), some_files());
  const Bytes whole = numbered_content(0, 3 * kMiB);
  EXPECT_EQ(cat({.path = "base/1/1"}).size(), whole.size());
  std::mt19937_64 random(1);
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t at = random() % (3 * kMiB), length = random() % (600 << 10U);
    Bytes expected;
    for (std::uint64_t j = at; j < std::min(at + length, 3 * kMiB); ++j) {
      // Content is made chunk by chunk.
      const std::uint64_t chunk = j & ~((std::uint64_t{256} << 10U) - 1);
      static std::map<std::uint64_t, Bytes> chunks;
      if (!chunks.contains(chunk)) chunks[chunk] = numbered_content(chunk, 256 << 10U);
      expected.push_back(chunks[chunk][j - chunk]);
    }
    EXPECT_EQ(cat({.path = "base/1/1", .offset = at, .length = length}), expected);
  }
  EXPECT_EQ(cat({.path = "base/1/2", .offset = 10, .length = 100'000}), Bytes(100'000));
  EXPECT_TRUE(cat({.path = "postgresql.conf"}).empty());
}

TEST_F(Cat, EightKiBOfAGiBCostTheManifestReadsAndOneRangedGet) {
  // One content for all chunks keeps the test fast; every chunk is stored all the same.
  static const Bytes content = numbered_content(0, 256 << 10U);
  write_backup(*repository_.open(),
               {{"base/1/1", 1024 * kMiB,
                 [](std::uint64_t, std::size_t length) {
                   return Bytes(content.begin(),
                                content.begin() + static_cast<std::ptrdiff_t>(length));
                 }}},
               {.pack_bytes = 32 * kMiB});
  Recorder recorder;
  const auto metrics = std::make_shared<StoreMetrics>();
  const auto repository = repository_.open_on(
      make_fault_store(make_metrics_store(repository_.store(), metrics), recorder.plan()));
  const auto backup = find_backup(*repository, "demo", "latest", kNoStop);
  const auto before = metrics->snapshot();
  recorder.gets.clear();
  std::uint64_t bytes = 0;
  cat_file(
      *repository, backup, {.path = "base/1/1", .offset = 700 * kMiB + 8192, .length = 8192},
      [&](ByteView part) { bytes += part.size(); }, nullptr, kNoStop);
  const auto after = metrics->snapshot();
  EXPECT_EQ(bytes, 8192U);
  // The manifest: its root, one page of files, one page of the map.
  EXPECT_EQ(after.of(StoreOperation::kGet).requests - before.of(StoreOperation::kGet).requests, 1U);
  EXPECT_EQ(recorder.gets[names::manifest(backup_name())], 1);
  int data = 0, maps = 0;
  for (const auto& [name, count] : recorder.ranges) {
    (name.find("/map/") != std::string::npos ? maps : data) += count;
  }
  EXPECT_EQ(data, 1);
  EXPECT_EQ(maps, 2);
  EXPECT_EQ(after.total().requests - before.total().requests, 4U);
}

TEST_F(Cat, RefusesWhatIsNotThere) {
  write_backup(*repository_.open(), some_files());
  const auto failure = failure_of([&] { cat({.path = "base/1/4"}); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind(), ErrorKind::kNotFound);
  EXPECT_NE(failure->hint().find("base/1/"), std::string::npos) << failure->hint();
  // A path before every other one has a neighbour too.
  EXPECT_NE(failure_of([&] { cat({.path = "base/1"}); })->hint().find("base/1/1"),
            std::string::npos);
  EXPECT_EQ(kind_of([&] { cat({.path = "base/1/3", .offset = 101}); }), ErrorKind::kUsage);
  EXPECT_TRUE(cat({.path = "base/1/3", .offset = 100}).empty());
}

TEST_F(Cat, DamagedBlocksDoNotGoOut) {
  write_backup(*repository_.open(), some_files());
  for (auto& [name, content] : repository_.objects->objects) {
    if (name.find("/pack/") == std::string::npos) continue;
    for (std::size_t at = 64; at < content.size(); at += 1000) content[at] ^= std::byte{1};
  }
  EXPECT_EQ(kind_of([&] { cat({.path = "base/1/1", .length = 10}); }), ErrorKind::kDamage);
}

}  // namespace
}  // namespace holdfast
