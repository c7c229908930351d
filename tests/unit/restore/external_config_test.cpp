// Configuration from outside the source's data directory, made to work inside the restored one.
#include "restore/external_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

TEST(RelocatedConfig, LosesTheSettingsThatNameTheSourcesPlaces) {
  EXPECT_EQ(relocate_config("data_directory = '/var/lib/postgresql/15/main'\n"
                            "  HBA_FILE='/etc/postgresql/15/main/pg_hba.conf' # kept there\n"
                            "ident_file '/etc/x'\n"
                            "config_file = '/etc/y'\n"
                            "external_pid_file = '/run/z'\n"
                            "stats_temp_directory = '/run/stats'\n"
                            "#data_directory = 'commented'\n"
                            "data_directory_mode = 0700\n"
                            "port = 5432\n"),
            "#holdfast restore# data_directory = '/var/lib/postgresql/15/main'\n"
            "#holdfast restore#   HBA_FILE='/etc/postgresql/15/main/pg_hba.conf' # kept there\n"
            "#holdfast restore# ident_file '/etc/x'\n"
            "#holdfast restore# config_file = '/etc/y'\n"
            "#holdfast restore# external_pid_file = '/run/z'\n"
            "#holdfast restore# stats_temp_directory = '/run/stats'\n"
            "#data_directory = 'commented'\n"
            "data_directory_mode = 0700\n"
            "port = 5432\n");
}

TEST(RelocatedConfig, MakesTheFoldersThatItIncludes) {
  const test::TempFolder folder;
  test::write_text(folder / "postgresql.conf",
                   "include_dir = 'conf.d'\ninclude_dir '/etc/absolute.d'\nhba_file = '/x'\n");
  EXPECT_THAT(relocate_config_file(folder.path()), testing::ElementsAre(folder / "conf.d"));
  EXPECT_TRUE(fs::is_directory(folder / "conf.d"));
  const std::string text = test::read_text(folder / "postgresql.conf");
  EXPECT_NE(text.find("#holdfast restore# hba_file"), std::string::npos) << text;
  // Once more, as a resumed restore does.
  relocate_config_file(folder.path());
  EXPECT_EQ(test::read_text(folder / "postgresql.conf"), text);
}

}  // namespace
}  // namespace holdfast
