// Which configuration files are carried, under which names, and what is said of the others.
#include "backup/external_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using test::write_text;

class ExternalConfigTest : public testing::Test {
 protected:
  ExternalConfigTest() {
    fs::create_directories(etc_ / "conf.d");
    fs::create_directory(data_);
    write_text(etc_ / "pg_hba.conf", "local all all trust\n");
    write_text(etc_ / "pg_ident.conf", "# none\n");
    server_.data_directory = data_.string();
    server_.config_file = (etc_ / "postgresql.conf").string();
    server_.hba_file = (etc_ / "pg_hba.conf").string();
    server_.ident_file = (etc_ / "pg_ident.conf").string();
  }
  ExternalConfig collect(std::string_view main) {
    write_text(etc_ / "postgresql.conf", main);
    return collect_external_config(server_, data_);
  }
  static std::vector<std::string> names(const ExternalConfig& config) {
    std::vector<std::string> names;
    for (const auto& [name, file] : config.files) names.push_back(name);
    return names;
  }

  test::TempFolder folder_;
  const fs::path etc_ = folder_ / "etc", data_ = folder_ / "data";
  ServerInfo server_;
};

TEST_F(ExternalConfigTest, IsCarriedUnderTheNamesThatPostgresqlLooksFor) {
  server_.hba_file = (etc_ / "other.hba").string();
  write_text(etc_ / "other.hba", "local all all reject\n");
  const ExternalConfig config = collect("port = 1\n");
  EXPECT_EQ(names(config),
            (std::vector<std::string>{"pg_hba.conf", "pg_ident.conf", "postgresql.conf"}));
  EXPECT_EQ(as_text(config.files.at("pg_hba.conf").content), "local all all reject\n");
  EXPECT_EQ(config.files.at("pg_hba.conf").original, etc_ / "other.hba");
  EXPECT_EQ(as_text(config.files.at("postgresql.conf").content), "port = 1\n");
  EXPECT_TRUE(config.warnings.empty());
}

TEST_F(ExternalConfigTest, InsideTheDataDirectoryIsNotCarriedTwice) {
  for (const char* const name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    write_text(data_ / name, "");
  }
  server_.config_file = (data_ / "postgresql.conf").string();
  server_.hba_file = (data_ / "sub" / ".." / "pg_hba.conf").string();
  server_.ident_file = (data_ / "pg_ident.conf").string();
  EXPECT_TRUE(collect("").files.empty());
}

TEST_F(ExternalConfigTest, NoConfigurationIsCarriedOfAServerThatShowsNone) {
  server_ = {};
  EXPECT_TRUE(collect("").files.empty());
}

// A folder whose name only begins like that of the data directory is outside.
TEST_F(ExternalConfigTest, ANeighbourOfTheDataDirectoryIsOutside) {
  fs::create_directory(folder_ / "data-config");
  write_text(folder_ / "data-config/postgresql.conf", "");
  server_.config_file = (folder_ / "data-config/postgresql.conf").string();
  EXPECT_TRUE(collect("").files.contains("postgresql.conf"));
}

TEST_F(ExternalConfigTest, WhatItIncludesKeepsItsName) {
  write_text(etc_ / "conf.d/b.conf", "include 'deeper/c.conf'\n");
  write_text(etc_ / "conf.d/a.conf", "");
  write_text(etc_ / "conf.d/.hidden.conf", "");
  write_text(etc_ / "conf.d/not-of-it.txt", "");
  fs::create_directory(etc_ / "conf.d/deeper");
  write_text(etc_ / "conf.d/deeper/c.conf", "");
  write_text(etc_ / "extra.conf", "");
  const ExternalConfig config = collect(
      "include_dir = 'conf.d'   # as Debian has it\n"
      "  INCLUDE 'extra.conf'\n"
      "include_if_exists 'absent.conf'\n"
      "#include 'commented.conf'\n");
  EXPECT_THAT(names(config), testing::ElementsAre(
                                 "conf.d/a.conf", "conf.d/b.conf", "conf.d/deeper/c.conf",
                                 "extra.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.conf"));
  EXPECT_TRUE(config.warnings.empty());
}

TEST_F(ExternalConfigTest, ALoopOfIncludesEnds) {
  write_text(etc_ / "a.conf", "include 'b.conf'\n");
  write_text(etc_ / "b.conf", "include 'a.conf'\ninclude 'postgresql.conf'\n");
  EXPECT_EQ(collect("include 'a.conf'\n").files.size(), 5U);
}

TEST_F(ExternalConfigTest, WhatIsIncludedFromElsewhereIsSaid) {
  write_text(folder_ / "elsewhere.conf", "");
  const ExternalConfig config =
      collect("include '" + (folder_ / "elsewhere.conf").string() +
              "'\ninclude '../elsewhere.conf'\ninclude_dir '/etc/nowhere.d'\n");
  EXPECT_EQ(config.files.size(), 3U);
  EXPECT_THAT(config.warnings, testing::ElementsAre(testing::HasSubstr("elsewhere.conf"),
                                                    testing::HasSubstr("../elsewhere.conf"),
                                                    testing::HasSubstr("/etc/nowhere.d")));
}

TEST_F(ExternalConfigTest, WhatCannotBeReadIsSaid) {
  fs::remove(etc_ / "pg_ident.conf");
  fs::create_directory(etc_ / "pg_ident.conf");
  const ExternalConfig config = collect("");
  EXPECT_FALSE(config.files.contains("pg_ident.conf"));
  EXPECT_THAT(config.warnings, testing::ElementsAre(testing::HasSubstr("not carried")));
}

}  // namespace
}  // namespace holdfast
