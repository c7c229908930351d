#pragma once
// The configuration file: one YAML file per cluster, read strictly (docs/configuration.md).
// An unknown key, a wrong type or a value out of range is Error(kConfiguration) with file, line and
// the nearest known key. A key of a feature that this build lacks is an error that says so.
// HOLDFAST_<PATH>, with the key's path in upper case and '_' for '.', overrides any scalar key, for
// example HOLDFAST_POSTGRES_CONNECTION or HOLDFAST_REPOSITORIES_HOT_URL (repositories by name; what
// stands below `checks`, whose names are free text, cannot be overridden). A HOLDFAST_ variable
// that names no key is an error too; HOLDFAST_CONFIG, HOLDFAST_FAULT_… and HOLDFAST_TEST_… are not
// keys. Secrets are never values of the file: they come from files. Threads: every function may be
// called from any thread; a Config is plain data.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"
#include "seal/chunk.h"

namespace holdfast {

struct EncryptionConfig {
  std::string key_file;
  std::string passphrase_file;
  bool configured() const { return !key_file.empty() || !passphrase_file.empty(); }
};

struct StorageClassConfig {
  std::string catalogue, data, wal;
};

struct S3Config {
  std::string region;
  std::string endpoint;
  bool path_style = false;
  std::string ca_file;
  bool verify_tls = true;
  std::string proxy;
  std::string profile, credentials_file;  // credentials
  std::string access_key_file, secret_key_file, session_token_file;
  std::string server_side_encryption;  // "", "AES256" or "aws:kms"
  std::string kms_key_id;
};

// Without any of the first six nothing expires.
struct RetentionConfig {
  std::chrono::milliseconds window{0};  // 0: none
  unsigned keep_last = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;
  std::chrono::milliseconds grace{std::chrono::hours(24)};
};

// When backups are copied to this repository, and how; an empty schedule: by hand only.
struct CopyConfig {
  std::string schedule;  // what parse_cron (system/cron.h) takes
  bool standalone = false;
};

struct RepositoryConfig {
  std::string name;
  std::string url;  // file:///… or s3://bucket/prefix
  S3Config s3;
  StorageClassConfig storage_class;
  EncryptionConfig encryption;
  bool exclusive_writer = false;
  bool wal = true;
  RetentionConfig retention;
  CopyConfig copy;
  // No keys of the file. Both are seen read-only.
  std::optional<Timestamp> as_of = {};  // --as-of: as it was
  std::string damaged_object = {};      // drill --corrupt: with this object rotten
};

struct PostgresConfig {
  std::string data_directory;
  std::string connection;
  std::string primary_connection;
  std::string bin_directory;
};

enum class CheckpointMode { kFast, kSpread };

struct BackupConfig {
  std::string schedule;  // what parse_cron (system/cron.h) takes; empty: by hand only
  CompressionChoice compression;
  unsigned jobs = 0;  // 0: every core
  CheckpointMode checkpoint = CheckpointMode::kFast;
  std::uint64_t rate = 0;  // bytes per second read; 0: no limit
  // An incremental backup uses no pack older than this; 0: however old.
  std::chrono::milliseconds refresh{std::chrono::days(30)};
};

struct WalConfig {
  CompressionChoice compression;
  unsigned jobs = 2;
  unsigned acknowledge = 1;
  std::chrono::milliseconds timeout{std::chrono::minutes(1)};
  std::chrono::milliseconds archive_timeout{std::chrono::minutes(5)};
  std::uint64_t prefetch_bytes = std::uint64_t{512} << 20U;
  bool promote_without_archive = false;
  std::uint64_t drop_when_behind_bytes = 0;  // 0: WAL is never dropped
};

// What a drill is measured by; 0: by nothing.
struct ObjectivesConfig {
  std::chrono::milliseconds recovery_point{0};  // how old the newest recovered data may be
  std::chrono::milliseconds recovery_time{0};   // until a recovered copy answers
};

// What a drill takes where its command line leaves it open.
struct DrillConfig {
  std::string scratch;                    // where the copy is made; empty: the state directory
  std::string monthly_target = "random";  // as --target-time
  std::string yearly_repository;          // empty: the one that is cold by its settings
  std::string yearly_thaw;                // "bulk", "standard" or "expedited"; empty: none
};

// The row that proves the recovery point (app/canary.h).
struct CanaryConfig {
  std::chrono::milliseconds interval{0};  // 0: no unit for it
  unsigned keep = 1000;                   // rows
};

// A question to a recovered copy (recover/sql_checks.h).
struct CheckConfig {
  std::string name, sql;
  std::string expect;    // what parse_expectation takes
  std::string database;  // empty: that of postgres.connection
};

// What a promotion of a recovered copy asks for, and what it looks at afterwards.
struct RecoverConfig {
  unsigned approvals = 1;  // by so many people
  // How old the backup of what is replaced may be.
  std::chrono::milliseconds backup_age{std::chrono::hours(24)};
  std::string health;  // URL of the application; empty: none
  unsigned health_status = 200;
  std::chrono::milliseconds health_within{std::chrono::minutes(2)};
  std::string log;  // of the server, looked through for what is fatal
};

// A command of the site's own, run by /bin/sh (app/hooks.h).
struct HookConfig {
  std::string run;  // empty: none
  std::chrono::milliseconds timeout{std::chrono::minutes(5)};
};
struct HooksConfig {
  HookConfig stop_application, start_application, stop_server, start_server, validate;
};

enum class NotifySeverity { kInfo, kWarning, kError };

// Where messages go: exactly one of the four, and which messages (app/notify.h).
struct NotifyConfig {
  std::string slack_webhook_file;  // holds the URL, which is a secret
  struct Webhook {
    std::string url, secret_file, ca_file;
  } webhook;
  struct Email {
    std::string server, from, to;  // `to`: addresses with commas between them
    std::string user, password_file, ca_file;
    bool tls = true;
  } email;
  struct Command {
    std::string run;
    std::chrono::milliseconds timeout{std::chrono::seconds(30)};
  } command;
  std::string on = "failure";  // words with commas between them
  NotifySeverity minimum = NotifySeverity::kInfo;
};

struct Config {
  std::filesystem::path file;
  std::string cluster;
  std::filesystem::path state_directory;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20U;
  std::string timezone = "UTC";  // a name that TimeZone::find (system/time_zone.h) knows
  PostgresConfig postgres;
  std::vector<RepositoryConfig> repositories;
  BackupConfig backup;
  WalConfig wal;
  ObjectivesConfig objectives;
  DrillConfig drill;
  CanaryConfig canary;
  std::vector<CheckConfig> checks;
  RecoverConfig recover;
  HooksConfig hooks;
  std::vector<NotifyConfig> notify;
};

// One effective value, for `config show`: where it came from, secrets redacted.
struct ConfigValue {
  std::string key, value, source;  // source: "file", "environment HOLDFAST_…", "default"
};

struct LoadedConfig {
  Config config;
  std::vector<ConfigValue> values;
};

// Names and values; of the process, those that begin with HOLDFAST_.
using Environment = std::vector<std::pair<std::string, std::string>>;
Environment holdfast_environment();

struct ConfigRequest {
  std::string file = {};     // --config
  std::string cluster = {};  // --cluster
  Environment environment = holdfast_environment();
  std::filesystem::path folder = "/etc/holdfast";  // where a file is looked for
  std::filesystem::path state_root = "/var/lib/holdfast";
};

// Picks the file (--config, else HOLDFAST_CONFIG, else the folder's only *.yaml or the one of
// `cluster`) and reads it. Writes nothing. Reads no secret file.
LoadedConfig load_config(const ConfigRequest& request);

// The repository called `name`, or the first one when `name` is empty.
const RepositoryConfig& find_repository(const Config& config, const std::string& name);

// Creates the state directory with mode 0700 where it is missing; as root it is given to the owner
// of the data directory, as whom Holdfast works. Refuses (kConfiguration) one that group or others
// may enter. Call it before the first lock or spool file.
void prepare_state_directory(const Config& config);

// What `config check` finds beyond what load_config already refuses.
struct ConfigFinding {
  enum class Severity { kProblem, kWarning };
  Severity severity = Severity::kProblem;
  std::string key, message, hint;
};
// Every named file exists, is readable and, where it holds a secret, private.
std::vector<ConfigFinding> check_config(const LoadedConfig& loaded);

// The reference table of docs/configuration.md, made from the table of keys.
std::string config_reference_markdown();

}  // namespace holdfast
