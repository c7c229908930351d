#include "app/config_keys.h"

#include <array>

#include <fmt/format.h>

namespace holdfast {
namespace {

using Type = KeyType;
constexpr KeyState kReady = KeyState::kReady;

// Setters of the table below: into the cluster's configuration and into a repository's.
#define HF_SET(member) [](KeyTarget to, const KeyValue& value) { to.config.member = value.text; }
#define HF_REPO(member) \
  [](KeyTarget to, const KeyValue& value) { to.repository->member = value.text; }
#define HF_REPO_FLAG(member) \
  [](KeyTarget to, const KeyValue& value) { to.repository->member = value.number != 0; }

#define HF_CHECK(member) [](KeyTarget to, const KeyValue& value) { to.check->member = value.text; }
#define HF_HOOK(hook)                                                                           \
  {"hooks." #hook ".run", Type::kText, kReady, "", kHookHelp_##hook, HF_SET(hooks.hook.run)}, { \
    "hooks." #hook ".timeout", Type::kDuration, kReady, "5min",                                 \
        "After this time the command is killed, and has failed.",                               \
        [](KeyTarget to, const KeyValue& value) {                                               \
          to.config.hooks.hook.timeout = std::chrono::milliseconds(value.number);               \
        },                                                                                      \
        "", kSecond, kHookTimeoutMax                                                            \
  }
#define HF_NOTIFY(member) \
  [](KeyTarget to, const KeyValue& value) { to.notify->member = value.text; }
#define HF_RETAIN(member)                                                  \
  [](KeyTarget to, const KeyValue& value) {                                \
    to.repository->retention.member = static_cast<unsigned>(value.number); \
  }
#define HF_RETAIN_TIME(member)                                                 \
  [](KeyTarget to, const KeyValue& value) {                                    \
    to.repository->retention.member = std::chrono::milliseconds(value.number); \
  }

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMemoryBytesMin = 64 * kMiB;
constexpr std::uint64_t kMemoryBytesMax = std::uint64_t{1} << 40U;
constexpr std::uint64_t kRateBytesMax = std::uint64_t{1} << 50U;
constexpr std::uint64_t kJobsMax = 256;
constexpr std::uint64_t kWalJobsMax = 64;
constexpr std::uint64_t kSecond = 1000;  // in milliseconds
constexpr std::uint64_t kRefreshMax = 3650ULL * 24 * 60 * 60 * kSecond;

constexpr std::uint64_t kRetentionMax = 36500ULL * 24 * 60 * 60 * kSecond;
constexpr std::uint64_t kRetainedMax = 100'000;
constexpr std::uint64_t kNotifyCommandMax = 10 * 60 * kSecond;
constexpr std::uint64_t kObjectiveMax = 365ULL * 24 * 60 * 60 * kSecond;

constexpr std::uint64_t kHookTimeoutMax = 24ULL * 60 * 60 * kSecond;
constexpr std::uint64_t kApprovalsMax = 20;
constexpr std::uint64_t kCanaryIntervalMax = 24ULL * 60 * 60 * kSecond;
constexpr std::uint64_t kCanaryRowsMax = 1'000'000;

constexpr const char* kHookHelp_stop_application =
    "Shell command that keeps the application from writing, before a promotion or a rollback.";
constexpr const char* kHookHelp_start_application =
    "Shell command that lets the application write again.";
constexpr const char* kHookHelp_stop_server =
    "Shell command that stops the server and keeps the service manager from starting it, for "
    "instance `sudo systemctl stop postgresql@15-main`. Default: a signal for a fast shutdown.";
constexpr const char* kHookHelp_start_server =
    "Shell command that starts the server. Default: pg_ctl, with the options that it had.";
constexpr const char* kHookHelp_validate =
    "Shell command that proves that the application works; it fails the promotion when it fails.";

constexpr ConfigKey kKeys[] = {
    {"cluster", Type::kName, kReady, "",
     "Name of the cluster: the folder of its backups in every repository. Required.",
     HF_SET(cluster)},
    {"state_directory", Type::kPath, kReady, "",
     "Locks and other state of this machine, mode 0700. Default: `/var/lib/holdfast/<cluster>` "
     "where that can be written, else `.holdfast` beside the configuration file.",
     HF_SET(state_directory)},
    {"memory", Type::kBytes, kReady, "256MiB",
     "Budget for data in flight, shared by all stages of one command.",
     [](KeyTarget to, const KeyValue& value) { to.config.memory_bytes = value.number; }, "",
     kMemoryBytesMin, kMemoryBytesMax},
    {"timezone", Type::kZone, kReady, "UTC", "Zone of times that are given without one.",
     HF_SET(timezone)},

    {"postgres.data_directory", Type::kPath, kReady, "",
     "Data directory of the server. Needed to take backups.", HF_SET(postgres.data_directory)},
    {"postgres.connection", Type::kText, kReady, "",
     "libpq connection string or URI. Put passwords in a passfile, not here.",
     HF_SET(postgres.connection)},
    {"postgres.primary_connection", Type::kText, kReady, "",
     "On a standby: connection to the primary, where WAL is switched during a backup.",
     HF_SET(postgres.primary_connection)},
    {"postgres.bin_directory", Type::kPath, kReady, "",
     "Folder of the server's programs. Found from the running server where possible.",
     HF_SET(postgres.bin_directory)},

    {"repositories[].name", Type::kName, kReady, "",
     "Name for `--repo` and for environment variables. Required.", HF_REPO(name)},
    {"repositories[].url", Type::kUrl, kReady, "",
     "`file:///folder` or `s3://bucket/prefix`. Required.", HF_REPO(url)},
    {"repositories[].exclusive_writer", Type::kFlag, kReady, "false",
     "True states that nobody else writes to this bucket, which allows an S3 server without "
     "`If-None-Match`.",
     HF_REPO_FLAG(exclusive_writer)},
    {"repositories[].region", Type::kText, kReady, "",
     "S3 region. Default: from the AWS environment or profile, else `us-east-1`.",
     HF_REPO(s3.region)},
    {"repositories[].endpoint", Type::kHttpUrl, kReady, "",
     "URL of an S3-compatible server. Default: Amazon's for the region.", HF_REPO(s3.endpoint)},
    {"repositories[].path_style", Type::kFlag, kReady, "false",
     "Put the bucket into the path, not into the host name.", HF_REPO_FLAG(s3.path_style)},
    {"repositories[].ca_file", Type::kPath, kReady, "",
     "Certificate authorities for the endpoint. Default: the system's.", HF_REPO(s3.ca_file)},
    {"repositories[].verify_tls", Type::kFlag, kReady, "true",
     "False accepts any server certificate. For tests only.", HF_REPO_FLAG(s3.verify_tls)},
    {"repositories[].proxy", Type::kText, kReady, "", "HTTP proxy for this repository.",
     HF_REPO(s3.proxy)},
    {"repositories[].server_side_encryption", Type::kChoice, kReady, "",
     "Encryption by the S3 server, besides Holdfast's own.", HF_REPO(s3.server_side_encryption),
     "AES256|aws:kms"},
    {"repositories[].kms_key_id", Type::kText, kReady, "",
     "Key for `server_side_encryption: aws:kms`.", HF_REPO(s3.kms_key_id)},
    {"repositories[].credentials.profile", Type::kText, kReady, "",
     "Profile of the AWS credentials file. Without any of these keys: the usual AWS chain.",
     HF_REPO(s3.profile)},
    {"repositories[].credentials.credentials_file", Type::kPath, kReady, "",
     "AWS credentials file. Default: `~/.aws/credentials`.", HF_REPO(s3.credentials_file)},
    {"repositories[].credentials.access_key_file", Type::kPath, kReady, "",
     "File with the access key id, private to its owner.", HF_REPO(s3.access_key_file)},
    {"repositories[].credentials.secret_key_file", Type::kPath, kReady, "",
     "File with the secret access key, private to its owner.", HF_REPO(s3.secret_key_file)},
    {"repositories[].credentials.session_token_file", Type::kPath, kReady, "",
     "File with a session token, private to its owner.", HF_REPO(s3.session_token_file)},
    {"repositories[].storage_class.catalogue", Type::kText, kReady, "",
     "S3 storage class of the small objects that describe backups; never a frozen class.",
     HF_REPO(storage_class.catalogue)},
    {"repositories[].storage_class.data", Type::kText, kReady, "", "S3 storage class of the data.",
     HF_REPO(storage_class.data)},
    {"repositories[].storage_class.wal", Type::kText, kReady, "",
     "S3 storage class of archived WAL. Not a frozen one: recovery would wait for a thaw.",
     HF_REPO(storage_class.wal)},
    {"repositories[].encryption.key_file", Type::kPath, kReady, "",
     "Key file that opens the repository, private to its owner.", HF_REPO(encryption.key_file)},
    {"repositories[].encryption.passphrase_file", Type::kPath, kReady, "",
     "File with a passphrase that opens the repository, private to its owner.",
     HF_REPO(encryption.passphrase_file)},
    {"repositories[].wal", Type::kFlag, kReady, "true", "Archive WAL to this repository.",
     HF_REPO_FLAG(wal)},
    {"repositories[].retention.window", Type::kDuration, kReady, "0",
     "Every point of this time back from now can be recovered. 0: no such promise. Without this "
     "and the five counts nothing ever expires.",
     HF_RETAIN_TIME(window), "", 0, kRetentionMax},
    {"repositories[].retention.keep_last", Type::kCount, kReady, "0",
     "Keep so many of the newest backups.", HF_RETAIN(keep_last), "", 0, kRetainedMax},
    {"repositories[].retention.daily", Type::kCount, kReady, "0",
     "Keep the newest backup of each of so many days.", HF_RETAIN(daily), "", 0, kRetainedMax},
    {"repositories[].retention.weekly", Type::kCount, kReady, "0",
     "The same of weeks, which begin on Monday.", HF_RETAIN(weekly), "", 0, kRetainedMax},
    {"repositories[].retention.monthly", Type::kCount, kReady, "0", "The same of months.",
     HF_RETAIN(monthly), "", 0, kRetainedMax},
    {"repositories[].retention.yearly", Type::kCount, kReady, "0", "The same of years.",
     HF_RETAIN(yearly), "", 0, kRetainedMax},
    {"repositories[].retention.grace", Type::kDuration, kReady, "24h",
     "Nothing is removed before it has been marked for so long. It protects restores and copies "
     "that are running.",
     HF_RETAIN_TIME(grace), "", 0, kRetentionMax},
    {"repositories[].copy.schedule", Type::kSchedule, kReady, "",
     "When the latest backup is copied to this repository, by the units of `holdfast units`. "
     "Default: never by itself.",
     HF_REPO(copy.schedule)},
    {"repositories[].copy.standalone", Type::kFlag, kReady, "false",
     "These copies need no other backup and carry their WAL.", HF_REPO_FLAG(copy.standalone)},

    {"backup.compression", Type::kCompression, kReady, "zstd",
     "How data is compressed before it is stored.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.backup.compression = *parse_compression(value.text);
     }},
    {"backup.jobs", Type::kCount, kReady, "0", "Parallel workers; 0 means every core.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.backup.jobs = static_cast<unsigned>(value.number);
     },
     "", 0, kJobsMax},
    {"backup.checkpoint", Type::kChoice, kReady, "fast",
     "Checkpoint at the start of a backup: at once, or spread as PostgreSQL is set to do it.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.backup.checkpoint =
           value.text == "fast" ? CheckpointMode::kFast : CheckpointMode::kSpread;
     },
     "fast|spread"},
    {"backup.rate", Type::kBytes, kReady, "0", "Bytes read per second; 0 means no limit.",
     [](KeyTarget to, const KeyValue& value) { to.config.backup.rate = value.number; }, "", 0,
     kRateBytesMax},
    {"backup.schedule", Type::kSchedule, kReady, "0 2 * * *",
     "When backups are taken by the units of `holdfast units`, in `timezone`, and from when on "
     "`status` misses one. Empty: no unit for it, and one a day is expected from whatever does it.",
     HF_SET(backup.schedule)},
    {"backup.refresh", Type::kDuration, kReady, "30d",
     "No backup uses packs older than this: each incremental one reads and stores a part of the "
     "oldest data again. 0 means that packs may get as old as they like.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.backup.refresh = std::chrono::milliseconds(value.number);
     },
     "", 0, kRefreshMax},

    {"wal.compression", Type::kCompression, kReady, "zstd",
     "How WAL is compressed before it is stored.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.compression = *parse_compression(value.text);
     }},
    {"wal.jobs", Type::kCount, kReady, "2", "WAL files that are pushed or fetched at once.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.jobs = static_cast<unsigned>(value.number);
     },
     "", 1, kWalJobsMax},
    {"wal.acknowledge", Type::kCount, kReady, "1",
     "In how many repositories a WAL file must be before PostgreSQL may remove it; the first is "
     "always one of them.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.acknowledge = static_cast<unsigned>(value.number);
     },
     "", 1, kWalJobsMax},
    {"wal.timeout", Type::kDuration, kReady, "1min",
     "How long archive-push and archive-get wait for a repository that does not answer before they "
     "fail; PostgreSQL then tries again.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.timeout = std::chrono::milliseconds(value.number);
     },
     "", kSecond, 60 * 60 * kSecond},
    {"wal.archive_timeout", Type::kDuration, kReady, "5min",
     "What `init` sets archive_timeout to: a segment with changes in it is archived at the latest "
     "after this time.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.archive_timeout = std::chrono::milliseconds(value.number);
     },
     "", kSecond, 24 * 60 * 60 * kSecond},
    {"wal.prefetch", Type::kBytes, kReady, "512MiB",
     "Disk space in the state directory for WAL that recovery will ask for next; 0 fetches nothing "
     "ahead.",
     [](KeyTarget to, const KeyValue& value) { to.config.wal.prefetch_bytes = value.number; }, "",
     0, kMemoryBytesMax},
    {"wal.promote_without_archive", Type::kFlag, kReady, "false",
     "True lets a standby that was told to promote do so while the archive cannot be asked; WAL "
     "that only the archive has is then lost.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.promote_without_archive = value.number != 0;
     }},
    {"wal.drop_when_behind", Type::kBytes, kReady, "0",
     "Once more WAL than this waits in pg_wal and cannot be stored, archive-push drops it, so that "
     "the server's disk does not fill; what was dropped can never be recovered. 0 never drops "
     "any.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.wal.drop_when_behind_bytes = value.number;
     },
     "", 0, kRateBytesMax},

    {"objectives.recovery_point", Type::kDuration, kReady, "0",
     "How old the newest transaction may be that a drill to the end of the archive brings back. 0 "
     "judges nothing.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.objectives.recovery_point = std::chrono::milliseconds(value.number);
     },
     "", 0, kObjectiveMax},
    {"objectives.recovery_time", Type::kDuration, kReady, "0",
     "How long a drill may take until the copy answers: restore and replay. 0 judges nothing.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.objectives.recovery_time = std::chrono::milliseconds(value.number);
     },
     "", 0, kObjectiveMax},

    {"drill.scratch", Type::kPath, kReady, "",
     "Where `drill` makes its copy. Default: the state directory.", HF_SET(drill.scratch)},
    {"drill.monthly.target", Type::kText, kReady, "random",
     "The moment to which `drill --preset monthly` goes, as `--target-time` takes it: `-1h`, or "
     "`random`.",
     HF_SET(drill.monthly_target)},
    {"drill.yearly.repository", Type::kText, kReady, "",
     "The repository that `drill --preset yearly` restores from. Default: the first with "
     "`copy.standalone`, else with a frozen storage class, else with `copy.schedule`.",
     HF_SET(drill.yearly_repository)},
    {"drill.yearly.thaw", Type::kChoice, kReady, "",
     "Consent to what it costs that `drill --preset yearly` thaws what is frozen, at this speed.",
     HF_SET(drill.yearly_thaw), "bulk|standard|expedited"},

    {"canary.interval", Type::kDuration, kReady, "0",
     "How often `canary` writes its row. 0: no unit for it; when started by hand, every 5 s.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.canary.interval = std::chrono::milliseconds(value.number);
     },
     "", 0, kCanaryIntervalMax},
    {"canary.keep", Type::kCount, kReady, "1000", "So many rows, the newest ones, stay.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.canary.keep = static_cast<unsigned>(value.number);
     },
     "", 1, kCanaryRowsMax},

    {"checks[].name", Type::kText, kReady, "", "What is asked, in a few words. Required.",
     HF_CHECK(name)},
    {"checks[].sql", Type::kSql, kReady, "",
     "One statement, run read-only on a recovered copy; its answer is one value. Required.",
     HF_CHECK(sql)},
    {"checks[].expect", Type::kExpectation, kReady, "",
     "The answer that is right. `live` is what the source's server answers now. Required.",
     HF_CHECK(expect)},
    {"checks[].database", Type::kText, kReady, "",
     "Where to ask. Default: the database of `postgres.connection`.", HF_CHECK(database)},

    {"recover.approvals", Type::kCount, kReady, "1",
     "By how many people a recovery has to be approved before it is promoted.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.recover.approvals = static_cast<unsigned>(value.number);
     },
     "", 0, kApprovalsMax},
    {"recover.backup_age", Type::kDuration, kReady, "24h",
     "How old the last good backup of the cluster that a promotion replaces may be.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.recover.backup_age = std::chrono::milliseconds(value.number);
     },
     "", kSecond, kObjectiveMax},
    {"recover.health", Type::kHttpUrl, kReady, "",
     "URL of the application that answers when it works; asked at the end of a promotion.",
     HF_SET(recover.health)},
    {"recover.health_status", Type::kCount, kReady, "200", "The HTTP status that is right.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.recover.health_status = static_cast<unsigned>(value.number);
     },
     "", 100, 599},
    {"recover.health_within", Type::kDuration, kReady, "2min",
     "How long the application may take until it answers so.",
     [](KeyTarget to, const KeyValue& value) {
       to.config.recover.health_within = std::chrono::milliseconds(value.number);
     },
     "", kSecond, kHookTimeoutMax},
    {"recover.log", Type::kPath, kReady, "",
     "The server's log, looked through after a promotion for what is fatal. Default: that of a "
     "server that Holdfast started.",
     HF_SET(recover.log)},

    HF_HOOK(stop_application),
    HF_HOOK(start_application),
    HF_HOOK(stop_server),
    HF_HOOK(start_server),
    HF_HOOK(validate),

    {"notify[].slack.webhook_file", Type::kPath, kReady, "",
     "File with the URL of a Slack webhook, private to its owner: the URL is a secret.",
     HF_NOTIFY(slack_webhook_file)},
    {"notify[].webhook.url", Type::kHttpUrl, kReady, "", "Where a JSON document is posted.",
     HF_NOTIFY(webhook.url)},
    {"notify[].webhook.secret_file", Type::kPath, kReady, "",
     "File with the key of the signature (HMAC-SHA-256 of the body, header "
     "`X-Holdfast-Signature`), private to its owner.",
     HF_NOTIFY(webhook.secret_file)},
    {"notify[].webhook.ca_file", Type::kPath, kReady, "",
     "Certificate authorities for the URL. Default: the system's.", HF_NOTIFY(webhook.ca_file)},
    {"notify[].email.server", Type::kMailUrl, kReady, "", "Server that takes the mail.",
     HF_NOTIFY(email.server)},
    {"notify[].email.from", Type::kMails, kReady, "", "Sender, one address.",
     HF_NOTIFY(email.from)},
    {"notify[].email.to", Type::kMails, kReady, "", "Recipients.", HF_NOTIFY(email.to)},
    {"notify[].email.user", Type::kText, kReady, "", "User of the server, if it wants one.",
     HF_NOTIFY(email.user)},
    {"notify[].email.password_file", Type::kPath, kReady, "",
     "File with that user's password, private to its owner.", HF_NOTIFY(email.password_file)},
    {"notify[].email.ca_file", Type::kPath, kReady, "",
     "Certificate authorities for the server. Default: the system's.", HF_NOTIFY(email.ca_file)},
    {"notify[].email.tls", Type::kChoice, kReady, "required",
     "`none` sends in plain text: only for a server on this machine.",
     [](KeyTarget to, const KeyValue& value) { to.notify->email.tls = value.text == "required"; },
     "required|none"},
    {"notify[].command.run", Type::kText, kReady, "",
     "Shell command. The path of a file with the JSON document is added as its last argument.",
     HF_NOTIFY(command.run)},
    {"notify[].command.timeout", Type::kDuration, kReady, "30s",
     "After so long the command is killed, and counts as failed.",
     [](KeyTarget to, const KeyValue& value) {
       to.notify->command.timeout = std::chrono::milliseconds(value.number);
     },
     "", kSecond, kNotifyCommandMax},
    {"notify[].on", Type::kEvents, kReady, "failure",
     "What is told: `failure` of any of the others, or each end of one of these, good or bad.",
     HF_NOTIFY(on), "failure|backup|verify|check|drill|expire|copy|promotion|rollback"},
    {"notify[].minimum", Type::kChoice, kReady, "info",
     "Nothing below is told. `info`: it went well; `warning`: with warnings; `error`: it failed.",
     [](KeyTarget to, const KeyValue& value) {
       to.notify->minimum = value.text == "info"      ? NotifySeverity::kInfo
                            : value.text == "warning" ? NotifySeverity::kWarning
                                                      : NotifySeverity::kError;
     },
     "info|warning|error"},
};
#undef HF_SET
#undef HF_REPO
#undef HF_REPO_FLAG
#undef HF_CHECK
#undef HF_HOOK
#undef HF_NOTIFY
#undef HF_RETAIN
#undef HF_RETAIN_TIME

}  // namespace

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_config_key(std::string_view path) {
  for (const ConfigKey& key : kKeys) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

bool is_repository_key(const ConfigKey& key) {
  return key.path.starts_with(kRepositoryPath);
}

bool is_check_key(const ConfigKey& key) {
  return key.path.starts_with(kCheckPath);
}

bool is_notify_key(const ConfigKey& key) {
  return key.path.starts_with(kNotifyEntryPath);
}

std::string_view path_in_entry(std::string_view path) {
  const std::size_t list = path.find("[].");
  if (list != std::string_view::npos) path.remove_prefix(list + 3);
  return path;
}

std::string environment_name(const ConfigKey& key, std::string_view repository) {
  std::string path = is_repository_key(key)
                         ? fmt::format("repositories.{}.{}", repository, path_in_entry(key.path))
                         : std::string(key.path);
  for (char& c : path) {
    if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    } else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
      c = '_';
    }
  }
  return "HOLDFAST_" + path;
}

}  // namespace holdfast
