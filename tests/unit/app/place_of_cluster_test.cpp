// Where the cluster's data directory lies, whatever symbolic links lead there.
#include <gtest/gtest.h>

#include "app/recovery_work.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class PlaceOfCluster : public testing::Test {
 protected:
  fs::path place(const fs::path& data_directory) {
    Config config;
    config.postgres.data_directory = data_directory;
    return place_of_cluster(config);
  }
  test::TempFolder folder_;
};

TEST_F(PlaceOfCluster, IsTheFolderItselfOrWhatLinksLeadTo) {
  EXPECT_EQ(place(""), "");
  fs::create_directories(folder_ / "disk/main");
  EXPECT_EQ(place(folder_ / "disk/main"), folder_ / "disk/main");
  EXPECT_EQ(place(folder_ / "disk/main/"), folder_ / "disk/main");
  fs::create_symlink("disk/main/", folder_ / "relative");
  fs::create_symlink(folder_ / "relative", folder_ / "absolute");
  EXPECT_EQ(place(folder_ / "absolute"), folder_ / "disk/main");
  fs::create_symlink("disk/lost", folder_ / "dangling");
  EXPECT_EQ(place(folder_ / "dangling"), folder_ / "disk/lost");
}

// /lib is a link to /far/lib, and /lib/main to ../main: that is /far/main, not /main.
TEST_F(PlaceOfCluster, GoesUpFromWhereALinkReallyLies) {
  fs::create_directories(folder_ / "far/lib");
  fs::create_directories(folder_ / "far/main");
  fs::create_directories(folder_ / "main");
  fs::create_symlink("far/lib", folder_ / "lib");
  fs::create_symlink("../main", folder_ / "far/lib/main");
  EXPECT_EQ(place(folder_ / "lib/main"), fs::canonical(folder_ / "far/main"));
  fs::create_symlink("lib/../main", folder_ / "around");
  EXPECT_EQ(place(folder_ / "around"), fs::canonical(folder_ / "far/main"));
}

}  // namespace
}  // namespace holdfast
