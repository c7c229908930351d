#include <set>

#include <gmock/gmock.h>

#include "app/config_keys.h"
#include "config_testing.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

TEST_F(ConfigTest, EnvironmentOverridesFileAndDefault) {
  const LoadedConfig loaded = load("memory: 512MiB\n" + kSmallConfig,
                                   {{"HOLDFAST_MEMORY", "1GiB"},
                                    {"HOLDFAST_POSTGRES_DATA_DIRECTORY", "/data"},
                                    {"HOLDFAST_REPOSITORIES_HOT_URL", "file:///srv/x"},
                                    {"HOLDFAST_REPOSITORIES_HOT_ENCRYPTION_KEY_FILE", "/k"}});
  EXPECT_EQ(loaded.config.memory_bytes, 1U << 30U);
  EXPECT_EQ(loaded.config.postgres.data_directory, "/data");
  EXPECT_EQ(loaded.config.repositories[0].url, "file:///srv/x");
  EXPECT_EQ(loaded.config.repositories[0].encryption.key_file, "/k");
  EXPECT_EQ(value_of(loaded, "memory"), "1GiB (environment HOLDFAST_MEMORY)");
}

TEST_F(ConfigTest, RepositoryNamesMapToVariableNames) {
  const std::string text = "cluster: demo\nrepositories:\n  - {name: far-away.2, url: 's3://b'}\n";
  const LoadedConfig loaded = load(text, {{"HOLDFAST_REPOSITORIES_FAR_AWAY_2_REGION", "x"}});
  EXPECT_EQ(loaded.config.repositories[0].s3.region, "x");
}

TEST_F(ConfigTest, RepositoriesThatShareAVariableNameAreRefused) {
  const std::string text =
      "cluster: demo\nrepositories:\n  - {name: a-b, url: 's3://b'}\n"
      "  - {name: a_b, url: 's3://c'}\n";
  EXPECT_THAT(refused(request(text)).message(), HasSubstr("HOLDFAST_REPOSITORIES_A_B_"));
}

TEST_F(ConfigTest, AVariableWithoutKeyIsRefused) {
  const Error error = refused(request(kSmallConfig, {{"HOLDFAST_MEMROY", "1GiB"}}));
  EXPECT_EQ(error.object(), "HOLDFAST_MEMROY");
  EXPECT_THAT(error.hint(), HasSubstr("HOLDFAST_MEMORY"));
  refused(request(kSmallConfig, {{"HOLDFAST_REPOSITORIES_COLD_URL", "file:///x"}}));
}

TEST_F(ConfigTest, VariablesThatAreNoKeysAreLeftAlone) {
  EXPECT_NO_THROW(load(kSmallConfig, {{"HOLDFAST_CONFIG", "/nowhere"},
                                      {"HOLDFAST_FAULT_POINT", "x"},
                                      {"HOLDFAST_STORE_GLACIER", "x"},
                                      {"HOLDFAST_TEST_KEEP", "1"},
                                      {"PGHOST", "x"}}));
}

TEST_F(ConfigTest, ABadValueNamesTheVariable) {
  const Error error = refused(request(kSmallConfig, {{"HOLDFAST_MEMORY", "lots"}}));
  EXPECT_EQ(error.object(), "HOLDFAST_MEMORY");
  EXPECT_THAT(error.message(), HasSubstr("not 'lots'"));
}

TEST_F(ConfigTest, AWholeConfigurationIsCheckedAfterOverrides) {
  // The file is right by itself; the override gives a folder the region of a bucket.
  const std::string text = kSmallConfig + "    region: x\n";
  EXPECT_THAT(refused(request(text, {{"HOLDFAST_REPOSITORIES_HOT_URL", "file:///srv"}})).message(),
              HasSubstr("is for S3"));
}

TEST(ConfigKeys, VariableNamesAreUnique) {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(names.insert(environment_name(key, "hot")).second) << key.path;
  }
}

TEST(ConfigKeys, DefaultsAreValuesOfTheirKeys) {
  for (const ConfigKey& key : config_keys()) {
    if (key.state == KeyState::kLater) continue;
    EXPECT_NE(key.set, nullptr) << key.path;
    if (key.fallback.empty()) continue;
    EXPECT_TRUE(parse_key_value(key, key.fallback)) << key.path;
  }
}

}  // namespace
}  // namespace holdfast
