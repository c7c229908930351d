// PackWriter under many threads, failing uploads and cancellation.

#include "repository/pack_writer.h"

#include <chrono>
#include <thread>

#include "repository/chunk_reader.h"
#include "storage/fault_store.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;

constexpr std::size_t kSmallPack = 64 << 10U;

struct Added {
  NewChunk place;
  Bytes content;
};

TEST(PackWriterConcurrent, EveryChunkOfEveryThreadIsReadable) {
  TestRepository shared;
  const auto repository = shared.open();
  PackWriter writer(repository->store(), repository->keys(),
                    {.backup = backup_name(), .pack_bytes = kSmallPack, .uploads = 2}, {});
  std::vector<std::vector<Added>> added(6);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < added.size(); ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (int i = 0; i < 200; ++i) {
          Bytes content = random_bytes(random, 1 + random() % 3000);
          const NewChunk place =
              writer.add(static_cast<std::uint32_t>(content.size()), Compression::kNone, content);
          added[t].push_back({place, std::move(content)});
        }
      });
    }
  }
  const auto packs = writer.finish();
  ASSERT_GT(packs.size(), 10U);
  ChunkReader chunks(repository->store(), repository->keys(), "demo");
  for (std::size_t i = 0; i < packs.size(); ++i) {
    EXPECT_EQ(packs[i].number, i + 1);
    const std::string name = names::pack(backup_name(), names::PackKind::kData, packs[i].number);
    const Bytes& object = shared.object(name);
    EXPECT_EQ(object.size(), packs[i].bytes);
    const auto authenticate = [&](const std::string& as) {
      Bytes copy = object;
      authenticate_chunks(copy, check_container(copy, as), repository->keys(), as,
                          [](const ChunkPlace&) {});
    };
    authenticate(name);
    EXPECT_EQ(kind_of([&] { authenticate(name + "0"); }), ErrorKind::kWrongKey)
        << "a pack opens under another name";
    chunks.registry().intern(
        {{1, 77}, backup_name().id, names::PackKind::kData, packs[i].number, packs[i].salt});
  }
  for (const auto& of_thread : added) {
    for (const Added& one : of_thread) {
      EXPECT_EQ(
          chunks.read({one.place.pack - 1, one.place.offset, one.place.sealed_length}, kNoStop),
          one.content);
    }
  }
}

TEST(PackWriterConcurrent, AFailedUploadSurfacesAndNothingHangs) {
  TestRepository shared;
  const auto repository =
      shared.open_on(make_fault_store(shared.store(), parse_fault_plan("put@/000003=deny")));
  PackWriter writer(repository->store(), repository->keys(),
                    {.backup = backup_name(), .pack_bytes = kSmallPack, .uploads = 2}, {});
  std::atomic<int> failed{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        try {
          for (int i = 0; i < 10'000; ++i) writer.add(3000, Compression::kNone, Bytes(3000));
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::kRepository) ++failed;
        }
      });
    }
  }
  EXPECT_EQ(failed, 4);
  EXPECT_EQ(kind_of([&] { writer.finish(); }), ErrorKind::kRepository);
}

TEST(PackWriterConcurrent, CancellingEndsAThreadThatWaitsForABuffer) {
  TestRepository shared;
  std::atomic<bool> release{false};
  const auto blocked = [&](const FaultCall& call) -> std::optional<FaultEffect> {
    while (call.operation == StoreOperation::kPut && !release) std::this_thread::yield();
    return std::nullopt;
  };
  const auto repository = shared.open_on(make_fault_store(shared.store(), {.script = blocked}));
  std::stop_source stop;
  PackWriter writer(repository->store(), repository->keys(),
                    {.backup = backup_name(), .pack_bytes = kSmallPack, .uploads = 1},
                    stop.get_token());
  std::atomic<int> added{0};
  ErrorKind kind = ErrorKind::kBug;
  std::jthread filler([&] {
    kind = kind_of([&] {
      for (;;) {
        writer.add(30'000, Compression::kNone, Bytes(30'000));
        ++added;
      }
    });
  });
  while (added < 4) std::this_thread::yield();  // two packs of two: every buffer is taken
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(added, 4);
  stop.request_stop();
  filler.join();
  EXPECT_EQ(kind, ErrorKind::kCancelled);
  release = true;
}

// Whoever waits for finish() may rely on every pack having been told.
TEST(PackWriterConcurrent, EveryPackIsToldBeforeFinishReturns) {
  for (int round = 0; round < 20; ++round) {
    TestRepository shared;
    const auto repository = shared.open();
    std::atomic<std::size_t> told{0};
    PackWriter writer(repository->store(), repository->keys(),
                      {.backup = backup_name(),
                       .pack_bytes = kSmallPack,
                       .stored =
                           [&](const StoredPack&) {
                             std::this_thread::sleep_for(std::chrono::milliseconds(1));
                             ++told;
                           }},
                      {});
    for (int i = 0; i < 5; ++i) writer.add(40'000, Compression::kNone, Bytes(40'000));
    EXPECT_EQ(writer.finish().size(), told);
  }
}

TEST(PackWriter, WithoutChunksStoresNothing) {
  TestRepository shared;
  const auto repository = shared.open();
  const std::size_t before = shared.objects->objects.size();
  PackWriter writer(repository->store(), repository->keys(), {.backup = backup_name()}, {});
  EXPECT_TRUE(writer.finish().empty());
  EXPECT_EQ(shared.objects->objects.size(), before);
}

}  // namespace
}  // namespace holdfast
