// Tombstones and intents: what counts, who wins, and what the catalogue makes of them.

#include "repository/tombstone.h"

#include <atomic>
#include <thread>

#include "repository/intent.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;

const BackupName kParent = backup_name("20260101T000000Z-0001");
const BackupName kChild = backup_name("20260102T000000Z-0002");

Tombstone tombstone(std::uint32_t number, TombstoneState state) {
  return {.backup = kParent, .number = number, .state = state, .reason = "test", .by = "test"};
}

BackupState state_of(const Repository& repository, const BackupName& name) {
  for (const CatalogueEntry& entry : list_backups(repository, "demo", kNoStop)) {
    if (entry.name == name) return entry.state;
  }
  ADD_FAILURE() << "not listed";
  return BackupState::kUnfinished;
}

TEST(Tombstone, TheHighestRecordCounts) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {}, {.name = kParent});
  EXPECT_FALSE(is_tombstoned(*repository, kParent, kNoStop));
  for (std::uint32_t number = 1; number < 12; number += 2) {
    ASSERT_TRUE(write_tombstone(*repository, tombstone(number, TombstoneState::kMarked), kNoStop));
    EXPECT_TRUE(is_tombstoned(*repository, kParent, kNoStop));
    EXPECT_EQ(state_of(*repository, kParent), BackupState::kExpiring);
    ASSERT_TRUE(
        write_tombstone(*repository, tombstone(number + 1, TombstoneState::kWithdrawn), kNoStop));
    EXPECT_FALSE(is_tombstoned(*repository, kParent, kNoStop));
    EXPECT_EQ(state_of(*repository, kParent), BackupState::kCommitted);
  }
  EXPECT_EQ(last_tombstone(*repository, kParent, kNoStop)->number, 12U);
  EXPECT_EQ(list_tombstones(*repository, "demo", {1, 77}, kNoStop).front().number, 12U);
}

TEST(Tombstone, ReadsBackWhatWasWritten) {
  TestRepository shared;
  const auto repository = shared.open();
  ASSERT_TRUE(write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop));
  EXPECT_TRUE(write_tombstone(*repository,
                              {.backup = kParent,
                               .number = 2,
                               .state = TombstoneState::kDeleting,
                               .by_policy = false,
                               .reason = "asked \xff for",
                               .time = "2026-01-01T00:00:00Z",
                               .by = "vm process 1"},
                              kNoStop));
  const Tombstone read =
      read_tombstone(*repository, *last_tombstone(*repository, kParent, kNoStop), kNoStop);
  EXPECT_EQ(read.state, TombstoneState::kDeleting);
  EXPECT_FALSE(read.by_policy);
  EXPECT_EQ(read.time, "2026-01-01T00:00:00Z");
  EXPECT_EQ(read.by, "vm process 1");
}

// A hold and a deletion that both found the mark: exactly one of them gets its way.
TEST(TombstoneConcurrent, ExactlyOneOfWithdrawalAndDeletionWins) {
  for (int round = 0; round < 50; ++round) {
    TestRepository shared(Sealed::kPlain);
    const auto repository = shared.open();
    ASSERT_TRUE(write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop));
    std::atomic<bool> withdrawn{false}, deleting{false};
    {
      std::jthread one([&] {
        withdrawn = write_tombstone(*repository, tombstone(2, TombstoneState::kWithdrawn), kNoStop);
      });
      std::jthread other([&] {
        deleting = write_tombstone(*repository, tombstone(2, TombstoneState::kDeleting), kNoStop);
      });
    }
    EXPECT_NE(withdrawn, deleting);
    EXPECT_EQ(is_tombstoned(*repository, kParent, kNoStop), deleting);
  }
}

// Damage must not bring half a backup back into the list.
TEST(Tombstone, OneThatCannotBeReadIsNoWithdrawal) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {}, {.name = kParent});
  ASSERT_TRUE(write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop));
  ASSERT_TRUE(write_tombstone(*repository, tombstone(2, TombstoneState::kWithdrawn), kNoStop));
  const std::string name = names::series_record(kParent, names::SeriesKind::kTombstone, 2);
  shared.object(name)[70] ^= std::byte{1};
  EXPECT_TRUE(is_tombstoned(*repository, kParent, kNoStop));
  EXPECT_EQ(state_of(*repository, kParent), BackupState::kExpiring);
  EXPECT_EQ(kind_of([&] {
              read_tombstone(*repository, *last_tombstone(*repository, kParent, kNoStop), kNoStop);
            }),
            ErrorKind::kDamage);
}

TEST(Tombstone, OfAnotherBackupIsNotBelieved) {
  TestRepository shared;
  const auto repository = shared.open();
  ASSERT_TRUE(write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop));
  const std::string other = names::series_record(kChild, names::SeriesKind::kTombstone, 1);
  shared.objects->objects[other] =
      shared.object(names::series_record(kParent, names::SeriesKind::kTombstone, 1));
  EXPECT_EQ(kind_of([&] { read_tombstone(*repository, {kChild, 1, {}}, kNoStop); }),
            ErrorKind::kDamage);
}

TEST(Tombstone, AnAbortedBackupCountsAsGoing) {
  TestRepository shared;
  const auto repository = shared.open();
  EXPECT_TRUE(abort_backup(*repository, kParent, "test", kNoStop));
  EXPECT_TRUE(is_tombstoned(*repository, kParent, kNoStop));
  EXPECT_FALSE(is_tombstoned(*repository, kChild, kNoStop));
}

TEST(Tombstone, AnExpiringBackupIsNotOfferedAndNotUsed) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {}, {.name = kParent, .label = "old"});
  write_backup(*repository, {}, {.name = kChild, .label = "new"});
  const auto name_of = [&](const std::string& wanted) {
    return find_backup(*repository, "demo", wanted, kNoStop).name.id;
  };
  EXPECT_EQ(name_of("oldest"), kParent.id);
  ASSERT_TRUE(write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop));
  EXPECT_EQ(name_of("oldest"), kChild.id);
  EXPECT_EQ(kind_of([&] { name_of(kParent.id.text); }), ErrorKind::kRefused);
  EXPECT_EQ(kind_of([&] { name_of("old"); }), ErrorKind::kNotFound);
  EXPECT_EQ(find_listed_backup(*repository, "demo", kParent.id.text, kNoStop).state,
            BackupState::kExpiring);
  // Once its outcome is gone, nothing is left to look at.
  shared.objects->objects.erase(names::outcome(kParent));
  EXPECT_EQ(state_of(*repository, kParent), BackupState::kPacksOnly);
  EXPECT_EQ(kind_of([&] { find_listed_backup(*repository, "demo", kParent.id.text, kNoStop); }),
            ErrorKind::kNotFound);
}

// A copy puts packs that it cites into the folders they come from.
TEST(Catalogue, AFolderWithoutABeginRecordIsNoBackup) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {}, {.name = kChild});
  repository->store().put(names::pack(kParent, names::PackKind::kData, 1), as_bytes("x"), {},
                          kNoStop);
  EXPECT_EQ(state_of(*repository, kParent), BackupState::kPacksOnly);
  write_begin(*repository, kParent, {.host = "test"}, kNoStop);
  EXPECT_EQ(state_of(*repository, kParent), BackupState::kUnfinished);
}

TEST(Intent, CountsUntilTheCitingBackupIsDecided) {
  TestRepository shared;
  const auto repository = shared.open();
  write_backup(*repository, {}, {.name = kParent});
  const BackupName in_other_history{"demo", {2, 77}, kChild.id};
  write_intent(*repository, {.cited = kParent, .citing = kChild}, kNoStop);
  write_intent(*repository, {.cited = kParent, .citing = kChild}, kNoStop);
  write_intent(*repository, {.cited = kParent, .citing = in_other_history}, kNoStop);
  const auto intents = list_intents(*repository, kParent, kNoStop);
  ASSERT_EQ(intents.size(), 2U);
  EXPECT_EQ(intents[0].name, (names::IntentName{kParent, kChild}));
  EXPECT_EQ(intents[1].name, (names::IntentName{kParent, in_other_history}));
  EXPECT_EQ(list_intents(*repository, "demo", {1, 77}, kNoStop).size(), 2U);
  EXPECT_TRUE(list_intents(*repository, kChild, kNoStop).empty());
  EXPECT_TRUE(is_live(*repository, intents[0], kNoStop));
  EXPECT_TRUE(is_live(*repository, intents[1], kNoStop));
  write_backup(*repository, {}, {.name = kChild});
  EXPECT_TRUE(abort_backup(*repository, in_other_history, "test", kNoStop));
  EXPECT_FALSE(is_live(*repository, intents[0], kNoStop));
  EXPECT_FALSE(is_live(*repository, intents[1], kNoStop));
}

// The promise of intent.h: of a writer and a deleter at the same moment, one sees the other.
TEST(IntentConcurrent, WriterAndDeleterNeverOverlookEachOther) {
  for (int round = 0; round < 100; ++round) {
    TestRepository shared(Sealed::kPlain);
    const auto repository = shared.open();
    std::atomic<bool> writer_goes_on{false}, deleter_goes_on{false};
    {
      std::jthread writer([&] {
        write_intent(*repository, {.cited = kParent, .citing = kChild}, kNoStop);
        writer_goes_on = !is_tombstoned(*repository, kParent, kNoStop);
      });
      std::jthread deleter([&] {
        write_tombstone(*repository, tombstone(1, TombstoneState::kMarked), kNoStop);
        deleter_goes_on = list_intents(*repository, kParent, kNoStop).empty();
      });
    }
    EXPECT_FALSE(writer_goes_on && deleter_goes_on);
  }
}

TEST(TombstoneName, HasOneSpelling) {
  const auto parse = [](std::string_view name) {
    return names::parse_series_record("demo", {1, 77}, names::SeriesKind::kTombstone, name);
  };
  const std::string prefix = "demo/0001-77/tombstone/20260101T000000Z-0001/";
  EXPECT_EQ(parse(prefix + "0002")->number, 2U);
  for (const char* bad : {"0000", "2", "00002", "-001", "", "0001/x", "x"}) {
    EXPECT_FALSE(parse(prefix + bad)) << bad;
  }
  EXPECT_FALSE(parse("demo/0001-77/hold/20260101T000000Z-0001/0002"));
  EXPECT_FALSE(names::parse_intent("demo", {1, 77}, "demo/0001-77/intent/20260101T000000Z-0001/"));
  EXPECT_FALSE(names::parse_intent("demo", {1, 77}, "demo/0001-77/intent/20260101T000000Z-0001"));
}

}  // namespace
}  // namespace holdfast
