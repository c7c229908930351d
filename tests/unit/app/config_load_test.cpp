#include <vector>

#include <gmock/gmock.h>

#include "config_testing.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

constexpr const char* kFull = R"(cluster: shared-postgres
state_directory: /var/lib/holdfast/shared
memory: 512MiB
timezone: America/New_York
postgres:
  data_directory: /var/lib/postgresql/16/main
  connection: "host=/var/run/postgresql user=postgres dbname=postgres"
  primary_connection: "host=pg1"
  bin_directory: /usr/lib/postgresql/16/bin
repositories:
  - name: hot
    url: s3://synergyflow-backups/postgres
    region: eu-central-1
    endpoint: https://s3.example.internal
    path_style: true
    credentials: {profile: backup}
    storage_class: {catalogue: STANDARD, data: STANDARD_IA}
    encryption: {key_file: /etc/holdfast/hot.key}
    server_side_encryption: aws:kms
    kms_key_id: abc
  - name: cold
    url: file:///srv/cold
    encryption: {passphrase_file: /etc/holdfast/cold}
backup: {compression: "gzip:9", jobs: 3, checkpoint: spread, rate: 10MiB}
)";

TEST_F(ConfigTest, EveryKeyOfThisBuildReachesItsPlace) {
  const Config config = load(kFull).config;
  EXPECT_EQ(config.cluster, "shared-postgres");
  EXPECT_EQ(config.state_directory, "/var/lib/holdfast/shared");
  EXPECT_EQ(config.memory_bytes, 512U << 20U);
  EXPECT_EQ(config.timezone, "America/New_York");
  EXPECT_EQ(config.postgres.data_directory, "/var/lib/postgresql/16/main");
  EXPECT_EQ(config.postgres.primary_connection, "host=pg1");
  EXPECT_EQ(config.postgres.bin_directory, "/usr/lib/postgresql/16/bin");
  ASSERT_EQ(config.repositories.size(), 2U);
  const RepositoryConfig& hot = config.repositories[0];
  EXPECT_EQ(hot.s3.region, "eu-central-1");
  EXPECT_EQ(hot.s3.endpoint, "https://s3.example.internal");
  EXPECT_TRUE(hot.s3.path_style);
  EXPECT_TRUE(hot.s3.verify_tls);
  EXPECT_EQ(hot.s3.profile, "backup");
  EXPECT_EQ(hot.storage_class.data, "STANDARD_IA");
  EXPECT_EQ(hot.encryption.key_file, "/etc/holdfast/hot.key");
  EXPECT_EQ(hot.s3.server_side_encryption, "aws:kms");
  EXPECT_EQ(config.repositories[1].encryption.passphrase_file, "/etc/holdfast/cold");
  EXPECT_EQ(config.backup.compression.compression, Compression::kGzip);
  EXPECT_EQ(config.backup.compression.level, 9);
  EXPECT_EQ(config.backup.jobs, 3U);
  EXPECT_EQ(config.backup.checkpoint, CheckpointMode::kSpread);
  EXPECT_EQ(config.backup.rate, 10U << 20U);
}

TEST_F(ConfigTest, DefaultsAreShownAsDefaults) {
  const LoadedConfig loaded = load(kSmallConfig);
  EXPECT_EQ(loaded.config.memory_bytes, 256U << 20U);
  EXPECT_EQ(loaded.config.backup.compression.compression, Compression::kZstd);
  EXPECT_EQ(value_of(loaded, "memory"), "256MiB (default)");
  EXPECT_EQ(value_of(loaded, "timezone"), "UTC (default)");
  EXPECT_EQ(value_of(loaded, "cluster"), "demo (file)");
  EXPECT_EQ(value_of(loaded, "repositories.hot.verify_tls"), "true (default)");
}

struct BadConfig {
  const char* name;
  std::string text;
  int line;  // 0: the whole file
  const char* message;
  const char* hint;
};
void PrintTo(const BadConfig& bad, std::ostream* out) {
  *out << bad.name;
}

class BadConfigTest : public ConfigTest, public ::testing::WithParamInterface<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedWithLineAndReason) {
  const Error error = refused(request(GetParam().text));
  EXPECT_THAT(error.message(), HasSubstr(GetParam().message));
  EXPECT_THAT(error.hint(), HasSubstr(GetParam().hint));
  EXPECT_EQ(error.object(),
            GetParam().line == 0 ? (folder_ / "a.yaml").string() : at_line(GetParam().line));
}

const std::string kRepo = "cluster: demo\nrepositories:\n  - name: hot\n    url: s3://b/p\n";
const std::string kFolder = "cluster: demo\nrepositories:\n  - name: hot\n    url: file:///b\n";

INSTANTIATE_TEST_SUITE_P(
    Config, BadConfigTest,
    ::testing::Values(
        BadConfig{"empty", "", 0, "empty", ""},
        BadConfig{"not_yaml", "cluster: [a\n", 2, "not valid YAML", ""},
        BadConfig{"a_list", "- a\n", 1, "must hold 'key: value'", ""},
        BadConfig{"misspelt", "cluster: a\nrepostories: []\n", 2, "unknown key 'repostories'",
                  "Did you mean 'repositories'?"},
        BadConfig{"misspelt_deep", "postgres: {}\nbackup:\n  compresion: zstd\n", 3,
                  "unknown key 'compresion' in 'backup'", "Did you mean 'compression'?"},
        BadConfig{"wrong_section", "data_directory: /x\n", 1, "unknown key 'data_directory'",
                  "belongs in 'postgres'"},
        BadConfig{"dotted", "postgres.connection: x\n", 1, "unknown key", ""},
        BadConfig{"twice", "cluster: a\ncluster: b\n", 2, "there twice", ""},
        BadConfig{"no_value", "cluster:\n", 1, "'cluster' has no value", ""},
        BadConfig{"list_for_text", "cluster: [a]\n", 1, "'cluster' must be a name", ""},
        BadConfig{"text_for_section", "postgres: x\n", 1, "'postgres' must hold", ""},
        BadConfig{"bad_size", "memory: lots\n" + kRepo, 1, "'memory' must be a size", ""},
        BadConfig{"small_memory", "memory: 1MiB\n" + kRepo, 1, "64.0 MiB to", ""},
        BadConfig{"negative_jobs", kRepo + "backup: {jobs: -1}\n", 5, "number from 0 to 256", ""},
        BadConfig{"many_jobs", kRepo + "backup: {jobs: 257}\n", 5, "number from 0 to 256", ""},
        BadConfig{"yes_is_no_flag", kRepo + "    path_style: yes\n", 5, "true or false", ""},
        BadConfig{"zone", "timezone: Europe/berlin\n" + kRepo, 1, "must be UTC or a time zone", ""},
        BadConfig{"zone_of_the_machine", "timezone: localtime\n" + kRepo, 1, "must be UTC", ""},
        BadConfig{"offset_as_zone", "timezone: '+01:00'\n" + kRepo, 1, "must be UTC", ""},
        BadConfig{"checkpoint", kRepo + "backup: {checkpoint: slow}\n", 5, "fast or spread", ""},
        BadConfig{"zstd_level", kRepo + "backup: {compression: 'zstd:20'}\n", 5, "zstd:19", ""},
        BadConfig{"lz4_level", kRepo + "backup: {compression: 'lz4:1'}\n", 5, "zstd:19", ""},
        BadConfig{"relative", "postgres: {data_directory: data}\n" + kRepo, 1, "absolute path", ""},
        BadConfig{"newline", "postgres: {connection: \"a\\nb\"}\n" + kRepo, 1, "one line", ""},
        BadConfig{"no_cluster", "repositories: [{name: a, url: 'file:///b'}]\n", 0,
                  "'cluster' is missing", ""},
        BadConfig{"cluster_name", "cluster: a/b\n" + kRepo.substr(14), 1, "must be a name", ""},
        BadConfig{"no_repository", "cluster: demo\n", 0, "no repository", "repositories:"},
        BadConfig{"repositories_map", "repositories: {name: a}\n", 1, "must be a list", ""},
        BadConfig{"nameless", "cluster: a\nrepositories:\n  - url: file:///b\n", 3, "no name", ""},
        BadConfig{"no_url", "cluster: a\nrepositories:\n  - name: b\n", 3, "has no url", ""},
        BadConfig{"same_name", kRepo + "  - name: hot\n    url: s3://c\n", 5, "called 'hot'", ""},
        BadConfig{"http_url", "cluster: a\nrepositories:\n  - name: b\n    url: http://x\n", 4,
                  "file:///folder or s3://", ""},
        BadConfig{"relative_url", "cluster: a\nrepositories:\n  - name: b\n    url: file://x/y\n",
                  4, "file:///folder or s3://", ""},
        BadConfig{"secret_in_endpoint", kRepo + "    endpoint: https://u:p@h\n", 5,
                  "without user or password", ""},
        BadConfig{"two_keys", kRepo + "    encryption: {key_file: /a, passphrase_file: /b}\n", 5,
                  "both key_file and passphrase_file", ""},
        BadConfig{"half_key", kRepo + "    credentials: {access_key_file: /a}\n", 5,
                  "belong together", ""},
        BadConfig{"kms", kRepo + "    kms_key_id: x\n", 5, "aws:kms", ""},
        BadConfig{"frozen", kRepo + "    storage_class: {catalogue: GLACIER}\n", 5, "frozen", ""},
        BadConfig{"region_of_folder", kFolder + "    region: x\n", 5, "is for S3", ""},
        BadConfig{"schedule", kRepo + "backup: {schedule: '0 25 * * *'}\n", 5,
                  "a schedule as cron has it", "'25' is no hour"},
        BadConfig{"retention", kRepo + "    retention: {window: soon}\n", 5, "a duration such as",
                  ""},
        BadConfig{"copy", kRepo + "    copy: {schedule: monthly}\n", 5, "a schedule as cron",
                  "five"},
        BadConfig{"wal_of_a_repository", kRepo + "    wal: sometimes\n", 5, "true or false", ""},
        BadConfig{"wal_jobs", "wal: {jobs: 0}\n", 1, "a number from 1 to 64", ""},
        BadConfig{"wal_timeout", "wal: {timeout: soon}\n", 1, "a duration such as", ""},
        BadConfig{"objective", kRepo + "objectives: {recovery_point: soon}\n", 5,
                  "a duration such as", ""},
        BadConfig{"checks_map", "checks: {name: a}\n", 1, "must be a list", ""},
        BadConfig{"check_key", "checks: [{nam: a}]\n", 1, "unknown key 'nam' in a check", "'name'"},
        BadConfig{"check_nameless", kRepo + "checks:\n  - {sql: x, expect: 1}\n", 6, "no name", ""},
        BadConfig{"check_sql", kRepo + "checks:\n  - {name: a, expect: 1}\n", 6, "no sql", ""},
        BadConfig{"check_expect", kRepo + "checks:\n  - {name: a, sql: select}\n", 6, "no expect",
                  "'> 0'"},
        BadConfig{"check_expectation",
                  kRepo + "checks:\n  - {name: a, sql: select, expect: '> many'}\n", 6,
                  "'expect' must be a value", ""},
        BadConfig{"check_twice",
                  kRepo + "checks:\n  - &a {name: a, sql: select, expect: 1}\n  - *a\n", 6,
                  "two checks are called 'a'", ""}),
    [](const auto& test_case) { return std::string(test_case.param.name); });

TEST_F(ConfigTest, ObjectivesAndChecksAreRead) {
  const LoadedConfig loaded =
      load(kRepo +
               "objectives: {recovery_time: 1h, recovery_point: 5min}\n"
               "checks:\n"
               "  - name: open incidents\n"
               "    sql: |\n"
               "      select count(*)\n"
               "      from incidents\n"
               "    expect: '> 0'\n"
               "  - {name: users, sql: select 1, expect: live, database: app}\n",
           {{"HOLDFAST_OBJECTIVES_RECOVERY_POINT", "10min"}});
  const Config& config = loaded.config;
  EXPECT_EQ(config.objectives.recovery_time, std::chrono::hours(1));
  EXPECT_EQ(config.objectives.recovery_point, std::chrono::minutes(10));
  ASSERT_EQ(config.checks.size(), 2U);
  EXPECT_EQ(config.checks[0].name, "open incidents");
  EXPECT_EQ(config.checks[0].sql, "select count(*)\nfrom incidents\n");
  EXPECT_EQ(config.checks[0].expect, "> 0");
  EXPECT_EQ(config.checks[0].database, "");
  EXPECT_EQ(config.checks[1].database, "app");
  EXPECT_EQ(value_of(loaded, "checks.users.expect"), "live (file)");
}

TEST_F(ConfigTest, NothingBelowChecksCanBeOverridden) {
  const std::string text = kRepo + "checks:\n  - {name: a, sql: select, expect: 1}\n";
  EXPECT_THAT(refused(request(text, {{"HOLDFAST_CHECKS_A_EXPECT", "2"}})).message(),
              HasSubstr("matches no configuration key"));
}

TEST_F(ConfigTest, TooManyRepositoriesAreRefused) {
  std::string text = "cluster: demo\nrepositories:\n";
  for (int i = 0; i < 17; ++i) text += "  - {name: r" + std::to_string(i) + ", url: 's3://b'}\n";
  EXPECT_THAT(refused(request(text)).message(), HasSubstr("more than 16 repositories"));
}

TEST_F(ConfigTest, PasswordsInABadValueAreNotRepeated) {
  const Error error =
      refused(request("cluster: demo\nrepositories:\n  - name: a\n    url: x://u:geheim@h\n"));
  EXPECT_THAT(error.message(), ::testing::Not(HasSubstr("geheim")));
}

}  // namespace
}  // namespace holdfast
