#include "wal/push_spool.h"

#include <chrono>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
constexpr const char* kFile = "000000010000000000000007";

class PushSpoolTest : public testing::Test {
 protected:
  PushEntry entry() const {
    return {.cluster = "demo",
            .history = {1, 7340123456789012345ULL},
            .bound = true,
            .file = kFile,
            .content = xxh3_128(as_bytes("content")),
            .bytes = 16U << 20U,
            .stored_in = {"local file:///srv", "far s3://bucket/x"}};
  }
  fs::path file() const { return folder_ / "wal" / "push" / (std::string(kFile) + ".stored"); }
  void set_age(std::chrono::seconds age) const {
    fs::last_write_time(file(), fs::file_time_type::clock::now() - age);
  }
  TempFolder folder_;
  PushSpool spool_{folder_.path()};
};

TEST_F(PushSpoolTest, GivesBackWhatWasRemembered) {
  spool_.remember(entry());
  const auto found = spool_.find(kFile);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cluster, "demo");
  EXPECT_EQ(found->history, entry().history);
  EXPECT_TRUE(found->bound);
  EXPECT_EQ(found->content, entry().content);
  EXPECT_EQ(found->bytes, entry().bytes);
  EXPECT_EQ(found->stored_in, entry().stored_in);
  spool_.forget(kFile);
  EXPECT_FALSE(spool_.find(kFile));
}

TEST_F(PushSpoolTest, DoesNotBelieveOldOrFutureEntries) {
  spool_.remember(entry());
  set_age(kEntryLifetime - 5s);
  EXPECT_TRUE(spool_.find(kFile));
  set_age(kEntryLifetime + 5s);
  EXPECT_FALSE(spool_.find(kFile));
  set_age(-60s);
  EXPECT_FALSE(spool_.find(kFile));
}

TEST_F(PushSpoolTest, DoesNotBelieveDamagedEntries) {
  spool_.remember(entry());
  const std::string whole = read_text(file());
  // What a power cut leaves.
  for (const std::size_t length : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
    write_text(file(), whole.substr(0, length));
    EXPECT_FALSE(spool_.find(kFile)) << length;
  }
}

TEST_F(PushSpoolTest, ClaimsExcludeEachOtherAndLeaveNothing) {
  {
    const auto claim = spool_.try_claim(kFile);
    ASSERT_TRUE(claim);
    EXPECT_FALSE(spool_.try_claim(kFile));
    EXPECT_TRUE(spool_.try_claim("000000010000000000000008"));
  }
  EXPECT_TRUE(spool_.try_claim(kFile));
  EXPECT_TRUE(fs::is_empty(folder_ / "wal" / "push"));
}

TEST_F(PushSpoolTest, RemovesWhatNobodyWillAskFor) {
  spool_.remember(entry());
  spool_.remove_outdated();
  EXPECT_TRUE(fs::exists(file()));
  set_age(2h);
  spool_.remove_outdated();
  EXPECT_FALSE(fs::exists(file()));
}

}  // namespace
}  // namespace holdfast::test
