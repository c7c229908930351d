#include "wal/get_helper.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// A storage that answers nothing until it is told to stop.
class Silence {
 public:
  std::unique_ptr<Repository> open(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    asked_ = true;
    changed_.notify_all();
    changed_.wait(lock, stop, [] { return false; });
    throw Error(ErrorKind::kCancelled, "stopped");
  }
  void wait_until_asked() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return asked_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asked_ = false;
};

// It asked itself whether it is needed only between two requests to the storage, and one of those
// may take a minute: a folder that was removed kept its helper alive that long.
TEST(GetHelperConcurrent, EndsWhenNobodyNeedsItWhileTheStorageDoesNotAnswer) {
  const TempFolder folder;
  Silence silence;
  Archive archive("demo",
                  {{.name = "silent", .url = "silent", .open = [&](const std::stop_token& stop) {
                      return silence.open(stop);
                    }}});
  std::atomic<bool> wanted = true;
  const GetHelperOptions options{
      .binding = {.cluster = "demo", .data_directory = folder / "data", .line = "history x"},
      .state_directory = folder / "state",
      .history = parse_history_name("0001-7340123456789012345"),
      .bytes_max = std::uint64_t{1} << 30U,
      .jobs = 2,
      .life = {.wanted = [&] { return wanted.load(); }}};
  const GetSpool spool(options.state_directory, options.binding);
  spool.make_folder();
  spool.note_request(*parse_wal_file_name("000000010000000000000003"));

  std::stop_source stop;
  auto helper =
      std::async(std::launch::async, [&] { run_get_helper(archive, options, stop.get_token()); });
  silence.wait_until_asked();
  wanted = false;
  const bool ended = helper.wait_for(std::chrono::seconds{30}) == std::future_status::ready;
  stop.request_stop();
  helper.get();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(fs::exists(spool.folder()));
}

}  // namespace
}  // namespace holdfast::test
