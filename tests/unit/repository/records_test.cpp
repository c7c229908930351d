// Write-once, histories, outcomes, the catalogue, creating repositories and changing key slots.

#include <array>
#include <set>
#include <thread>

#include "repository/key_slots_json.h"
#include "repository/proof.h"
#include "repository/write_once.h"
#include "storage/fault_store.h"
#include "storage/retry_store.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;

// As the program opens a store: faults, and retries around them.
std::unique_ptr<ObjectStore> retried(const TestRepository& shared, std::string_view faults) {
  return make_retry_store(make_fault_store(shared.store(), parse_fault_plan(faults)), {});
}

TEST(WriteOnce, ALostAnswerIsSettledByReadingBack) {
  TestRepository shared;
  const auto store = retried(shared, "put#1=lost");
  EXPECT_NE(try_put_once(*store, "a", as_bytes("x"), ObjectClass::kData, kNoStop),
            WriteOnceOutcome::kOtherContent);
  EXPECT_EQ(try_put_once(*store, "a", as_bytes("x"), ObjectClass::kData, kNoStop),
            WriteOnceOutcome::kSameContent);
  EXPECT_EQ(try_put_once(*store, "a", as_bytes("y"), ObjectClass::kData, kNoStop),
            WriteOnceOutcome::kOtherContent);
  EXPECT_EQ(kind_of([&] { put_once(*store, "a", as_bytes("y"), ObjectClass::kData, kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_EQ(shared.object("a"), to_bytes(as_bytes("x")));
}

BackupInfo info_of(const BackupName& name) {
  BackupInfo info;
  info.name = name;
  return info;
}

TEST(OutcomeConcurrent, ExactlyOneOfCommitAndAbortWins) {
  for (int round = 0; round < 50; ++round) {
    TestRepository shared(Sealed::kPlain);
    const auto repository = shared.open();
    std::atomic<bool> committed{false}, aborted{false};
    {
      std::jthread writer([&] {
        const auto failure = failure_of([&] {
          commit_backup(*repository, {.committed = true, .info = info_of(backup_name())}, kNoStop);
        });
        committed = !failure;
        EXPECT_TRUE(!failure || failure->kind() == ErrorKind::kRefused);
      });
      std::jthread sweeper(
          [&] { aborted = abort_backup(*repository, backup_name(), "sweeper", kNoStop); });
    }
    EXPECT_NE(committed, aborted);
    EXPECT_EQ(read_outcome(*repository, backup_name(), kNoStop)->committed, committed);
  }
}

TEST(Outcome, AnAbortedBackupIsNeverCommittedAndALostAnswerIsNoLostRace) {
  TestRepository shared;
  const auto repository = shared.open();
  EXPECT_TRUE(abort_backup(*repository, backup_name(), "sweeper", kNoStop));
  EXPECT_TRUE(abort_backup(*repository, backup_name(), "another", kNoStop));
  EXPECT_EQ(kind_of([&] {
              commit_backup(*repository, {.committed = true, .info = info_of(backup_name())},
                            kNoStop);
            }),
            ErrorKind::kRefused);
  const auto other = backup_name("20260102T000000Z-0002");
  const auto shaky = shared.open_on(retried(shared, "put#1@outcome=lost"));
  commit_backup(*shaky, {.committed = true, .info = info_of(other)}, kNoStop);
  EXPECT_FALSE(abort_backup(*repository, other, "sweeper", kNoStop));
}

// An authentic "aborted" must not make a committed backup disappear.
TEST(Outcome, ARecordOfAnotherBackupIsDamage) {
  TestRepository shared;
  const auto repository = shared.open();
  const auto other = backup_name("20260102T000000Z-0002");
  abort_backup(*repository, backup_name(), "sweeper", kNoStop);
  commit_backup(*repository, {.committed = true, .info = info_of(other)}, kNoStop);
  shared.object(names::outcome(other)) = shared.object(names::outcome(backup_name()));
  EXPECT_EQ(kind_of([&] { read_outcome(*repository, other, kNoStop); }), ErrorKind::kDamage);
}

// Whoever can write to a repository without encryption can write that, and a walk through it by
// recursion would end the program.
TEST(Outcome, ARecordNestedWithoutEndIsDamage) {
  TestRepository shared(Sealed::kPlain);
  const auto repository = shared.open();
  const std::string name = names::outcome(backup_name());
  constexpr std::size_t kDeep = 2'000'000;
  const std::string text =
      fmt::format(R"({{"object":"{}","outcome":"committed","time":"","by":"","manifest_bytes":1,)"
                  R"("manifest_sha256":"","backup":{}{}}})",
                  name, std::string(kDeep, '['), std::string(kDeep, ']'));
  const Bytes object =
      seal_record(ContainerKind::kOutcome, repository->keys(), Cipher::kNone, as_bytes(text));
  repository->store().put(name, object, {}, kNoStop);
  const auto failure = failure_of([&] { read_outcome(*repository, backup_name(), kNoStop); });
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->kind(), ErrorKind::kDamage);
  EXPECT_EQ(failure->object(), name);
}

ClusterIdentity identity(std::uint64_t system) {
  return {.system_identifier = system, .postgres_version_num = 150000, .host = "h"};
}

TEST(Histories, RegistrationIsIdempotentAndKeepsOthersOut) {
  TestRepository shared;
  const auto repository = shared.open();
  EXPECT_TRUE(register_cluster(*repository, "demo", identity(77), kNoStop).created);
  EXPECT_FALSE(register_cluster(*repository, "demo", identity(77), kNoStop).created);
  EXPECT_EQ(kind_of([&] { register_cluster(*repository, "demo", identity(78), kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_EQ(kind_of([&] {
              history_to_write(list_histories(*repository, "other", kNoStop), "other", identity(77),
                               std::nullopt);
            }),
            ErrorKind::kRefused);
}

TEST(HistoriesConcurrent, TwoClustersUnderOneNameAreNotBothAccepted) {
  for (int round = 0; round < 20; ++round) {
    TestRepository shared(Sealed::kPlain);
    const auto repository = shared.open();
    std::atomic<int> accepted{0};
    {
      std::vector<std::jthread> threads;
      for (const std::uint64_t system : {77U, 78U}) {
        threads.emplace_back([&, system] {
          const auto failure =
              failure_of([&] { register_cluster(*repository, "demo", identity(system), kNoStop); });
          if (!failure) ++accepted;
        });
      }
    }
    EXPECT_LE(accepted, 1);
  }
}

TEST(HistoriesConcurrent, TakeOversAtOnceNeverOpenOneNumberTwice) {
  for (int round = 0; round < 20; ++round) {
    TestRepository shared(Sealed::kPlain);
    const auto repository = shared.open();
    register_cluster(*repository, "demo", identity(77), kNoStop);
    std::array<std::optional<HistoryRecord>, 3> opened;
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < opened.size(); ++i) {
        threads.emplace_back([&, i] {
          const HistoryFork fork{1, TimelineId{1}, Lsn{(i + 1) << 24U}};
          const auto refused = failure_of([&] {
            opened[i] = open_history(*repository, "demo", identity(77),
                                     {.reason = HistoryReason::kTakeOver, .fork = fork}, kNoStop);
          });
          EXPECT_TRUE(!refused || refused->kind() == ErrorKind::kRefused);
        });
      }
    }
    std::set<std::uint32_t> numbers;
    for (const auto& record : opened) {
      if (!record) continue;
      EXPECT_TRUE(numbers.insert(record->name.number).second) << record->name.number;
    }
    EXPECT_FALSE(numbers.empty());
    EXPECT_EQ(list_histories(*repository, "demo", kNoStop).size(), 1 + numbers.size());
  }
}

TEST(ProofConcurrent, EachTakesANumberOfItsOwn) {
  TestRepository shared(Sealed::kPlain);
  const auto repository = shared.open();
  std::array<std::uint32_t, 4> numbers{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      threads.emplace_back([&, i] {
        numbers[i] =
            write_proof(*repository, backup_name(), {.mode = "full", .objects = i + 1}, kNoStop);
      });
    }
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(read_proof(*repository, backup_name(), numbers[i], kNoStop).objects, i + 1);
  }
}

TEST(Catalogue, ListsEveryHistoryAlsoWithoutReadableRecords) {
  TestRepository shared;
  const auto repository = shared.open();
  for (std::uint32_t number : {1U, 2U, 3U}) {
    BackupName name = backup_name(fmt::format("2026010{}T000000Z-0001", number));
    name.history.number = number;
    commit_backup(*repository, {.committed = true, .info = info_of(name)}, kNoStop);
  }
  const auto all = list_backups(*repository, "demo", kNoStop);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(find_backup(*repository, "demo", "latest", kNoStop).name.history.number, 3U);
  EXPECT_EQ(find_backup(*repository, "demo", "oldest", kNoStop).name.history.number, 1U);
  EXPECT_EQ(kind_of([&] { find_backup(*repository, "demo", "nothing", kNoStop); }),
            ErrorKind::kNotFound);
}

TEST(Catalogue, ADamagedLatestIsNotPassedOver) {
  TestRepository shared;
  const auto repository = shared.open();
  const auto second = backup_name("20260102T000000Z-0002");
  write_backup(*repository, {}, {.label = "same"});
  write_backup(*repository, {}, {.name = second, .label = "same"});
  EXPECT_EQ(kind_of([&] { find_backup(*repository, "demo", "same", kNoStop); }),
            ErrorKind::kRefused);
  shared.object(names::outcome(second))[70] ^= std::byte{1};
  EXPECT_EQ(kind_of([&] { find_backup(*repository, "demo", "latest", kNoStop); }),
            ErrorKind::kDamage);
  EXPECT_EQ(kind_of([&] { find_backup(*repository, "demo", second.id.text, kNoStop); }),
            ErrorKind::kDamage);
  EXPECT_EQ(find_backup(*repository, "demo", "oldest", kNoStop).name, backup_name());
  EXPECT_EQ(list_backups(*repository, "demo", kNoStop).back().state, BackupState::kDamaged);
}

// One object from elsewhere must not take the whole list away.
TEST(Catalogue, ARecordOfAnotherRepositoryDamagesOneBackupOnly) {
  TestRepository shared, foreign;
  write_backup(*shared.open(), {});
  write_backup(*shared.open(), {}, {.name = backup_name("20260102T000000Z-0002")});
  write_backup(*foreign.open(), {});
  shared.object(names::outcome(backup_name())) = foreign.object(names::outcome(backup_name()));
  const auto all = list_backups(*shared.open(), "demo", kNoStop);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].state, BackupState::kDamaged);
  EXPECT_EQ(all[1].state, BackupState::kCommitted);
}

KeySource key_file(std::uint8_t fill) {
  return KeyFile{Secret(Bytes(32, std::byte{fill}))};
}

TEST(RepositoryCreate, GoesOnWhereItWasInterrupted) {
  // Denied at the first, then at the second object.
  for (const char* denied : {"put@keys=deny", "put@repository=deny"}) {
    const auto objects = std::make_shared<MemoryObjects>();
    const Repository::CreateOptions options{.key = key_file(7), .holdfast_version = "test"};
    const auto failing =
        make_fault_store(std::make_unique<MemoryStore>(objects), parse_fault_plan(denied));
    EXPECT_TRUE(failure_of([&] { Repository::create(*failing, options, kNoStop); }));
    EXPECT_EQ(kind_of([&] {
                Repository::open(std::make_unique<MemoryStore>(objects), options.key, kNoStop);
              }),
              ErrorKind::kRepository);
    MemoryStore store(objects);
    EXPECT_TRUE(Repository::create(store, options, kNoStop));
    EXPECT_FALSE(Repository::create(store, options, kNoStop));
    EXPECT_TRUE(Repository::open(std::make_unique<MemoryStore>(objects), options.key, kNoStop));
  }
}

// A new descriptor would not open the backups that the lost one described.
TEST(RepositoryCreate, RefusesToReplaceALostDescriptor) {
  TestRepository shared;
  write_backup(*shared.open(), {});
  shared.objects->objects.erase(names::kDescriptor);
  MemoryStore store(shared.objects);
  EXPECT_EQ(kind_of([&] { Repository::create(store, {.key = key_file(7)}, kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_EQ(kind_of([&] { Repository::create(store, {}, kNoStop); }), ErrorKind::kRefused);
  EXPECT_FALSE(shared.objects->objects.contains(names::kDescriptor));
}

TEST(RepositoryConcurrent, TwoCreatorsMakeOneRepositoryThatBothOpen) {
  for (const bool encrypted : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      const auto objects = std::make_shared<MemoryObjects>();
      Repository::CreateOptions options{.holdfast_version = "test"};
      if (encrypted) options.key = key_file(7);
      {
        std::vector<std::jthread> creators;
        for (int i = 0; i < 2; ++i) {
          creators.emplace_back([&] {
            MemoryStore store(objects);
            Repository::create(store, options, kNoStop);
            Repository::open(std::make_unique<MemoryStore>(objects), options.key, kNoStop);
          });
        }
      }
      EXPECT_EQ(objects->objects.size(), encrypted ? 2U : 1U);
    }
  }
}

TEST(RepositoryOpen, TellsWrongMissingAndNeedlessKeysApart) {
  TestRepository encrypted, plain(Sealed::kPlain);
  EXPECT_EQ(kind_of([&] { Repository::open(encrypted.store(), key_file(8), kNoStop); }),
            ErrorKind::kWrongKey);
  EXPECT_EQ(kind_of([&] { Repository::open(encrypted.store(), std::nullopt, kNoStop); }),
            ErrorKind::kWrongKey);
  EXPECT_EQ(kind_of([&] { Repository::open(plain.store(), key_file(7), kNoStop); }),
            ErrorKind::kConfiguration);
  encrypted.objects->objects.erase("keys/0001");
  EXPECT_EQ(kind_of([&] { encrypted.open(); }), ErrorKind::kDamage);
}

TEST(KeySlots, AreAddedAndRemovedWithoutTouchingData) {
  TestRepository shared;
  const auto repository = shared.open();
  const KeyChange added = add_key_slot(*repository, key_file(8), "second", kNoStop);
  ASSERT_EQ(added.slots.size(), 2U);
  EXPECT_FALSE(shared.objects->objects.contains("keys/0001"));  // it holds a slot of the past
  EXPECT_TRUE(Repository::open(shared.store(), key_file(8), kNoStop));
  EXPECT_EQ(kind_of([&] { remove_key_slot(*repository, "ffffffff", kNoStop); }),
            ErrorKind::kNotFound);
  remove_key_slot(*repository, added.slots[0].id, kNoStop);
  EXPECT_EQ(kind_of([&] { shared.open(); }), ErrorKind::kWrongKey);
  EXPECT_EQ(kind_of([&] { remove_key_slot(*repository, added.slots[1].id, kNoStop); }),
            ErrorKind::kRefused);
}

TEST(KeySlots, AGenerationThatCannotBeDeletedIsReported) {
  TestRepository shared;
  shared.objects->undeletable.insert("keys/0001");
  const KeyChange change = add_key_slot(*shared.open(), key_file(8), "second", kNoStop);
  EXPECT_EQ(change.not_removed, std::vector<std::string>{"keys/0001"});
  EXPECT_TRUE(Repository::open(shared.store(), key_file(8), kNoStop));
}

// A generation of the past would bring a retired slot back.
TEST(KeySlots, AnOlderGenerationInThePlaceOfTheNewestIsDamage) {
  TestRepository shared;
  const Bytes first = shared.object("keys/0001");
  add_key_slot(*shared.open(), key_file(8), "second", kNoStop);
  shared.object("keys/0002") = first;
  EXPECT_EQ(kind_of([&] { shared.open(); }), ErrorKind::kDamage);
}

// Older generations are the only other way to the data key.
TEST(KeySlots, AGenerationThatDoesNotReadBackIsTakenBackBeforeOlderOnesGo) {
  for (const bool removing : {false, true}) {
    TestRepository shared;
    add_key_slot(*shared.open(), key_file(8), "second", kNoStop);
    const auto before = shared.objects->objects;
    const auto repository =
        shared.open_on(make_fault_store(shared.store(), parse_fault_plan("get@keys/0003=flip")));
    const std::string id = read_key_slots(repository->store(), nullptr, kNoStop)->slots[0].id;
    EXPECT_EQ(kind_of([&] {
                if (removing) {
                  remove_key_slot(*repository, id, kNoStop);
                } else {
                  add_key_slot(*repository, key_file(9), "third", kNoStop);
                }
              }),
              ErrorKind::kDamage);
    EXPECT_EQ(shared.objects->objects, before);
    EXPECT_TRUE(shared.open());
  }
}

TEST(KeySlots, AnAnswerThatDoesNotComeLeavesBothGenerations) {
  TestRepository shared;
  const auto repository =
      shared.open_on(make_fault_store(shared.store(), parse_fault_plan("get@keys/0002=deny")));
  EXPECT_EQ(kind_of([&] { add_key_slot(*repository, key_file(8), "second", kNoStop); }),
            ErrorKind::kRepository);
  EXPECT_TRUE(shared.objects->objects.contains("keys/0001"));
  EXPECT_TRUE(Repository::open(shared.store(), key_file(8), kNoStop));
}

// The name of a generation is free again once a later one has replaced it.
TEST(KeySlots, AChangeThatTwoOthersOvertookIsRefusedAndLeavesNothing) {
  TestRepository shared;
  const auto others = shared.open();
  const KeyChange two = add_key_slot(*others, key_file(8), "second", kNoStop);
  FaultPlan plan;
  plan.script = [&](const FaultCall& call) -> std::optional<FaultEffect> {
    if (call.operation == StoreOperation::kPut && call.name == "keys/0003") {
      add_key_slot(*others, key_file(9), "third", kNoStop);
      add_key_slot(*others, key_file(10), "fourth", kNoStop);
    }
    return std::nullopt;
  };
  const auto slow = shared.open_on(make_fault_store(shared.store(), std::move(plan)));
  EXPECT_EQ(kind_of([&] { remove_key_slot(*slow, two.slots[1].id, kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_FALSE(shared.objects->objects.contains("keys/0003"));
  const auto now = read_key_slots(others->store(), nullptr, kNoStop);
  EXPECT_EQ(now->number, 4U);
  EXPECT_EQ(now->slots.size(), 4U);
}

// Somebody else may build on a change before it is read back: then it holds.
TEST(KeySlots, AChangeThatAnotherOneBuiltOnHolds) {
  TestRepository shared;
  const auto others = shared.open();
  bool built = false;
  FaultPlan plan;
  plan.script = [&](const FaultCall& call) -> std::optional<FaultEffect> {
    if (call.operation == StoreOperation::kGet && call.name == "keys/0002" && !built) {
      built = true;
      add_key_slot(*others, key_file(9), "third", kNoStop);
    }
    return std::nullopt;
  };
  const auto slow = shared.open_on(make_fault_store(shared.store(), std::move(plan)));
  EXPECT_EQ(add_key_slot(*slow, key_file(8), "second", kNoStop).slots.size(), 3U);
  EXPECT_TRUE(Repository::open(shared.store(), key_file(8), kNoStop));
}

// Found in a review: whoever built on a change may still take its own back, and then the change is
// all there is.
TEST(KeySlots, AChangeThatAnotherOneBuiltOnStaysUntilThatOneHasReadItsOwnBack) {
  TestRepository shared;
  const auto builder =
      shared.open_on(make_fault_store(shared.store(), parse_fault_plan("get@keys/0003=deny")));
  bool built = false;
  FaultPlan plan;
  plan.script = [&](const FaultCall& call) -> std::optional<FaultEffect> {
    const bool stored = shared.objects->objects.contains("keys/0002");
    if (call.operation == StoreOperation::kList && stored && !built) {
      built = true;
      EXPECT_EQ(kind_of([&] { add_key_slot(*builder, key_file(9), "third", kNoStop); }),
                ErrorKind::kRepository);
    }
    return std::nullopt;
  };
  const auto slow = shared.open_on(make_fault_store(shared.store(), std::move(plan)));
  add_key_slot(*slow, key_file(8), "second", kNoStop);
  ASSERT_EQ(shared.objects->objects.erase("keys/0003"), 1U);  // taken back
  EXPECT_TRUE(shared.open());
  EXPECT_TRUE(Repository::open(shared.store(), key_file(8), kNoStop));
}

TEST(KeySlots, ForeignObjectsBesideThemAreNotTakenForTheNewest) {
  TestRepository shared;
  shared.objects->objects["keys/README"] = to_bytes(as_bytes("hello"));
  EXPECT_TRUE(shared.open());
}

TEST(KeySlots, ThereAreNeverMoreThanCanBeReadBack) {
  TestRepository shared;
  const auto repository = shared.open();
  for (std::size_t i = 1; i < kMaxKeySlots; ++i) {
    add_key_slot(*repository, key_file(8), "more", kNoStop);
  }
  EXPECT_EQ(kind_of([&] { add_key_slot(*repository, key_file(8), "more", kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_TRUE(shared.open());
}

TEST(KeySlotsConcurrent, OfTwoChangesAtOnceNoneIsLost) {
  for (int round = 0; round < 20; ++round) {
    TestRepository shared;
    const auto repository = shared.open();
    std::atomic<std::size_t> done{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
          const auto failure =
              failure_of([&] { add_key_slot(*repository, key_file(8), "x", kNoStop); });
          if (!failure) ++done;
        });
      }
    }
    EXPECT_EQ(read_key_slots(repository->store(), nullptr, kNoStop)->slots.size(), 1 + done);
  }
}

}  // namespace
}  // namespace holdfast
