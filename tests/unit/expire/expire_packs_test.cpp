// Which packs go and which stay, and every way in which a run must refuse or wait instead.

#include "expire/freed_bytes.h"
#include "repository/hold.h"
#include "repository/proof.h"
#include "repository/tombstone.h"
#include "unit/expire/expire_testing.h"

namespace holdfast::test {
namespace {

const PlannedBackup& planned(const ExpireResult& result, const BackupName& name) {
  const auto found = std::ranges::find(result.backups, name, &PlannedBackup::name);
  EXPECT_NE(found, result.backups.end());
  return *found;
}

// An old full backup, an incremental one on it, and a newer full one, so that the first two may go.
struct Family : ExpireBed {
  Family() {
    parent = backup({.packs = 3, .start = 1, .stop = 1});
    pass(kDay);
    child = backup({.packs = 1, .cites = {{parent, 1}, {parent, 3}}, .start = 2, .stop = 2});
    pass(kDay);
    newest = backup({.start = 3, .stop = 3});
    segments(1, 4);
  }
  BackupName parent, child, newest;
};

TEST(ExpirePacks, WithoutAPolicyNothingExpires) {
  Family bed;
  const std::size_t before = bed.objects().size();
  bed.expire_fully();
  EXPECT_EQ(bed.complete().size(), 3U);
  EXPECT_EQ(bed.objects().size(), before);
}

TEST(ExpirePacks, ADeletedParentLeavesWhatItsChildCites) {
  Family bed;
  bed.remove(bed.parent);
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kExpiring);
  bed.expire();
  EXPECT_TRUE(bed.has_pack(bed.parent, 2)) << "the grace period lasts";
  EXPECT_TRUE(bed.has(names::outcome(bed.parent)));
  bed.pass(bed.options.grace);
  bed.expire();
  EXPECT_TRUE(bed.has_pack(bed.parent, 1));
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
  EXPECT_TRUE(bed.has_pack(bed.parent, 3));
  EXPECT_FALSE(bed.has(names::outcome(bed.parent)));
  EXPECT_FALSE(bed.has(names::manifest(bed.parent)));
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kPacksOnly);
  bed.expect_whole();
}

TEST(ExpirePacks, LeftoversOfKilledUploadsGoWithTheFolderThatTheyAreIn) {
  Family bed;
  const BackupName dead = bed.begin();
  bed.remove(bed.parent);
  bed.pass(kDay * 2);
  bed.expire_fully();
  EXPECT_TRUE(bed.time->cleaned.contains(names::backup_prefix(dead)));
  EXPECT_TRUE(bed.time->cleaned.contains(names::backup_prefix(bed.parent)));
  EXPECT_FALSE(bed.time->cleaned.contains(names::backup_prefix(bed.newest))) << "it may be running";
}

TEST(ExpirePacks, WhatADeletionFreesIsToldBeforehand) {
  Family bed;
  const auto manifest = [&](const BackupName& name) {
    return bed.opened->store().head(names::manifest(name), kNoStop)->size;
  };
  const auto frees = [&](const BackupName& name) {
    return bytes_freed_by_deleting(*bed.opened, name, kNoStop);
  };
  constexpr std::uint64_t kPack = 4;
  EXPECT_EQ(frees(bed.parent), manifest(bed.parent) + kPack) << "the child needs two of three";
  EXPECT_EQ(frees(bed.child), manifest(bed.child) + kPack) << "the parent needs the others";
  const std::uint64_t both = manifest(bed.parent) + manifest(bed.child) + 4 * kPack;
  bed.remove(bed.parent);
  bed.remove(bed.child);
  EXPECT_EQ(preview_expire(*bed.opened, bed.options, kNoStop).freed_bytes, both);
  EXPECT_EQ(frees(bed.parent), manifest(bed.parent) + kPack) << "what is only marked counts";
  bed.expire_fully();
  EXPECT_EQ(preview_expire(*bed.opened, bed.options, kNoStop).freed_bytes, 0U);
}

TEST(ExpirePacks, PacksOfADeletedParentAreFreedWithTheChild) {
  Family bed;
  bed.remove(bed.parent);
  bed.expire_fully();
  EXPECT_EQ(bytes_freed_by_deleting(*bed.opened, bed.child, kNoStop),
            bed.opened->store().head(names::manifest(bed.child), kNoStop)->size + 3 * 4);
  // What another one cites is not known where its manifest cannot be read.
  bed.objects()[names::manifest(bed.newest)] = to_bytes(as_bytes("damaged"));
  EXPECT_EQ(kind_of([&] { bytes_freed_by_deleting(*bed.opened, bed.child, kNoStop); }),
            ErrorKind::kRefused);
}

TEST(ExpirePacks, PacksGoWhenTheLastOneThatCitesThemIsDeleted) {
  Family bed;
  write_intent(*bed.opened, {.cited = bed.parent, .citing = bed.child}, kNoStop);
  bed.remove(bed.parent);
  bed.expire_fully();
  bed.remove(bed.child);
  bed.expire_fully();
  EXPECT_EQ(bed.count(bed.parent), 0U);
  EXPECT_EQ(bed.count(bed.child), 0U);
  EXPECT_TRUE(list_intents(*bed.opened, bed.parent, kNoStop).empty());
  EXPECT_TRUE(is_tombstoned(*bed.opened, bed.parent, kNoStop)) << "for ever";
  EXPECT_EQ(bed.complete(), std::vector<std::string>{bed.newest.id.text});
  bed.expect_whole();
}

TEST(ExpirePacks, AMarkedBackupProtectsWhatItCites) {
  Family bed;
  bed.remove(bed.child);
  bed.pass(bed.options.grace - std::chrono::minutes(1));
  bed.remove(bed.parent);
  bed.pass(bed.options.grace - std::chrono::minutes(2));
  bed.expire();  // deletes the child; the parent still counts
  EXPECT_TRUE(bed.has_pack(bed.parent, 1));
  EXPECT_TRUE(bed.has_pack(bed.parent, 2));
}

// A running backup has written its intent; it commits after the parent was marked.
TEST(ExpirePacks, ALiveIntentKeepsTheParentUntilItIsDecided) {
  Family bed;
  const BackupName running = bed.begin();
  write_intent(*bed.opened, {.cited = bed.parent, .citing = running}, kNoStop);
  bed.remove(bed.parent);
  bed.pass(bed.options.grace);
  bed.put_pack(running, 1);  // a sign of life, so that it is not swept
  EXPECT_EQ(planned(bed.expire(), bed.parent).action, ExpireAction::kWait);
  EXPECT_TRUE(bed.has_pack(bed.parent, 2));
  bed.commit(running, {.packs = 1, .cites = {{bed.parent, 2}}, .start = 4, .stop = 4});
  bed.expire();
  EXPECT_TRUE(bed.has_pack(bed.parent, 2)) << "the child's manifest protects it now";
  EXPECT_FALSE(bed.has(names::manifest(bed.parent)));
  bed.expect_whole();
}

TEST(ExpirePacks, AnIntentOfABackupThatDiedEndsWithItsSweep) {
  Family bed;
  const BackupName died = bed.begin();
  write_intent(*bed.opened, {.cited = bed.parent, .citing = died}, kNoStop);
  bed.remove(bed.parent);
  bed.pass(kDay * 2);
  const ExpireResult result = bed.expire();
  EXPECT_EQ(result.swept, std::vector<std::string>{died.id.text});
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
}

// A backup that runs on this very host is not taken for dead: `expire` holds no lock against it.
TEST(ExpirePacks, ABackupThatRunsOnThisHostIsNotSwept) {
  Family bed;
  const BackupName running = backup_name("20260103T010000Z-00aa");
  write_begin(*bed.opened, running,
              {.host = bed.options.host, .data_directory = "/data", .started = "now"}, kNoStop);
  bed.put_pack(running, 1);
  EXPECT_TRUE(bed.expire().swept.empty());
  EXPECT_FALSE(read_outcome(*bed.opened, running, kNoStop));
}

// The intent of a backup that was itself deleted, record and all, is not for ever.
TEST(ExpirePacks, AnIntentOfADeletedBackupIsVoid) {
  Family bed;
  write_intent(*bed.opened, {.cited = bed.parent, .citing = bed.child}, kNoStop);
  bed.remove(bed.child);
  bed.expire_fully();
  ASSERT_EQ(bed.count(bed.child), 0U);
  bed.remove(bed.parent);
  bed.expire_fully();
  EXPECT_EQ(bed.count(bed.parent), 0U);
}

TEST(ExpirePacks, AHoldWithdrawsAndPreventsDeletion) {
  Family bed;
  bed.remove(bed.parent);
  place_hold(*bed.opened,
             {.backup = bed.parent, .until = bed.time->current + kDay * 30, .reason = "audit"},
             kNoStop);
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kCommitted);
  bed.expire_fully();
  EXPECT_EQ(bed.count(bed.parent), 6U);
  EXPECT_EQ(kind_of([&] { bed.remove(bed.parent); }), ErrorKind::kRefused);
  bed.pass(kDay * 30);
  bed.remove(bed.parent);
  bed.expire_fully();
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kPacksOnly);
}

// The hold's record is there, its withdrawal of the mark is not yet.
TEST(ExpirePacks, AHoldThatDidNotGetToItsWithdrawalCountsToo) {
  Family bed;
  place_hold(*bed.opened,
             {.backup = bed.parent, .until = bed.time->current + kDay * 30, .reason = "audit"},
             kNoStop);
  write_tombstone(*bed.opened, {.backup = bed.parent, .number = 1, .by_policy = false}, kNoStop);
  bed.expire_fully();
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kCommitted) << "withdrawn by the run";
}

TEST(ExpirePacks, TheLastGoodBackupIsNeverDeleted) {
  Family bed;
  bed.remove(bed.parent);
  bed.remove(bed.child);
  EXPECT_EQ(kind_of([&] { bed.remove(bed.newest); }), ErrorKind::kRefused);
  // Found damaged after the others were marked, it is no good backup: the newest of them stays.
  write_proof(*bed.opened, bed.newest, {.mode = "full", .ok = false}, kNoStop);
  bed.expire_fully();
  EXPECT_EQ(bed.state_of(bed.child), BackupState::kCommitted);
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kPacksOnly);
  bed.expect_whole();
}

TEST(ExpirePacks, AnUnreadableManifestOfAKeptBackupStopsEverything) {
  for (const bool missing : {false, true}) {
    Family bed;
    bed.remove(bed.parent);
    bed.pass(bed.options.grace);
    const std::size_t before = bed.count(bed.parent);
    if (missing) {
      bed.objects().erase(names::manifest(bed.newest));
    } else {
      bed.objects().at(names::manifest(bed.newest))[70] ^= std::byte{1};
    }
    const auto failure = failure_of([&] { bed.expire(); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind(), ErrorKind::kRefused);
    EXPECT_EQ(failure->object(), names::manifest(bed.newest));
    EXPECT_EQ(bed.count(bed.parent), before);
    EXPECT_NE(
        read_tombstone(*bed.opened, *last_tombstone(*bed.opened, bed.parent, kNoStop), kNoStop)
            .state,
        TombstoneState::kDeleting);
  }
}

// Its manifest is all there is to say what it cites, and it is enough.
TEST(ExpirePacks, ADamagedCommitRecordStillProtects) {
  Family bed;
  bed.objects().at(names::outcome(bed.child))[70] ^= std::byte{1};
  bed.remove(bed.parent);
  bed.expire_fully();
  EXPECT_TRUE(bed.has_pack(bed.parent, 1));
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
}

TEST(ExpirePacks, AnUnreadableTombstoneProtectsForEver) {
  Family bed;
  bed.remove(bed.parent);
  bed.objects().at(names::series_record(bed.parent, names::SeriesKind::kTombstone, 1))[70] ^=
      std::byte{1};
  bed.expire_fully();
  EXPECT_EQ(bed.count(bed.parent), 6U);
}

// A listing that does not show a backup which is there must cost nothing.
TEST(ExpirePacks, APartialListingIsRefused) {
  Family bed;
  write_intent(*bed.opened, {.cited = bed.parent, .citing = bed.child}, kNoStop);
  bed.remove(bed.parent);
  bed.pass(bed.options.grace);
  bed.time->hidden_prefixes = {names::backup_prefix(bed.child)};
  EXPECT_EQ(kind_of([&] { bed.expire(); }), ErrorKind::kRefused);
  EXPECT_TRUE(bed.has_pack(bed.parent, 1));
  EXPECT_TRUE(bed.has_pack(bed.parent, 2));
}

TEST(ExpirePacks, ForeignObjectsStay) {
  Family bed;
  const std::string notes = names::backup_prefix(bed.parent) + "notes.txt";
  const std::string odd = names::backup_prefix(bed.parent) + "pack/000002.bak";
  bed.put(notes);
  bed.put(odd);
  bed.remove(bed.parent);
  bed.expire();
  bed.pass(bed.options.grace);
  const ExpireResult result = bed.expire();
  EXPECT_EQ(result.removed.foreign, 2U);
  EXPECT_EQ(result.removed.foreign_example, notes);
  EXPECT_TRUE(bed.has(notes) && bed.has(odd));
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
}

TEST(ExpirePacks, WhatMayNotBeRemovedIsReportedAndTriedAgain) {
  Family bed;
  bed.undeletable().insert(names::outcome(bed.parent));
  bed.remove(bed.parent);
  bed.expire();
  bed.pass(bed.options.grace);
  EXPECT_EQ(bed.expire().removed.failed, 1U);
  EXPECT_TRUE(bed.has_pack(bed.parent, 2)) << "nothing goes before the commit record";
  EXPECT_EQ(bed.state_of(bed.parent), BackupState::kExpiring);
  bed.undeletable().clear();
  EXPECT_EQ(bed.expire().removed.failed, 0U);
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
}

TEST(ExpirePacks, AnotherClockIsRefused) {
  Family bed;
  StoreTime host;
  bed.options.host_clock = &host;
  host.current = bed.time->current + std::chrono::minutes(6);
  EXPECT_EQ(kind_of([&] { bed.expire(); }), ErrorKind::kRefused);
  host.current = bed.time->current - std::chrono::minutes(6);
  EXPECT_EQ(kind_of([&] { bed.expire(); }), ErrorKind::kRefused);
  host.current = bed.time->current - std::chrono::minutes(4);
  bed.expire();
}

TEST(ExpirePacks, AnUnusualShareNeedsConsent) {
  ExpireBed bed;
  for (int i = 0; i < 8; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    bed.backup({.start = at, .stop = at});
    bed.pass(kDay);
  }
  bed.segments(0, 8);
  bed.options.policy.keep_last = 2;
  EXPECT_EQ(kind_of([&] { bed.expire(); }), ErrorKind::kRefused);
  EXPECT_EQ(bed.complete().size(), 8U);
  EXPECT_TRUE(list_tombstones(*bed.opened, "demo", bed.history, kNoStop).empty());
  const auto preview = [&] { return preview_expire(*bed.opened, bed.options, kNoStop); };
  EXPECT_NE(preview().needs_consent.find("6 of 8 backups"), std::string::npos);
  bed.options.consent = ExpireConsent::kUnusualShare;
  EXPECT_EQ(preview().needs_consent, "");
  bed.expire();
  EXPECT_EQ(bed.complete().size(), 2U);
}

TEST(ExpirePacks, AChangedPolicyBringsBackWhatIsOnlyMarked) {
  Family bed;
  bed.options.policy.keep_last = 1;
  bed.expire();
  EXPECT_EQ(bed.complete().size(), 1U);
  bed.options.policy.keep_last = 3;
  bed.pass(bed.options.grace);
  bed.expire();
  EXPECT_EQ(bed.complete().size(), 3U);
  bed.expect_whole();
}

TEST(ExpirePacks, WithoutGraceItGoesInOneRun) {
  Family bed;
  bed.options.grace = std::chrono::milliseconds(0);
  bed.remove(bed.parent);
  bed.expire();
  EXPECT_FALSE(bed.has_pack(bed.parent, 2));
  EXPECT_TRUE(bed.has_pack(bed.parent, 1));
}

// A copy of an incremental whose parent was never copied as a backup.
TEST(ExpirePacks, LoosePacksGoOnlyWhenNothingNeedsThem) {
  ExpireBed bed;
  const BackupName folder = backup_name("20251201T000000Z-0001");
  bed.put_pack(folder, 1);
  bed.put_pack(folder, 2);
  const BackupName copy = bed.begin();
  write_intent(*bed.opened, {.cited = folder, .citing = copy}, kNoStop);
  bed.expire();
  EXPECT_FALSE(is_tombstoned(*bed.opened, folder, kNoStop)) << "a copy is running";
  bed.commit(copy, {.packs = 1, .cites = {{folder, 1}}, .start = 1, .stop = 1});
  bed.pass(kDay);
  const BackupName newer = bed.backup({.start = 2, .stop = 2});
  bed.segments(1, 3);
  bed.expire();
  EXPECT_FALSE(is_tombstoned(*bed.opened, folder, kNoStop)) << "the copy needs it";
  bed.remove(copy);
  bed.expire_fully();
  EXPECT_TRUE(bed.has_pack(folder, 1)) << "only marked";
  bed.expire_fully();
  bed.expire_fully();
  EXPECT_EQ(bed.count(folder), 0U);
  EXPECT_EQ(bed.complete(), std::vector<std::string>{newer.id.text});
}

// `undelete` brings the commit record back when all else is there, and the begin record last.
TEST(ExpirePacks, ABackupThatIsHalfBroughtBackIsNotTakenForLoosePacks) {
  ExpireBed bed;
  const BackupName half = bed.backup({.start = 1, .stop = 1});
  bed.backup({.start = 2, .stop = 2});
  bed.segments(1, 3);
  bed.objects().erase(names::begin(half));
  bed.objects().erase(names::outcome(half));
  for (int i = 0; i < 3; ++i) bed.expire_fully();
  EXPECT_FALSE(is_tombstoned(*bed.opened, half, kNoStop));
  EXPECT_TRUE(bed.has_pack(half, 1));
  EXPECT_TRUE(bed.has(names::manifest(half)));
}

// What an aborted copy left, which other copies cite.
TEST(ExpirePacks, PacksOfAnAbortedCopyStayWhileTheyAreCited) {
  Family bed;
  const BackupName aborted = bed.begin();
  bed.put_pack(aborted, 1);
  bed.put_pack(aborted, 2);
  const BackupName other = bed.backup({.packs = 1, .cites = {{aborted, 2}}, .start = 4, .stop = 4});
  abort_backup(*bed.opened, aborted, "test", kNoStop);
  bed.expire();
  EXPECT_FALSE(bed.has_pack(aborted, 1));
  EXPECT_TRUE(bed.has_pack(aborted, 2));
  EXPECT_TRUE(bed.has(names::outcome(aborted))) << "the id was used";
  EXPECT_EQ(bed.state_of(other), BackupState::kCommitted);
}

// The copy's state is not the cluster's: it neither counts nor stays because it is the last one.
TEST(ExpirePacks, ASafetyBackupStandsInForNoBackupOfTheCluster) {
  ExpireBed bed;
  bed.options.consent = ExpireConsent::kUnusualShare;
  bed.options.policy.keep_last = 1;
  const BackupName last = bed.backup({.standalone = true});
  bed.pass(kDay);
  bed.history =
      open_history(*bed.opened, "demo",
                   {.system_identifier = 77, .wal_segment_size = kTestSegmentSize, .host = "t"},
                   {.reason = HistoryReason::kRecovery, .side = SideLine{1, "recovery"}}, kNoStop)
          .name;
  bed.backup({.standalone = true});
  bed.expire_fully();
  EXPECT_EQ(bed.complete(), std::vector{last.id.text});
  bed.options.policy = {.window = kDay * 30};
  const BackupName another = bed.backup({.standalone = true});
  bed.expire_fully();
  EXPECT_EQ(bed.complete(), (std::vector{last.id.text, another.id.text})) << "within the window";
  bed.pass(kDay * 31);
  bed.expire_fully();
  EXPECT_EQ(bed.complete(), std::vector{last.id.text});
}

}  // namespace
}  // namespace holdfast::test
