#include "wal/push_order.h"

#include <future>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr WalSegmentSize kSize{1U << 20U};

class PushOrderConcurrent : public testing::Test {
 protected:
  PushOrderConcurrent() {
    fs::create_directories(wal() / "archive_status");
    for (const std::string& file : files_) make(file);
    order_.list(files_);
    queue_.offer(files_);
  }

  fs::path wal() const { return folder_ / "pg_wal"; }
  fs::path ready(const std::string& file) const {
    return wal() / "archive_status" / (file + ".ready");
  }
  void make(const std::string& file) const {
    write_text(wal() / file, file);
    write_text(ready(file), "");
  }
  bool turn(const std::string& file) {
    return order_.wait_for_turn(file, version_of(wal() / file).value(), {});
  }
  void store(const std::string& file) { order_.stored(file, version_of(wal() / file).value()); }

  const std::vector<std::string> files_{"00000002.history", "000000010000000000000007",
                                        "000000020000000000000007", "000000020000000000000008"};
  TempFolder folder_;
  WorkQueue queue_;
  PushOrder order_{folder_.path(), kSize, queue_};
};

TEST_F(PushOrderConcurrent, OneAfterAnother) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    EXPECT_TRUE(turn(files_[i])) << i;
    for (std::size_t j = i + 1; j < files_.size(); ++j) EXPECT_FALSE(turn(files_[j])) << i << j;
    store(files_[i]);
  }
}

TEST_F(PushOrderConcurrent, WhatPostgresHasAnAnswerForIsSettled) {
  fs::remove(ready(files_[0]));
  EXPECT_TRUE(turn(files_[1]));
  EXPECT_FALSE(turn(files_[0]));  // there is nothing to store any more
}

TEST_F(PushOrderConcurrent, WaitsForWhatIsAtHandAndGivesUpWhenItFails) {
  ASSERT_EQ(queue_.take(), files_[0]);
  auto second = std::async(std::launch::async, [&] { return turn(files_[1]); });
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  store(files_[0]);
  EXPECT_TRUE(second.get());

  ASSERT_EQ(queue_.take(), files_[1]);
  auto third = std::async(std::launch::async, [&] { return turn(files_[2]); });
  EXPECT_EQ(third.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  queue_.done(files_[1]);  // not stored
  EXPECT_FALSE(third.get());
}

TEST_F(PushOrderConcurrent, WaitsForAnotherProcess) {
  order_.is_elsewhere(files_[0]);
  EXPECT_TRUE(order_.is_near(files_[1]));
  EXPECT_FALSE(order_.is_near(files_[2]));
  auto second = std::async(std::launch::async, [&] { return turn(files_[1]); });
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  fs::remove(ready(files_[0]));
  EXPECT_TRUE(second.get());
}

TEST_F(PushOrderConcurrent, AFileThatTookThePlaceOfTheStoredOneIsNotSettled) {
  store(files_[0]);
  fs::remove(wal() / files_[0]);
  write_text(wal() / files_[0], files_[0]);
  EXPECT_FALSE(turn(files_[1]));
}

TEST_F(PushOrderConcurrent, AFileThatIsAnotherThanWasReadHasNoTurn) {
  const auto read = version_of(wal() / files_[0]).value();
  write_text(wal() / files_[0], "another length");
  EXPECT_FALSE(order_.wait_for_turn(files_[0], read, {}));
}

TEST_F(PushOrderConcurrent, ASegmentFollowsTheOneThatWasStoredLastAndIsStillTheSameFile) {
  EXPECT_FALSE(order_.follows_stored(files_[3]));  // nothing is stored
  store(files_[2]);
  EXPECT_TRUE(order_.follows_stored(files_[3]));
  EXPECT_FALSE(order_.follows_stored(files_[2]));
  store("00000002.history");  // no segment: changes nothing
  EXPECT_TRUE(order_.follows_stored(files_[3]));
  fs::remove(wal() / files_[2]);
  write_text(wal() / files_[2], files_[2]);
  EXPECT_FALSE(order_.follows_stored(files_[3]));
}

TEST_F(PushOrderConcurrent, ASegmentWaitsForItsPredecessorThatTheListingMissed) {
  const std::string missed = "000000010000000000000006";
  make(missed);
  store(files_[0]);
  EXPECT_FALSE(turn(files_[1]));
  fs::remove(ready(missed));
  EXPECT_TRUE(turn(files_[1]));
}

}  // namespace
}  // namespace holdfast::test
