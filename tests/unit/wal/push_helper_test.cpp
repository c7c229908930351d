#include "wal/push_helper.h"

#include <chrono>
#include <future>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

ArchiveRepository unreachable(const std::string& name) {
  return {
      .name = name, .url = name, .open = [](const std::stop_token&) -> std::unique_ptr<Repository> {
        throw Error(ErrorKind::kRepository, "it is away");
      }};
}

// The thread that copies to the second repository must not keep it.
TEST(PushHelperConcurrent, EndsByItselfWhenTheDataDirectoryIsGone) {
  const TempFolder folder;
  fs::create_directories(folder / "state/wal");
  Archive archive("demo", {unreachable("first"), unreachable("second")});
  const PushHelperOptions options{.push = {.cluster = "demo",
                                           .data_directory = folder / "gone",
                                           .state_directory = folder / "state"},
                                  .jobs = 2};
  std::stop_source stop;
  auto helper =
      std::async(std::launch::async, [&] { run_push_helper(archive, options, stop.get_token()); });
  const bool ended = helper.wait_for(std::chrono::seconds{30}) == std::future_status::ready;
  stop.request_stop();
  EXPECT_THROW(helper.get(), Error);
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace holdfast::test
