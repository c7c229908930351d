// The shape of what `units` prints (docs/json.md).
#include <filesystem>

#include <gmock/gmock.h>

#include "unit/cli/program_testing.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(ProgramTest, UnitsArePrintedOrWritten) {
  write_config();
  const auto printed = json({"units"});
  EXPECT_TRUE(printed["result"]["directory"].is_null());
  EXPECT_THAT(printed["result"]["units"], SizeIs(13));
  EXPECT_EQ(printed["result"]["units"][0]["name"], "holdfast-demo-backup.service");
  const std::string content = printed["result"]["units"][0]["content"];
  EXPECT_THAT(content, HasSubstr("ExecStart=\"" + test::program_path()));
  EXPECT_THAT(content, HasSubstr((folder_ / "a.yaml").string()));
  const auto folder = folder_ / "units";
  std::filesystem::create_directory(folder);
  const auto written = json({"units", "--install", "--directory", folder.string()});
  EXPECT_EQ(written["result"]["directory"], folder.string());
  EXPECT_EQ(written["result"]["unwanted"], nlohmann::json::array());
  EXPECT_EQ(test::read_text(folder / "holdfast-demo-backup.service"), content);
}

}  // namespace
}  // namespace holdfast
