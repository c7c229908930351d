// Whether a repository is still the one that was opened, asked by several threads at once.
#include "wal/archive.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "storage/store_decorator.h"
#include "unit/repository/repository_testing.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

// Answers late, as a store behind a network does, and counts how often it was asked who it is.
class SlowStore final : public StoreDecorator {
 public:
  SlowStore(std::unique_ptr<ObjectStore> inner, std::atomic<int>& asked)
      : StoreDecorator(std::move(inner)), asked_(asked) {}

  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    if (name == names::kDescriptor) ++asked_;
    std::this_thread::sleep_for(50ms);
    return StoreDecorator::get(name, stop);
  }

 private:
  std::atomic<int>& asked_;
};

// Found in a review: each job of the helper that catches up asked for itself.
TEST(ArchiveConcurrent, AskingIfARepositoryIsStillTheSameTakesOneRequest) {
  const TestRepository there;
  std::atomic<int> asked{0};
  Archive archive(
      "demo", {{.name = "first",
                .url = "memory",
                .open = [&](const std::stop_token&) { return there.open(); },
                .open_store = [&] { return std::make_unique<SlowStore>(there.store(), asked); }}});
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] { archive.require_same_repository_lately(0, kNoStop); });
    }
  }
  EXPECT_EQ(asked, 1);
  std::this_thread::sleep_for(600ms);
  archive.require_same_repository_lately(0, kNoStop);
  EXPECT_EQ(asked, 2) << "no answer is good for longer than half a second";
}

}  // namespace
}  // namespace holdfast::test
