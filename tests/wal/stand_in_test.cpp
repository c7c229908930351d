// What is damaged or missing in one repository is taken from another that has the same backup.
#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class StandIn : public testing::Test {
 protected:
  StandIn() {
    server().sql(
        "create table kept as select g n, md5(g::text) t from generate_series(1, 30000) g");
    archived_.holdfast().backup();
    archived_.archive();
    // The same backup in a second repository.
    copy_while_in_use(archived_.holdfast().repository_folder(), second());
    archived_.holdfast().settings().repository_lines = {
        "  - name: second", fmt::format("    url: file://{}", second().string())};
  }

  PostgresCluster& server() { return archived_.server(); }
  fs::path second() { return archived_.holdfast().folder() / "second"; }
  static std::vector<fs::path> objects(const fs::path& repository, const std::string& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(repository)) {
      const fs::path above = entry.path().parent_path();
      if (entry.is_regular_file() && above.filename() == folder) found.push_back(entry.path());
    }
    EXPECT_FALSE(found.empty()) << folder;
    return found;
  }
  static void remove_all(const fs::path& repository, const std::string& folder) {
    for (const fs::path& object : objects(repository, folder)) fs::remove(object);
  }
  // Every chunk of 16 KiB or so has a wrong byte.
  static void damage_all(const fs::path& repository, const std::string& folder) {
    for (const fs::path& object : objects(repository, folder)) {
      std::string bytes = read_text(object);
      for (std::size_t at = 100; at < bytes.size(); at += 16000) {
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
      }
      fs::permissions(object, fs::perms::owner_all);
      write_text(object, bytes);
      give_to_server_user(object);
    }
  }

  void expect_restored_with_help() {
    const fs::path target = archived_.holdfast().new_path();
    const Answer answer = archived_.holdfast().run({"restore", "--to", target.string()});
    ASSERT_TRUE(answer.ok()) << answer.text();
    ASSERT_FALSE(answer.result().at("stood_in").empty()) << answer.text();
    const Json& first = answer.result().at("stood_in").at(0);
    EXPECT_EQ(first.at("repository"), "second");
    EXPECT_GT(first.at("bytes").get<std::uint64_t>(), 0U);
    EXPECT_NE(first.at("object").get<std::string>().find("/backup/"), std::string::npos);
    EXPECT_NE(answer.document.at("warnings").dump().find("damaged: "), std::string::npos);
    PostgresCluster restored = start_recovered(target);
    const std::string all = "select count(*) || md5(string_agg(t, '' order by n)) from kept";
    EXPECT_EQ(restored.sql(all), server().sql(all));
  }

  ArchivedCluster archived_;
};

TEST_F(StandIn, ForPacksThatAreMissing) {
  remove_all(archived_.holdfast().repository_folder(), "pack");
  expect_restored_with_help();
}

TEST_F(StandIn, ForChunksThatAreDamaged) {
  damage_all(archived_.holdfast().repository_folder(), "pack");
  expect_restored_with_help();
}

TEST_F(StandIn, ForManifestsThatAreIncomplete) {
  remove_all(archived_.holdfast().repository_folder(), "map");
  expect_restored_with_help();
}

TEST_F(StandIn, NotWhenTheOtherHasItNoMoreEither) {
  remove_all(archived_.holdfast().repository_folder(), "pack");
  damage_all(second(), "pack");
  const Answer answer =
      archived_.holdfast().run({"restore", "--to", archived_.holdfast().new_path().string()});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(answer.kind(), "damage");
}

TEST_F(StandIn, NotWhenTheOtherHasAnotherBackup) {
  remove_all(archived_.holdfast().repository_folder(), "pack");
  fs::remove_all(second());
  archived_.holdfast().must({"--repo", "second", "init"});
  archived_.holdfast().must({"--repo", "second", "backup", "--standalone"});
  EXPECT_EQ(archived_.holdfast()
                .run({"restore", "--to", archived_.holdfast().new_path().string()})
                .outcome.exit_code,
            1);
}

}  // namespace
}  // namespace holdfast::test
