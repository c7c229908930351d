#include "wal/ready_list.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

class ReadyList : public testing::Test {
 protected:
  ReadyList() { std::filesystem::create_directories(status()); }
  std::filesystem::path status() const { return folder_ / "pg_wal" / "archive_status"; }
  void ready(const std::string& name) const { write_text(status() / (name + ".ready"), ""); }
  TempFolder folder_;
};

TEST_F(ReadyList, HasTheOrderOfPostgres) {
  // As pgarch_readyXlog of version 15 gave them for these files.
  const std::vector<std::string> expected{
      "00000002.history",         "00000003.history",
      "000000010000000000000007", "000000010000000000000007.00000028.backup",
      "000000010000000000000008", "000000010000000000000008.partial",
      "000000020000000000000008", "000000030000000000000001",
  };
  std::vector<std::string> shuffled = expected;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(7));
  for (const std::string& name : shuffled) ready(name);
  EXPECT_EQ(files_waiting(folder_.path(), 100), expected);
  EXPECT_EQ(files_waiting(folder_.path(), 3),
            std::vector<std::string>(expected.begin(), expected.begin() + 3));
  EXPECT_TRUE(files_waiting(folder_.path(), 0).empty());
}

TEST_F(ReadyList, PassesOverWhatIsDoneAndWhatIsNoWal) {
  write_text(status() / "000000010000000000000001.done", "");
  ready("xlogtemp.123");
  EXPECT_TRUE(files_waiting(folder_.path(), 100).empty());
  EXPECT_FALSE(others_wait(folder_.path(), "000000010000000000000001"));
  ready("000000010000000000000002");
  EXPECT_FALSE(others_wait(folder_.path(), "000000010000000000000002"));
  EXPECT_TRUE(others_wait(folder_.path(), "000000010000000000000001"));
}

}  // namespace
}  // namespace holdfast::test
