#pragma once
// The one table of configuration keys. Reading the file, environment variables, `config show` and
// the reference in docs/configuration.md all follow it, so that they cannot disagree.
// A key of a repository has the path "repositories[].…", one of a check "checks[].…", one of a
// notification "notify[].…". A key that
// belongs to a later release is in the table too, marked kLater: it is refused with a text that
// says so, because a retention or a schedule that is read but not acted on is worse than none.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"

namespace holdfast {

enum class KeyType {
  kText,
  kSql,          // text, perhaps of several lines
  kExpectation,  // parse_expectation (recover/sql_checks.h)
  kPath,         // absolute
  kName,         // is_valid_cluster_name
  kUrl,          // file:///… or s3://…
  kHttpUrl,      // http:// or https://, without user information
  kChoice,       // one of `choices`
  kZone,         // UTC, or a zone of the IANA database that this machine has
  kCompression,  // zstd, zstd:LEVEL, lz4, gzip, gzip:LEVEL, none
  kBytes,
  kCount,
  kDuration,  // 30d, 5min, 20s; the number is in milliseconds
  kFlag,      // true or false
  kEvents,    // a list of words, each one of `choices`
  kMailUrl,   // smtp:// or smtps://, without user information
  kMails,     // a list of addresses
  kSchedule,  // parse_cron (system/cron.h)
  kSection,   // of a later release; what is below it is not looked at
};
enum class KeyState { kReady, kLater };

struct KeyValue {
  std::string text;
  std::uint64_t number = 0;  // of kBytes, kCount and kDuration; 1 for a true kFlag
};

struct KeyTarget {
  Config& config;
  RepositoryConfig* repository;    // of a repository's key
  CheckConfig* check = nullptr;    // of a key of `checks`
  NotifyConfig* notify = nullptr;  // of a key of `notify`
};

struct ConfigKey {
  std::string_view path;
  KeyType type;
  KeyState state;
  std::string_view fallback;  // the default, as one would write it in the file
  std::string_view help;
  void (*set)(KeyTarget, const KeyValue&) = nullptr;
  std::string_view choices = {};           // "fast|spread"
  std::uint64_t minimum = 0, maximum = 0;  // of kBytes, kCount and kDuration
};

inline constexpr std::string_view kRepositoriesPath = "repositories";
inline constexpr std::string_view kRepositoryPath = "repositories[]";
inline constexpr std::string_view kChecksPath = "checks";
inline constexpr std::string_view kCheckPath = "checks[]";
inline constexpr std::string_view kNotifyPath = "notify";
inline constexpr std::string_view kNotifyEntryPath = "notify[]";

std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view path);
bool is_repository_key(const ConfigKey& key);
bool is_check_key(const ConfigKey& key);
bool is_notify_key(const ConfigKey& key);
// "repositories[].encryption.key_file" → "encryption.key_file", "checks[].sql" → "sql"; other paths
// unchanged.
std::string_view path_in_entry(std::string_view path);

// nullopt when `text` is not a value of the key; describe_type says what one looks like.
std::optional<KeyValue> parse_key_value(const ConfigKey& key, std::string_view text);
std::string describe_type(const ConfigKey& key);

// The words of a list: "a, b" has two.
std::vector<std::string> split_list(std::string_view text);
std::optional<CompressionChoice> parse_compression(std::string_view text);

// The variable that overrides the key: "HOLDFAST_REPOSITORIES_HOT_URL".
std::string environment_name(const ConfigKey& key, std::string_view repository);

}  // namespace holdfast
