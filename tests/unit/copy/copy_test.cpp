// Copies between repositories of every kind, in memory.
#include <thread>

#include <fmt/format.h>

#include "copy_testing.h"
#include "repository/intent.h"
#include "repository/sweep.h"
#include "repository/tombstone.h"

namespace holdfast::test {
namespace {

struct Kinds {
  Sealed from, to;
};

class Copies : public testing::TestWithParam<Kinds> {
 protected:
  TestRepository from_{GetParam().from}, to_{GetParam().to};
  std::unique_ptr<Repository> source_ = from_.open(), target_ = to_.open();
};

TEST_P(Copies, ArriveWholeAndNeedNothingOfTheSource) {
  write_parent(*source_);
  const CopiedBackup copied = copy_one(*source_, *target_, kParent);
  EXPECT_EQ(copied.state, CopiedBackup::State::kCopied);
  EXPECT_GT(copied.packs_copied, 2U);
  from_.objects->objects.clear();
  EXPECT_EQ(complaints(*target_, kParent), kNoComplaints);
  const BackupInfo info = entry_of(*target_, kParent).outcome.info;
  ASSERT_TRUE(info.copied_from);
  EXPECT_EQ(info.copied_from->repository, "source");
  EXPECT_EQ(info.copied_from->repository_id, to_hex(source_->keys().repository_id));
  EXPECT_EQ(info.encryption, GetParam().to == Sealed::kPlain ? "none" : "aes-256-gcm");
}

TEST_P(Copies, TwiceIsThereAlready) {
  write_parent(*source_);
  copy_one(*source_, *target_, kParent);
  const auto before = to_.objects->objects;
  const CopiedBackup again = copy_one(*source_, *target_, kParent);
  EXPECT_EQ(again.state, CopiedBackup::State::kThereAlready);
  EXPECT_EQ(again.packs_copied, 0U);
  EXPECT_TRUE(to_.objects->objects == before) << "something was written";
}

TEST_P(Copies, AnIncrementalTakesThePacksOfItsParentAlong) {
  write_parent(*source_);
  write_child(*source_);
  copy_one(*source_, *target_, kChild);
  from_.objects->objects.clear();
  EXPECT_EQ(complaints(*target_, kChild), kNoComplaints);
  EXPECT_EQ(entry_of(*target_, kParent).state, BackupState::kPacksOnly);
  EXPECT_EQ(list_intents(*target_, kParent, kNoStop).size(), 1U);
}

TEST_P(Copies, TheParentComesLaterOverPacksThatAreThere) {
  write_parent(*source_);
  write_child(*source_);
  copy_one(*source_, *target_, kChild);
  const CopiedBackup parent = copy_one(*source_, *target_, kParent);
  EXPECT_EQ(parent.packs_copied, 0U);
  EXPECT_GT(parent.packs_there, 2U);
  from_.objects->objects.clear();
  EXPECT_EQ(complaints(*target_, kParent), kNoComplaints);
  EXPECT_EQ(complaints(*target_, kChild), kNoComplaints);
}

TEST_P(Copies, AStandaloneOneDependsOnNoOther) {
  write_parent(*source_);
  write_child(*source_);
  const CopiedBackup copied = copy_one(*source_, *target_, kChild, {.form = CopyForm::kStandalone});
  EXPECT_EQ(copied.form, CopyForm::kStandalone);
  from_.objects->objects.clear();
  EXPECT_EQ(complaints(*target_, kChild), kNoComplaints);
  for (const auto& [name, object] : to_.objects->objects) {
    EXPECT_FALSE(name.starts_with(names::backup_prefix(kParent))) << name;
  }
  const BackupInfo info = entry_of(*target_, kChild).outcome.info;
  EXPECT_EQ(info.type, "full");
  EXPECT_FALSE(info.incremental);
  std::uint64_t bytes = 0;
  for (const CitedPack& pack : root_of(*target_, kChild).packs) bytes += pack.bytes;
  EXPECT_EQ(info.stored_bytes, bytes);
}

TEST_P(Copies, OfACopyAndBackHomeAgain) {
  write_parent(*source_);
  write_child(*source_);
  TestRepository third(Sealed::kEncrypted), home(GetParam().from);
  const auto further = third.open();
  copy_one(*source_, *target_, kChild);
  copy_one(*target_, *further, kChild);
  EXPECT_EQ(complaints(*further, kChild), kNoComplaints);
  // The hash key came along; where it is the repository's own it is not written.
  EXPECT_TRUE(root_of(*target_, kChild).hash_key);
  for (auto at = from_.objects->objects.begin(); at != from_.objects->objects.end();) {
    at = at->first.starts_with("demo/") ? from_.objects->objects.erase(at) : std::next(at);
  }
  copy_one(*further, *source_, kChild);
  EXPECT_FALSE(root_of(*source_, kChild).hash_key);
  EXPECT_EQ(complaints(*source_, kChild), kNoComplaints);
}

TEST_P(Copies, DamageNamesTheObjectAndCommitsNothing) {
  write_parent(*source_);
  const std::string name = names::pack(kParent, names::PackKind::kData, 2);
  Bytes& pack = from_.object(name);
  pack[pack.size() / 2] ^= std::byte{1};
  const auto failure = failure_of([&] { copy_one(*source_, *target_, kParent); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind(), ErrorKind::kDamage);
  EXPECT_EQ(failure->object(), name);
  EXPECT_FALSE(to_.objects->objects.contains(name));
  EXPECT_FALSE(to_.objects->objects.contains(names::manifest(kParent)));
  EXPECT_EQ(entry_of(*target_, kParent).state, BackupState::kUnfinished);
}

TEST_P(Copies, AnotherPackUnderTheNameIsDamage) {
  write_parent(*source_);
  from_.object(names::pack(kParent, names::PackKind::kData, 2)) =
      from_.object(names::pack(kParent, names::PackKind::kData, 3));
  EXPECT_EQ(kind_of([&] { copy_one(*source_, *target_, kParent); }), ErrorKind::kDamage);
}

TEST_P(Copies, WhatIsInTheWayIsNeitherOverwrittenNorBelieved) {
  write_parent(*source_);
  register_cluster(*target_, "demo", {.system_identifier = 77, .host = "test"}, kNoStop);
  const std::string name = names::pack(kParent, names::PackKind::kData, 1);
  Bytes& foreign = to_.objects->objects[name];
  foreign = from_.object(name);  // right in size and salt, of another repository
  const Bytes before = foreign;
  const auto failure = failure_of([&] { copy_one(*source_, *target_, kParent); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind(), ErrorKind::kRefused);
  EXPECT_EQ(failure->object(), name);
  EXPECT_EQ(to_.object(name), before);
  EXPECT_FALSE(to_.objects->objects.contains(names::outcome(kParent)));
}

TEST_P(Copies, TwoAtOnceDoNoHarm) {
  write_parent(*source_);
  write_child(*source_);
  for (const CopyForm form : {CopyForm::kPlain, CopyForm::kStandalone}) {
    TestRepository shared(GetParam().to);
    const auto target = shared.open();
    std::vector<CopiedBackup> copied(3);
    {
      std::vector<std::jthread> threads;
      for (CopiedBackup& one : copied) {
        threads.emplace_back([&] { one = copy_one(*source_, *target, kChild, {.form = form}); });
      }
    }
    for (const CopiedBackup& one : copied) EXPECT_EQ(one.form, form);
    EXPECT_EQ(complaints(*target, kChild), kNoComplaints);
  }
}

TEST_P(Copies, APreviewSaysWhatACopyDoesAndWritesNothing) {
  write_parent(*source_);
  write_child(*source_);
  copy_one(*source_, *target_, kParent);
  const auto before = to_.objects->objects;
  const CopyPlan plan = plan_of(*source_, *target_, kChild);
  EXPECT_TRUE(to_.objects->objects == before) << "a preview wrote something";
  const CopiedBackup copied = copy_one(*source_, *target_, kChild);
  EXPECT_EQ(plan.packs_missing, copied.packs_copied);
  EXPECT_EQ(plan.packs_there, copied.packs_there);
  EXPECT_EQ(plan.bytes_missing, copied.bytes_copied);
  EXPECT_GT(plan.packs_there, 0U);
}

INSTANTIATE_TEST_SUITE_P(Between, Copies,
                         testing::Values(Kinds{Sealed::kPlain, Sealed::kPlain},
                                         Kinds{Sealed::kPlain, Sealed::kEncrypted},
                                         Kinds{Sealed::kEncrypted, Sealed::kPlain},
                                         Kinds{Sealed::kEncrypted, Sealed::kEncrypted}),
                         [](const testing::TestParamInfo<Kinds>& kinds) {
                           const auto name = [](Sealed sealed) {
                             return sealed == Sealed::kPlain ? "Plain" : "Encrypted";
                           };
                           return fmt::format("{}To{}", name(kinds.param.from),
                                              name(kinds.param.to));
                         });

TEST(CopyForms, AStandaloneOneIsNotPutBesideAPlainOne) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  write_child(*source);
  copy_one(*source, *target, kChild);
  const CopiedBackup again = copy_one(*source, *target, kChild, {.form = CopyForm::kStandalone});
  EXPECT_EQ(again.state, CopiedBackup::State::kThereAlready);
  EXPECT_EQ(again.form, CopyForm::kPlain);
  ASSERT_EQ(again.warnings.size(), 1U);
  EXPECT_NE(again.warnings[0].find("plain copy"), std::string::npos);
}

TEST(CopyForms, WhereTheParentsFolderIsGoingTheCopyIsStandalone) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  write_child(*source);
  copy_one(*source, *target, kParent);
  write_tombstone(*target, {.backup = kParent, .number = 1}, kNoStop);
  const CopiedBackup copied = copy_one(*source, *target, kChild);
  EXPECT_EQ(copied.form, CopyForm::kStandalone);
  ASSERT_EQ(copied.warnings.size(), 1U);
  // Nothing but the tombstone is left of the parent.
  for (auto at = to.objects->objects.begin(); at != to.objects->objects.end();) {
    at = at->first.starts_with(names::backup_prefix(kParent)) ? to.objects->objects.erase(at)
                                                              : std::next(at);
  }
  EXPECT_EQ(complaints(*target, kChild), kNoComplaints);
}

TEST(CopyRefusals, WhatWasDeletedInTheTargetDoesNotComeAgain) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  register_cluster(*target, "demo", {.system_identifier = 77, .host = "test"}, kNoStop);
  write_tombstone(*target, {.backup = kParent, .number = 1}, kNoStop);
  EXPECT_EQ(kind_of([&] { copy_one(*source, *target, kParent); }), ErrorKind::kRefused);
}

TEST(CopyRefusals, WhatWasSweptInTheTarget) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  register_cluster(*target, "demo", {.system_identifier = 77, .host = "test"}, kNoStop);
  ASSERT_TRUE(abort_backup(*target, kParent, "a sweep", kNoStop));
  EXPECT_EQ(kind_of([&] { copy_one(*source, *target, kParent); }), ErrorKind::kRefused);
}

TEST(CopyRefusals, AnotherHistoryOfThatNumber) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  register_cluster(*target, "demo", {.system_identifier = 78, .host = "other"}, kNoStop);
  EXPECT_EQ(kind_of([&] { copy_one(*source, *target, kParent); }), ErrorKind::kRefused);
  EXPECT_EQ(list_backups(*target, "demo", kNoStop).size(), 0U);
}

// The parent's own copy dies in a folder whose packs the child's copy cites.
TEST(CopyAndSweep, ADeadCopyIsNotEmptiedUnderTheOnesThatCiteIt) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  write_child(*source);
  copy_one(*source, *target, kChild);
  write_begin(*target, kParent, {.host = "host", .data_directory = "/data"}, kNoStop);
  ASSERT_EQ(entry_of(*target, kParent).state, BackupState::kUnfinished);
  const SweepResult swept = sweep_dead_backups(*target, list_backups(*target, "demo", kNoStop),
                                               {"host", "/data"}, kNoStop);
  EXPECT_EQ(swept.cited, std::vector<std::string>{kParent.id.text});
  EXPECT_EQ(swept.swept, std::vector<std::string>{});
  EXPECT_EQ(entry_of(*target, kParent).state, BackupState::kAborted);
  EXPECT_EQ(complaints(*target, kChild), kNoComplaints);
}

TEST(CopyAndSweep, PacksWithoutABackupOfTheirOwnAreLeftAlone) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  write_child(*source);
  copy_one(*source, *target, kChild);
  sweep_dead_backups(*target, list_backups(*target, "demo", kNoStop), {"", ""}, kNoStop);
  EXPECT_EQ(complaints(*target, kChild), kNoComplaints);
}

// Without the key of its hashes a manifest is damaged, not a backup that does not verify.
TEST(CopiedHashKey, IsMissed) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  copy_one(*source, *target, kParent);
  PackRegistry registry;
  Outcome outcome = entry_of(*target, kParent).outcome;
  ManifestRoot root = read_manifest(*target, outcome, registry, kNoStop);
  root.hash_key.reset();
  const Bytes manifest = seal_record(ContainerKind::kManifest, target->keys(),
                                     target->keys().cipher, encode_manifest_root(root, registry));
  to.object(names::manifest(kParent)) = manifest;
  outcome.manifest_sha256 = to_hex(sha256(manifest));
  EXPECT_EQ(kind_of([&] { read_manifest(*target, outcome, registry, kNoStop); }),
            ErrorKind::kDamage);
}

}  // namespace
}  // namespace holdfast::test
