// What keeps a replaced server from starting, and how it was started before. With servers: suite
// recover.
#include "recover/replaced_server.h"

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

TEST(ReplacedServer, IsFencedByItsControlFileAlone) {
  const test::TempFolder folder;
  fs::create_directories(folder / "global");
  test::write_text(folder / "global/pg_control", "content");
  EXPECT_FALSE(is_fenced(folder.path()));
  fence(folder.path());
  fence(folder.path());
  EXPECT_TRUE(is_fenced(folder.path()));
  EXPECT_FALSE(fs::exists(folder / "global/pg_control"));
  unfence(folder.path());
  unfence(folder.path());
  EXPECT_FALSE(is_fenced(folder.path()));
  EXPECT_EQ(test::read_text(folder / "global/pg_control"), "content");
}

TEST(ReplacedServer, StartsWithTheOptionsThatItHad) {
  const test::TempFolder folder;
  const auto options = [&](const std::string& line) {
    test::write_text(folder / "postmaster.opts", line);
    return last_start_options(folder.path());
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(last_start_options(folder.path()), Words{});
  EXPECT_EQ(options("/usr/lib/postgresql/15/bin/postgres \"-D\" \"/var/lib/postgresql/15/main\" "
                    "\"-c\" \"config_file=/etc/postgresql/15/main/postgresql.conf\"\n"),
            (Words{"-c", "config_file=/etc/postgresql/15/main/postgresql.conf"}));
  EXPECT_EQ(options("/bin/postgres \"-D/srv/a b\" \"-p\" \"5433\" \"-k\" \"\"\n"),
            (Words{"-p", "5433", "-k", ""}));
  EXPECT_EQ(options("/bin/postgres\n"), Words{});
}

}  // namespace
}  // namespace holdfast
