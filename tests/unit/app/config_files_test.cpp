#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_testing.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string config_of(const std::string& cluster) {
  return "cluster: " + cluster + "\nrepositories: [{name: a, url: 'file:///srv'}]\n";
}

class ConfigFilesTest : public ConfigTest {
 protected:
  ConfigRequest in_folder(const std::string& cluster = {}, Environment environment = {}) {
    return {.file = {},
            .cluster = cluster,
            .environment = std::move(environment),
            .folder = folder_.path(),
            .state_root = folder_ / "state"};
  }
  mode_t mode_of(const fs::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  }
};

TEST_F(ConfigFilesTest, TheOnlyFileIsTaken) {
  test::write_text(folder_ / "one.yaml", config_of("one"));
  test::write_text(folder_ / "readme.txt", "no yaml");
  EXPECT_EQ(load_config(in_folder()).config.cluster, "one");
}

TEST_F(ConfigFilesTest, ClusterPicksAmongSeveralWhateverTheirNames) {
  test::write_text(folder_ / "a.yaml", config_of("one"));
  test::write_text(folder_ / "b.yaml", config_of("two"));
  test::write_text(folder_ / "broken.yaml", "cluster: [\n");
  EXPECT_EQ(load_config(in_folder("two")).config.file, folder_ / "b.yaml");
  EXPECT_THAT(refused(in_folder()).hint(), HasSubstr("one, two"));
  EXPECT_THAT(refused(in_folder("three")).message(), HasSubstr("cluster 'three'"));
}

TEST_F(ConfigFilesTest, TwoFilesOfOneClusterAreRefused) {
  test::write_text(folder_ / "a.yaml", config_of("one"));
  test::write_text(folder_ / "b.yaml", config_of("one"));
  EXPECT_THAT(refused(in_folder("one")).message(), HasSubstr("2 configuration files"));
}

TEST_F(ConfigFilesTest, VariableComesBeforeFolderAndOptionBeforeVariable) {
  test::write_text(folder_ / "a.yaml", config_of("one"));
  fs::create_directory(folder_ / "sub");
  test::write_text(folder_ / "sub" / "b.yaml", config_of("two"));
  const Environment environment{{"HOLDFAST_CONFIG", (folder_ / "sub" / "b.yaml").string()}};
  EXPECT_EQ(load_config(in_folder({}, environment)).config.cluster, "two");
  ConfigRequest named = in_folder({}, environment);
  named.file = (folder_ / "a.yaml").string();
  EXPECT_EQ(load_config(named).config.cluster, "one");
}

TEST_F(ConfigFilesTest, NoFileAtAllHasAHint) {
  EXPECT_THAT(refused(in_folder()).hint(), HasSubstr("--config"));
  ConfigRequest missing = in_folder();
  missing.file = (folder_ / "missing.yaml").string();
  EXPECT_THAT(refused(missing).message(), HasSubstr("does not exist"));
}

TEST_F(ConfigFilesTest, ClusterMustMatchANamedFile) {
  ConfigRequest wanted = request(config_of("one"));
  wanted.cluster = "two";
  EXPECT_THAT(refused(wanted).message(), HasSubstr("cluster 'one', not of 'two'"));
}

TEST_F(ConfigFilesTest, StateLiesUnderItsRootWhereThatCanBeMade) {
  const Config config = load(config_of("one")).config;
  EXPECT_EQ(config.state_directory, folder_ / "state" / "one");
  EXPECT_FALSE(fs::exists(folder_ / "state"));  // loading makes nothing
  prepare_state_directory(config);
  EXPECT_EQ(mode_of(config.state_directory), 0700U);
  prepare_state_directory(config);  // again: nothing to do
}

TEST_F(ConfigFilesTest, StateLiesBesideTheFileWhereTheRootCannotBeWritten) {
  ConfigRequest wanted = request(config_of("one"));
  test::write_text(folder_ / "plain-file", "");
  wanted.state_root = folder_ / "plain-file";
  EXPECT_EQ(load_config(wanted).config.state_directory, folder_ / ".holdfast");
}

TEST_F(ConfigFilesTest, StateThatIsThereAlreadyWinsOverAPlaceThatCouldBeMade) {
  fs::create_directory(folder_ / ".holdfast");
  EXPECT_EQ(load(config_of("one")).config.state_directory, folder_ / ".holdfast");
}

TEST_F(ConfigFilesTest, AStateDirectoryOpenToOthersIsRefused) {
  const Config config = load(config_of("one")).config;
  fs::create_directories(config.state_directory);
  ASSERT_EQ(::chmod(config.state_directory.c_str(), 0750), 0);
  try {
    prepare_state_directory(config);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfiguration);
    EXPECT_THAT(error.hint(), HasSubstr("chmod 700"));
  }
}

TEST_F(ConfigFilesTest, CheckOpensTheFilesWithSecrets) {
  const std::string key = (folder_ / "key").string();
  const std::string with_key =
      "cluster: one\nrepositories:\n  - name: a\n    url: file:///srv\n"
      "    encryption: {key_file: " +
      key + "}\n";
  const auto first = [&] {
    return check_config(load(with_key + "postgres: {data_directory: /d}\n"));
  };
  ASSERT_EQ(first().size(), 1U);
  EXPECT_EQ(first()[0].key, "repositories.a.encryption.key_file");
  test::write_text(key, "secret");
  ASSERT_EQ(::chmod(key.c_str(), 0640), 0);
  ASSERT_EQ(first().size(), 1U);
  EXPECT_THAT(first()[0].hint, HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(key.c_str(), 0600), 0);
  EXPECT_TRUE(first().empty());
  test::write_text(key, "");
  ASSERT_EQ(first().size(), 1U);
  EXPECT_THAT(first()[0].message, HasSubstr("empty"));
}

TEST_F(ConfigFilesTest, RepositoriesAreFoundByName) {
  const Config config = load(config_of("one")).config;
  EXPECT_EQ(find_repository(config, "").name, "a");
  EXPECT_EQ(find_repository(config, "a").name, "a");
  EXPECT_THROW(find_repository(config, "b"), Error);
}

}  // namespace
}  // namespace holdfast
